"""First batches: diversity, presampling, and the analytic bound against RTL and simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.golden import cycle_case, golden, names
from tests.support.strategies import feasible_layers, timings
from vtacsp import (
    Conv2D,
    FeasibleSpace,
    Problem,
    Rule,
    SearchError,
    Simulator,
    VTAConfig,
    compile,
    find_workloads,
    suite,
    workload_from_dict,
)
from vtacsp.rules.symbols import tile_co
from vtacsp.timing import PYNQ, RTL
from vtacsp.tune import (
    FeasibleGrid,
    WholeGrid,
    cycle_bound,
    cycle_bounds,
    diverse,
    lowest_bounds,
    presample,
    ranked,
    search_space,
    uniform,
)
from vtacsp.tune.ranking import lowest

(C10,) = find_workloads("resnet18.C10")


def layer(case):
    return Problem(workload_from_dict(case["workload"]), VTAConfig.from_dict(case["hardware"]))


# ---------------------------------------------------------------- sampling


def test_uniform_and_diverse():
    grid, feasible = search_space(C10, feasible=False), search_space(C10)
    for space in (grid, feasible):
        for strategy in (uniform, diverse):
            chosen = strategy(space, 20, seed=3)
            assert len(set(chosen)) == 20
            assert all(index in space for index in chosen)
            assert chosen == strategy(space, 20, seed=3) != strategy(space, 20, seed=4)
            assert len(strategy(space, 10**6)) == len(space)

    def nearest(chosen):
        digits = feasible.digits(np.array(chosen))
        distance = np.abs(digits[:, None] - digits[None]).sum(axis=2)
        return (distance + 99 * np.eye(len(chosen), dtype=int)).min()

    assert nearest(diverse(feasible, 8)) > max(nearest(uniform(feasible, 8, s)) for s in range(5))


def test_ranked_by_the_simulator_starts_with_the_best_of_the_rtl():
    case = cycle_case("c-tiny14-16")
    problem = layer(case)
    simulator = Simulator(problem.workload, problem.hardware)
    first = ranked(search_space(problem.workload), 1, simulator.cycles_many)
    cycles = dict(zip(case["indices"], case["cycles"], strict=True))
    assert cycles[first[0]] <= 1.005 * min(cycles.values())


def test_errors():
    space = search_space(C10)
    with pytest.raises(SearchError, match="n is -1"):
        uniform(space, -1)
    with pytest.raises(SearchError, match="cost gave"):
        ranked(space, 1, lambda indices: np.zeros(3))
    with pytest.raises(SearchError, match="no cycle bound for 'pool'"):
        cycle_bound("pool")


# ---------------------------------------------------------------- Rieber et al.


def test_presampling_follows_the_published_rules():
    space = WholeGrid(suite("resnet18")[0])
    feasible = FeasibleGrid(compile(space.workload))
    asked = []

    def valid(index):
        asked.append(index)
        return index in feasible

    sample = presample(space, seed=1, valid=valid)
    assert sample.calls == len(asked) == len(set(asked)) == 1000  # min(1000, size)
    assert set(sample.valid) == set(asked) & set(feasible.indices().tolist())
    first = presample(space, seed=1, valid=lambda index: False, limit=64)
    assert set(asked[:64]) == set(first.invalid)
    # every neighbour of an early valid one was asked before the calls ran out
    good = next(i for i in asked if i in feasible)
    digits = space.digits(space.indices())
    step = np.abs(digits - digits[good]).sum(axis=1) == 1
    assert set(np.flatnonzero(step).tolist()) <= set(asked)
    # valid configurations cluster: the method meets more of them than chance
    assert len(sample.valid) / sample.calls > 1.5 * len(feasible) / len(space)
    assert presample(space, seed=1) == sample


def test_presampling_of_a_small_space_ends_with_it():
    space = WholeGrid(C10)
    sample = presample(space)
    assert sample.calls <= len(space)
    assert set(sample.bias) == {*sample.valid, *sample.invalid}
    assert {sample.bias[i] for i in sample.valid} == {1.0}
    assert {sample.bias[i] for i in sample.invalid} == {-1e6}


def test_the_initial_set_is_balanced():
    sample = presample(WholeGrid(C10), seed=2)
    good, bad = sample.initial(50)
    assert (len(good), len(bad)) == (25, 25)
    assert set(good) <= set(sample.valid)
    assert set(bad) <= set(sample.invalid)
    nothing = presample(WholeGrid(C10), valid=lambda index: False)
    assert [len(part) for part in nothing.initial(50)] == [0, 50]
    everything = presample(WholeGrid(C10), valid=lambda index: True)
    assert [len(part) for part in everything.initial(50)] == [50, 0]


# ---------------------------------------------------------------- the bound


# mean of (cycles - bound) / cycles over the configurations of a case, in units of 0.0001
GAPS = {
    "c-5x5-16": 47, "c-tiny14-bias-16": 98, "c-tiny14-16": 90, "d-1024-16": 259, "d-small-16": 193,
    "dcgan.small-16": 187, "group.small-16": 191, "k1-pad1-16": 337, "mobilenet.D7-16": 205,
    "resnet18.C10-16": 156, "resnet18.C11-16": 44, "resnet18.C2-16": 71, "resnet18.C3-16": 68,
    "resnet18.C4-16": 267, "resnet18.C5-16": 59, "resnet18.C6-16": 51, "resnet18.C7-16": 206,
    "resnet18.C8-16": 52, "resnet18.C9-16": 45, "c-tiny14-64": 81, "d-small-64": 98,
    "dcgan.small-64": 173, "group.small-64": 196, "resnet18.C10-64": 104,
}  # fmt: skip


@pytest.mark.parametrize("name", names("cycles"))
def test_the_bound_is_below_every_cycle_count_of_the_rtl_and_close(name):
    case = cycle_case(name)
    timing = RTL.override([f"memory_latency={case['memory_latency']}"])
    bounds = cycle_bounds(layer(case), np.array(case["indices"]), timing)
    ratio = bounds / np.array(case["cycles"])
    assert ratio.max() <= 1
    assert round(1e4 * (1 - ratio).mean()) <= GAPS[name]


def test_the_best_of_the_rtl_has_nearly_the_lowest_bound():
    positions = []
    for case in golden("cycles")["cases"]:
        if case["memory_latency"] != 16:
            continue
        cycles = np.array(case["cycles"])
        order = np.argsort(cycle_bounds(layer(case), np.array(case["indices"])), kind="stable")
        positions.append(np.flatnonzero(cycles[order] == cycles.min())[0] + 1)
        assert cycles[order[0]] <= 1.001 * cycles.min()
    assert np.exp(np.log(positions).mean()) < 1.2
    assert max(positions) <= 3


@settings(max_examples=200)
@given(feasible_layers(), st.sampled_from([RTL, PYNQ]) | timings())
def test_the_bound_is_below_the_simulator_on_random_layers_machines_and_timings(case, timing):
    workload, hardware, index = case
    problem = Problem(workload, hardware)
    feasible = problem.feasible_indices()
    indices = np.unique([index, *feasible[:: len(feasible) // 8 + 1]])
    bounds = cycle_bounds(problem, indices, timing)
    cycles = Simulator(workload, hardware, timing).cycles_many(indices.tolist())
    assert (bounds <= cycles).all()


def test_the_bound_is_below_the_simulator_where_memory_answers_at_once():
    """Found at random: six loads, each of which was taken for a cycle longer."""
    layer = Conv2D(name="six", in_channels=2, height=1, width=6, out_channels=2, kernel=(1, 1))
    machine = VTAConfig(
        log_block=1, log_uop_buff_size=5, log_inp_buff_size=4, log_wgt_buff_size=4,
        log_acc_buff_size=5,
    )  # fmt: skip
    timing = RTL.override(
        ["memory_latency=1", "request_delay=1", "narrow_drain=0", "bus_bytes=1", "burst_beats=64",
         "pipeline_depth=65", "write_latency=1", "sync_cycles=1", "queue_entries=2",
         "queue_delay=1", "restart_delay=1", "launch_delay=2", "fetch_restart=3", "fetch_drain=2"]
    )  # fmt: skip
    indices = np.array([0])
    bound = cycle_bounds(Problem(layer, machine), indices, timing)
    assert (bound <= Simulator(layer, machine, timing).cycles_many([0])).all()


LAYERS = {
    "conv2d": {"in_channels": 64, "height": 14, "width": 14, "kernel": [3, 3], "padding": [1, 1]},
    "conv2d_transpose": {"in_channels": 32, "height": 4, "width": 4, "kernel": [4, 4]},
    "group_conv2d": {"in_channels": 64, "height": 7, "width": 7, "kernel": [3, 3], "groups": 2},
    "dense": {"batch": 4, "in_features": 128, "out_features": 32},
}
SPATIAL = {"stride": [1, 1], "padding": [0, 0], "out_channels": 64}
EXTREMES = [
    ["burst_beats=8"],  # few instructions before the first runs
    ["restart_delay=64"],  # longer than a token takes to the other module
    ["token_delay=64"],
    ["write_reload=64"],  # a burst more instead of a reload
    ["narrow_drain=200"],  # padding is written while a load drains
    ["write_command=4000", "wide_drain=200"],  # kernels load beside the second thread's inputs
    ["queue_delay=0", "fetch_drain=0", "launch_delay=1", "sync_cycles=0", "pipeline_depth=0"],
    ["bus_bytes=128"],
]


@pytest.mark.parametrize("words", EXTREMES, ids=" ".join)
@pytest.mark.parametrize("op", LAYERS)
def test_the_bound_is_below_the_simulator_for_every_constant(op, words):
    base = {"op": op, "name": op, "batch": 1, **({} if op == "dense" else SPATIAL)}
    simulator = Simulator(workload_from_dict(base | LAYERS[op]), timing=RTL.override(words))
    indices = simulator.space.collapsed().indices
    bounds = cycle_bounds(simulator.space.problem, indices, simulator.timing)
    ratio = bounds / simulator.cycles_many(indices.tolist())
    assert ratio.max() <= 1
    assert np.median(ratio) > 0.85


@pytest.mark.parametrize("name", ["c-tiny14", "d-small", "dcgan.small", "group.small"])
def test_cp_sat_finds_the_lowest_bounds(name):
    problem = layer(cycle_case(f"{name}-16"))
    space = search_space(problem.workload, problem.hardware)
    found = lowest(space.problem, 6, RTL, space)
    assert found == lowest_bounds(space, 6)
    expected = ranked(space, 6, lambda indices: cycle_bounds(problem, indices))
    assert found == expected[: len(found)]
    assert len(found) == min(6, len(space))


def test_lowest_bounds_are_different_programs():
    workload = workload_from_dict(
        {"op": "dense", "name": "d", "batch": 4, "in_features": 64, "out_features": 32}
    )
    space = search_space(workload)
    found = np.array(lowest_bounds(space, 100))
    programs = space.knob_space.program(space.indices())
    assert len(found) == len(np.unique(programs)) < len(space)
    assert len(np.unique(space.knob_space.program(found))) == len(found)
    assert lowest_bounds(space, 0) == []


def test_lowest_bounds_are_of_the_space():
    """Under rules of the user's, and when only some of what is feasible is left."""
    rule = Rule.of("mine", tile_co == 1, "more than one block of output channels")
    feasible = compile(C10, rules=[rule])
    some = FeasibleSpace(feasible.problem, feasible.indices[1::3].copy())
    for part in (feasible, some):
        space = FeasibleGrid(part)
        found = lowest_bounds(space, 5)
        bounds = cycle_bounds(part.problem, part.collapsed().indices)
        assert len(found) == 5
        assert all(index in space for index in found)
        assert cycle_bounds(part.problem, np.array(found)).tolist() == sorted(bounds)[:5]
