"""Other machines and memories: a short search finds what is faster than the template's best."""

from __future__ import annotations

import pytest

from tests.support.truth import truth
from vtacsp import VTAConfig
from vtacsp.free import limit, search
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.timing import Simulator, simulate_timing
from vtacsp.timing.exhaustive import simulate_all
from vtacsp.timing.model import PRESETS, RTL

MEMORIES = {
    "rtl": RTL,
    "memory latency 64": RTL.override(("memory_latency=64",)),
    "pynq": PRESETS["pynq"],
}


@pytest.mark.parametrize("memory", MEMORIES)
def test_on_no_machine_and_no_memory_is_it_slower_than_the_template(memory: str) -> None:
    timing = MEMORIES[memory]
    machines = {space.hardware for space in truth().values()}
    assert len(machines) == 5  # the measured ones
    for machine in machines if memory == "rtl" else (VTAConfig(),):
        blocks = 4 * machine.block
        for layer in (
            Conv2D(batch=machine.batch, in_channels=blocks, height=14, width=14,
                   out_channels=blocks, kernel=(3, 3), padding=(1, 1)),
            GroupConv2D(batch=machine.batch, in_channels=blocks, height=14, width=14, groups=4,
                        out_channels=blocks, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
        ):  # fmt: skip
            simulator = Simulator(layer, machine, timing)
            template = simulator.cycles(simulator.space.indices[simulate_all(simulator).best])
            found = search(layer, machine, timing, simulations=200)
            assert found.cycles == simulate_timing(found.program, timing).cycles
            assert limit(layer, machine, timing).cycles < found.cycles < template
