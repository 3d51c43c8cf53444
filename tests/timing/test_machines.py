"""The cycle simulator on other machines and buses: cycles of the RTL built for them.

``data/machines.json.gz`` has random feasible programs of small layers; the output of each was
compared with the reference when it was measured, and was right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.support.golden import machine_part, names
from vtacsp import Problem, VTAConfig, build, workload_from_dict
from vtacsp.machine.design import (
    BUILDABLE,
    UNCHANGED,
    broken,
    design_changes,
    design_hazards,
    design_limits,
)
from vtacsp.timing import RTL, TimingModel, simulate_timing
from vtacsp.tune.bound import cycle_bounds

MACHINES, REFUSED = names("machines"), names("refused")


def timing(bus: int, latency: int = 16) -> TimingModel:
    return replace(RTL, bus_bytes=bus, memory_latency=latency)


@pytest.mark.parametrize("name", MACHINES)
def test_cycles_of_every_measured_program_equal_those_of_the_rtl(name):
    hardware, bus, part = machine_part(name)
    layers = part["layers"]
    wrong = []
    for layer in layers:
        workload = workload_from_dict(layer["workload"])
        for index, latency, measured in layer["programs"]:
            found = simulate_timing(build(workload, hardware, index), timing(bus, latency)).cycles
            if found != measured:
                wrong.append((layer["workload"], index, latency, measured, found))
    assert not wrong


def test_the_measurements_are_of_many_machines_and_all_operators():
    met = Counter()
    for hardware, bus, part in map(machine_part, MACHINES):
        layers = part["layers"]
        count = sum(len(layer["programs"]) for layer in layers)
        assert count >= 300
        met["programs"] += count
        met.update({f"block {hardware.block}", f"batch {hardware.batch}", f"bus {bus}"})
        for layer in layers:
            met.update(f"latency {program[1]}" for program in layer["programs"])
            met[layer["workload"]["op"]] += len(layer["programs"])
            met["epilogue"] += "epilogue" in layer["workload"]
    assert met["programs"] >= 3000
    assert len(MACHINES) >= 10
    for word in ("block 8", "block 16", "block 32", "batch 1", "batch 2", "batch 4"):
        assert met[word], word
    for word in ("bus 8", "bus 16", "latency 16", "latency 64", "epilogue"):
        assert met[word], word
    for op in ("conv2d", "group_conv2d", "conv2d_transpose", "dense"):
        assert met[op] >= 100, op


@pytest.mark.parametrize("name", MACHINES)
def test_the_bound_is_below_the_rtl(name):
    hardware, bus, part = machine_part(name)
    layers = part["layers"]
    ratios = []
    for layer in layers[::17]:
        problem = Problem(workload_from_dict(layer["workload"]), hardware)
        for index, latency, measured in layer["programs"]:
            (bound,) = cycle_bounds(problem, np.array([index]), timing(bus, latency))
            ratios.append(bound / measured)
    assert max(ratios) <= 1
    assert np.median(ratios) > 0.9


@pytest.mark.parametrize("name", MACHINES)
def test_the_cycles_of_every_module_add_up(name):
    hardware, bus, part = machine_part(name)
    layers = part["layers"]
    for layer in [*layers[::29], *layers[-9:]]:  # the last ones are long: queues are full
        (index, latency, measured), *_ = layer["programs"]
        program = build(workload_from_dict(layer["workload"]), hardware, index)
        result = simulate_timing(program, timing(bus, latency))
        for module in result.modules.values():
            assert min([*module.busy.values(), *module.stalls.values()]) >= 0
            assert module.busy_cycles + sum(module.stalls.values()) == measured
        assert result.modules["fetch"].busy["dispatch"] == len(program)


@pytest.mark.parametrize("name", MACHINES)
def test_the_design_can_be_built_for_what_was_measured(name):
    hardware, bus, part = machine_part(name)
    layers = part["layers"]
    assert layers
    assert design_limits(hardware, timing(bus)) == ()


@pytest.mark.parametrize("name", REFUSED)
def test_the_design_cannot_be_built_for_what_did_not_elaborate(name):
    """The rule that says so is recorded with the machine."""
    hardware, bus, part = machine_part(name, "refused")
    rule = part["rule"]
    rules = broken((*BUILDABLE, *UNCHANGED), hardware, timing(bus))
    assert rule in [rule.name for rule in rules]
    messages = design_limits(hardware, timing(bus)) + design_changes(hardware, timing(bus))
    assert len(messages) == len(rules)
    assert not any("{" in message for message in messages)


def test_the_sources_of_the_design_are_those_of_the_default_machine():
    assert design_changes(VTAConfig(), RTL) == ()
    assert len(design_changes(VTAConfig(log_batch=1, log_uop_buff_size=14), RTL)) == 2


# index, latency, bus, cycles of the RTL, whether its numbers were right: all of INP in one load
SMALL = VTAConfig(
    log_uop_buff_size=13, log_inp_buff_size=14, log_wgt_buff_size=16, log_acc_buff_size=15
)
WHOLE = [(1, 8, 5122, True), (16, 8, 5221, False), (64, 8, 5557, False), (64, 16, 4007, True)]


@pytest.mark.parametrize(("latency", "bus", "measured", "right"), WHOLE)
def test_a_load_of_a_whole_scratchpad_is_wrong_on_a_narrow_bus(latency, bus, measured, right):
    """The design ends it early, and computes wrong numbers; the model does not follow it there."""
    layer = {"op": "conv2d", "name": "whole", "batch": 1, "in_channels": 64, "out_channels": 16}
    layer |= {"height": 16, "width": 16, "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0]}
    program = build(workload_from_dict(layer), SMALL, 74)
    assert max(program.instructions["x_size"].astype(int) * program.instructions["y_size"]) == 1024
    found = simulate_timing(program, timing(bus, latency)).cycles
    assert (found == measured) == right
    warned = any("whole INP" in line for line in design_hazards(SMALL, timing(bus)))
    assert warned == (bus == 8)
