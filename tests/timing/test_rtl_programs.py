"""The cycle simulator on what else was run on the RTL: operators of the ALU, embedded first layers,
free schedules, and machines beyond those of ``test_machines.py``.

The output of each program was compared with the reference when it was measured, and was right.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.golden import machine_part, names
from vtacsp import Problem, VTAConfig, build, workload_from_dict
from vtacsp.cli import main
from vtacsp.errors import ProgramError
from vtacsp.free import Schedule, emit, limit
from vtacsp.machine.design import design_hazards, design_limits
from vtacsp.timing import RTL, TimingModel, simulate_timing
from vtacsp.tune.bound import cycle_bounds

MACHINES = names("rtl_programs")
KINDS = ("template", "chain", "alu", "fold", "free")


def timing(bus: int, latency: int) -> TimingModel:
    return replace(RTL, bus_bytes=bus, memory_latency=latency)


def program_of(which, workload, hardware):
    """The program of an index, or of a free schedule."""
    if isinstance(which, dict):
        return emit(Schedule(**which), workload, hardware)
    return build(workload, hardware, which)


def measured_on(name, key="layers"):
    """(machine, bus, kind, layer, index or schedule, latency, cycles) of what was run there."""
    hardware, bus, part = machine_part(name, file="rtl_programs")
    for layer in part.get(key, []):
        workload = workload_from_dict({"name": "measured", **layer["workload"]})
        for which, latency, cycles in layer["programs"]:
            yield hardware, bus, layer["kind"], workload, which, latency, cycles


@pytest.mark.parametrize("name", MACHINES)
def test_cycles_of_every_measured_program_equal_those_of_the_rtl(name):
    wrong = []
    for hardware, bus, kind, workload, which, latency, measured in measured_on(name):
        found = simulate_timing(program_of(which, workload, hardware), timing(bus, latency))
        if found.cycles != measured or found.cut_short:
            wrong.append((kind, workload, which, latency, measured, found))
    assert not wrong


def test_what_the_rtl_got_wrong_is_what_has_a_load_cut_short():
    seen = 0
    for name in MACHINES:
        for hardware, bus, _, workload, which, latency, measured in measured_on(name, "wrong"):
            program = program_of(which, workload, hardware)
            found = simulate_timing(program, timing(bus, latency))
            assert found.cut_short
            assert found.cycles != measured
            seen += 1
    assert seen


def test_what_was_measured_is_what_the_docs_say():
    met = Counter()
    for name in MACHINES:
        here = Counter()
        for hardware, bus, kind, workload, _, latency, _ in measured_on(name):
            met.update((kind, workload.op, f"latency {latency}", f"bus {bus}"))
            met.update((f"block {hardware.block}", f"batch {hardware.batch}"))
            here[kind] += 1
        assert all(here[kind] for kind in ("chain", "alu", "fold", "free")), name
        met["several hundred"] += all(here[kind] >= 60 for kind in ("alu", "fold", "free"))
        met["programs"] += sum(here.values())
    assert (met["programs"], len(MACHINES)) == (4563, 18)
    assert met["several hundred"] >= 3
    for word in ("block 2", "block 4", "block 32", "block 64", "batch 2", "batch 8", "bus 64"):
        assert met[word] >= 100, word
    assert all(met[kind] >= 90 for kind in KINDS)
    for op in ("add", "max_pool", "avg_pool", "conv2d", "group_conv2d", "conv2d_transpose"):
        assert met[op] >= 100, op
    for latency in (1, 2, 7, 16, 37, 64, 150, 400):
        assert met[f"latency {latency}"] >= 50, latency


@pytest.mark.parametrize("name", MACHINES)
def test_no_bound_is_above_the_rtl(name):
    """The limit of any program for those of the GEMM, the bound of a configuration for the rest."""
    ratios = []
    for number, (hardware, bus, kind, workload, which, latency, measured) in enumerate(
        measured_on(name)
    ):
        if number % 23:
            continue
        model = timing(bus, latency)
        if kind == "free":
            bound = limit(workload, hardware, model).cycles
        else:
            (bound,) = cycle_bounds(Problem(workload, hardware), np.array([which]), model)
        ratios.append(bound / measured)
    assert ratios
    assert max(ratios) <= 1
    assert np.median(ratios) > 0.5


@pytest.mark.parametrize("name", MACHINES)
def test_the_design_can_be_built_for_what_was_measured(name):
    hardware, bus, _ = machine_part(name, file="rtl_programs")
    assert design_limits(hardware, timing(bus, 16)) == ()


# latency, cycles of the RTL, whether its numbers were right: all of a scratchpad in one load
SMALL = VTAConfig(
    log_block=3, log_uop_buff_size=13, log_inp_buff_size=13, log_wgt_buff_size=14,
    log_acc_buff_size=14,
)  # fmt: skip
WHOLE = [
    *((1, 6029, True), (2, 6103, True), (3, 6057, True)),
    *((4, 4172, False), (5, 4170, False), (6, 4192, False), (16, 4304, False), (64, 4878, False)),
]
WHOLE_INP = [
    *((1, 5122, True), (9, 5186, True), (10, 5194, True), (11, 5202, True)),
    *((12, 5193, False), (13, 5200, False), (14, 5207, False), (16, 5221, False)),
]
POINTWISE = workload_from_dict(
    {"op": "conv2d", "name": "whole", "batch": 1, "in_channels": 128, "out_channels": 128,
     "height": 2, "width": 2, "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0]}
)  # fmt: skip


def check_whole(program, elements, bus, rows):
    """The design ends the load early, and computes wrong numbers; the cycles do not follow."""
    instructions = program.instructions
    whole = instructions["x_size"].astype(int) * instructions["y_size"] == elements
    for latency, measured, right in rows:
        result = simulate_timing(program, timing(bus, latency))
        assert (result.cycles == measured) == right, latency
        assert bool(result.cut_short) != right, latency
        assert whole[list(result.cut_short)].all()


def test_a_load_of_all_weights_that_fit_is_wrong_on_a_small_machine():
    check_whole(build(POINTWISE, SMALL, 96), 256, 16, WHOLE)
    assert any("whole WGT" in line for line in design_hazards(SMALL, timing(16, 64)))
    halves = build(POINTWISE, SMALL, 92)
    assert simulate_timing(halves, timing(16, 64)).cut_short == ()


def test_a_load_of_all_inputs_that_fit_is_wrong_from_a_latency_on():
    machine = VTAConfig(
        log_uop_buff_size=13, log_inp_buff_size=14, log_wgt_buff_size=16, log_acc_buff_size=15
    )
    layer = {"op": "conv2d", "name": "whole", "batch": 1, "in_channels": 64, "out_channels": 16}
    layer |= {"height": 16, "width": 16, "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0]}
    check_whole(build(workload_from_dict(layer), machine, 74), 1024, 8, WHOLE_INP)


def test_simulate_says_that_a_load_is_cut_short(tmp_path):
    layer, machine = tmp_path / "layer.json", tmp_path / "machine.json"
    layer.write_text(json.dumps(POINTWISE.to_dict()), encoding="utf-8")
    machine.write_text(json.dumps(SMALL.to_dict()), encoding="utf-8")
    words = ["simulate", str(layer), "--hardware", str(machine), "--index", "96"]
    words += ["--timing", "bus_bytes=16", "--timing"]
    found = CliRunner().invoke(main, [*words, "memory_latency=16"])
    assert (found.exit_code, found.stderr.count("\n")) == (0, 1)
    assert "instruction 4 loads a whole scratchpad" in found.stderr
    assert CliRunner().invoke(main, [*words, "memory_latency=3"]).stderr == ""


def test_no_free_schedule_loads_all_weights_that_fit_at_once():
    whole = Schedule(channels=(16,), rows=(2,), columns=(2,), reduction=(16,), inp=1, wgt=1, acc=1)
    with pytest.raises(ProgramError, match="a single load of the whole scratchpad loses its end"):
        emit(whole, POINTWISE, SMALL)
    halves = replace(whole, reduction=(8, 8), wgt=2)
    loads = emit(halves, POINTWISE, SMALL).instructions
    assert max(loads["x_size"].astype(int) * loads["y_size"]) == 128
