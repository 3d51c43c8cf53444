"""What the ALU runs by itself: rules, program and a plain computation agree."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.corpus import PAIRS, SIZES
from tests.support.strategies import machines, timings
from vtacsp import (
    Problem,
    ProgramError,
    VTAConfig,
    WorkloadError,
    build,
    verdict,
    workload_from_dict,
)
from vtacsp.functional import execute
from vtacsp.functional.reference import random_operands, reference
from vtacsp.operators.workload import MAX_SIZE
from vtacsp.space.cpsat import enumerate_feasible
from vtacsp.timing import RTL, Simulator, simulate_timing
from vtacsp.tune.bound import cycle_bounds

OPERATORS = ("add", "max_pool", "avg_pool")

STEPS = (
    {"op": "add", "operand": "channel"},
    {"op": "max", "value": 0},
    {"op": "add", "value": 8},
    {"op": "add", "operand": "tensor"},
    {"op": "add", "operand": "tensor", "left": True},
    {"op": "max", "operand": "channel", "left": True},
    {"op": "shift_right", "by": 4},
    {"op": "clip", "min": -127, "max": 127},
)


@st.composite
def workloads(draw, hardware, operators=OPERATORS):
    op = draw(st.sampled_from(operators))
    some = st.integers(1, 4)
    data = {
        "op": op, "name": f"random-{op}", "batch": hardware.batch * draw(st.integers(1, 2)),
        "channels": hardware.block * draw(some), "height": draw(st.integers(1, 8)),
        "width": draw(st.integers(1, 8)),
    }  # fmt: skip
    if op != "add":
        data["kernel"] = [draw(st.integers(1, 3)) for _ in range(2)]
        data["stride"] = [draw(st.integers(1, 3)) for _ in range(2)]
        data["padding"] = [draw(st.integers(0, k - 1)) for k in data["kernel"]]
        for size, k in zip(("height", "width"), data["kernel"], strict=True):
            data[size] = max(data[size], k)
    taps = np.prod(data.get("kernel", 1))
    if draw(st.booleans()) or (op == "avg_pool" and taps & (taps - 1)):
        steps = draw(st.lists(st.sampled_from(STEPS), max_size=3))
        data["epilogue"] = [*steps, {"op": "cast"}]
    return workload_from_dict(data)


ODD_ENDS = (
    [{"op": "shift_right", "by": 4}],
    [{"op": "add", "value": -3}, {"op": "cast"}],
    [{"op": "cast"}, {"op": "cast"}],
    [{"op": "min", "value": 40_000}, {"op": "shift_right", "by": 8}, {"op": "cast"}],
    [{"op": "cast", "dtype": "int32"}],
    [{"op": "add", "operand": "tensor8"}, {"op": "cast"}],
)


def agree(workload, hardware, limit=12):
    """Every configuration, or some of many: what a rule says is what the program does."""
    problem = Problem(workload, hardware)
    size = len(problem.knob_space)
    indices = np.unique(np.linspace(0, size - 1, limit).astype(int))
    labels = problem.causes(indices)
    for index, label in zip(indices.tolist(), labels, strict=True):
        assert verdict(workload, hardware, index) == label, problem.knob_space.config(index)
    return Counter(labels)


@settings(max_examples=50)
@given(data=st.data())
def test_rules_say_what_the_program_does(data):
    hardware = data.draw(machines())
    agree(data.draw(workloads(hardware)), hardware)


SMALL = VTAConfig(log_inp_buff_size=12, log_wgt_buff_size=12, log_acc_buff_size=12)


def make(op, **more):
    size = {"batch": 1, "channels": 64, "height": 12, "width": 12}
    window = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1]} if op == "max_pool" else {}
    window = {"kernel": [2, 2], "stride": [2, 2]} if op == "avg_pool" else window
    return workload_from_dict({"op": op, "name": op, **size, **window, **more})


@pytest.mark.parametrize("op", OPERATORS)
def test_every_configuration_of_a_layer(op):
    found = agree(make(op), SMALL, limit=10_000)
    assert {"ok", "vthread_split", "sram:acc", "dma_2d:acc", "uop_signature"} <= set(found)


@pytest.mark.parametrize("steps", ODD_ENDS)
def test_epilogues_that_do_not_run(steps):
    found = agree(make("add", epilogue=steps), SMALL, limit=30)
    assert "ok" not in found


def test_tiles_as_wide_and_high_as_the_padded_image():
    workload = make("max_pool", stride=[1, 1], height=6, width=6)
    machine = SMALL.replace(LOG_ACC_BUFF_SIZE=15)
    found = agree(workload, machine, limit=10_000)
    whole = Problem(workload, machine).knob_space.index(
        {"tile_h": 6, "tile_w": 6, "tile_co": 2, "oc_nthread": 1, "h_nthread": 1}
    )
    assert found["ok"] > 0
    assert verdict(workload, machine, whole) == "ok"


def test_micro_ops_that_do_not_fit():
    machine = SMALL.replace(LOG_UOP_BUFF_SIZE=6)
    found = agree(make("max_pool"), machine, limit=10_000)
    assert found["sram:uop"] > 0 < found["ok"]


@settings(max_examples=8)
@given(data=st.data())
def test_the_solver_finds_the_same(data):
    hardware = data.draw(machines())
    problem = Problem(data.draw(workloads(hardware)), hardware)
    assert enumerate_feasible(problem) == problem.feasible_indices().tolist()


# ---------------------------------------------------------------- what is computed


def test_a_sum_is_relays():
    workload = make("add", epilogue=[
        {"op": "max", "value": 0}, {"op": "add", "value": 2}, {"op": "shift_right", "by": 2},
        {"op": "clip", "min": -127, "max": 127}, {"op": "cast"},
    ])  # fmt: skip
    operands = random_operands(workload, SMALL, 3)
    left, (right,) = operands.data.astype(np.int64), operands.epilogue
    wanted = np.minimum(np.maximum(left + right, 0) + 2 >> 2, 127)
    assert len(np.unique(wanted)) > 100
    best = Simulator(workload, SMALL).space.indices[0]
    assert np.array_equal(execute(build(workload, SMALL, int(best)), operands).output, wanted)


@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
def test_a_pool_is_the_window_by_window_one(op):
    workload = make(op, height=11, padding=[1, 0])
    operands = random_operands(workload, SMALL, 3)
    (kh, kw), (sh, sw) = workload.kernel, workload.stride
    oh, ow = workload.output_size
    wanted = np.zeros(workload.pack(SMALL).output, dtype=np.int64)
    for y in range(oh):
        for x in range(ow):
            top = max(y * sh - 1, 0)
            part = operands.data[:, :, top : y * sh - 1 + kh, x * sw : x * sw + kw]
            value = part.max(axis=(2, 3)) if op == "max_pool" else part.sum(axis=(2, 3)) >> 2
            wanted[:, :, y, x] = value
    assert np.array_equal(reference(workload, SMALL, operands), wanted)
    index = int(Simulator(workload, SMALL).space.indices[-1])
    assert np.array_equal(execute(build(workload, SMALL, index), operands).output, wanted)


# ---------------------------------------------------------------- cycles


@settings(max_examples=12)
@given(data=st.data())
def test_the_bound_is_one(data):
    hardware = data.draw(machines())
    workload = data.draw(workloads(hardware))
    problem = Problem(workload, hardware)
    feasible = problem.feasible_indices()
    timing = data.draw(st.just(RTL) | timings())
    some = feasible[np.unique(np.linspace(0, len(feasible) - 1, 3).astype(int))[: len(feasible)]]
    for index, bound in zip(some.tolist(), cycle_bounds(problem, some, timing), strict=True):
        assert bound <= simulate_timing(build(workload, hardware, index), timing).cycles


def test_the_bound_is_near():
    for op in OPERATORS:
        workload = make(op, height=24, width=24)
        simulator = Simulator(workload)
        indices = simulator.space.indices
        cycles = simulator.cycles_many(indices.tolist())
        bounds = cycle_bounds(simulator.space.problem, indices, RTL)
        assert (bounds <= cycles).all()
        assert bounds[cycles.argmin()] > 0.6 * cycles.min()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("op", "change", "message"),
    [
        ("add", {"channels": 20}, "channels is 20, not a multiple of the block"),
        ("add", {"bias": True}, "bias is true: add has none, it is a step of the epilogue"),
        ("add", {"kernel": [1, 1]}, "'kernel' is no key of add; known are op, name"),
        ("max_pool", {"padding": [1, 3]}, r"padding\[1\] is 3; a window of 3 allows 0 to 2"),
        ("max_pool", {"kernel": [15, 3]}, "kernel is 15x3, larger than the padded input"),
        ("avg_pool", {"kernel": [33, 32], "height": 99, "width": 99, "epilogue": [{"op": "cast"}]},
         "at most 1024 are allowed"),
        ("avg_pool", {"kernel": [3, 3]}, "epilogue is missing: a window of 3x3 has 9 values"),
    ],
)  # fmt: skip
def test_what_is_no_layer_is_refused(op, change, message):
    with pytest.raises(WorkloadError, match=message):
        make(op, **change).pack(SMALL)


@pytest.mark.parametrize("op", OPERATORS)
def test_no_value_ends_in_another_error(op):
    refused = []
    keys = make(op).to_dict()
    for key in keys:
        for value in (*SIZES, *PAIRS, MAX_SIZE, [MAX_SIZE, MAX_SIZE], [1, MAX_SIZE], 1 << 20):
            try:
                Problem(workload_from_dict({**keys, key: value}), SMALL)
            except WorkloadError as error:
                refused.append(str(error))
    assert max(map(len, refused)) < 400
    assert not any("\n" in text for text in refused)
    assert len(refused) > 20 * len(keys)


def test_a_configuration_that_does_not_run_is_refused_with_its_cause():
    with pytest.raises(ProgramError, match="vthread_split: threads"):
        build(make("add"), SMALL, {
            "tile_h": 12, "tile_w": 1, "tile_co": 1, "oc_nthread": 1, "h_nthread": 2,
        })  # fmt: skip
