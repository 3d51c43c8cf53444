"""First batches: diversity, presampling, and the analytic bound against RTL and simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import feasible_layers
from tests.test_program import golden
from vtacsp import (
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
from vtacsp.simulate import PYNQ, RTL
from vtacsp.tune import (
    FeasibleSet,
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

(C10,) = find_workloads("resnet18.C10")
CASES = golden("cycles")["cases"]


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
    case = next(c for c in CASES if c["workload"]["name"] == "c-tiny14")
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
    feasible = FeasibleSet(compile(space.workload))
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


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['workload']['name']}-{c['memory_latency']}"
)
def test_the_bound_is_below_every_cycle_count_of_the_rtl_and_close(case):
    timing = RTL.override([f"memory_latency={case['memory_latency']}"])
    bounds = cycle_bounds(layer(case), np.array(case["indices"]), timing)
    ratio = bounds / np.array(case["cycles"])
    assert ratio.max() <= 1
    assert np.median(ratio) > 0.93


def test_the_best_of_the_rtl_has_nearly_the_lowest_bound():
    positions = []
    for case in CASES:
        if case["memory_latency"] != 16:
            continue
        cycles = np.array(case["cycles"])
        order = np.argsort(cycle_bounds(layer(case), np.array(case["indices"])), kind="stable")
        positions.append(np.flatnonzero(cycles[order] == cycles.min())[0] + 1)
        assert cycles[order[0]] <= 1.001 * cycles.min()
    assert np.exp(np.log(positions).mean()) < 1.2
    assert max(positions) <= 3


@settings(max_examples=60)
@given(feasible_layers(), st.sampled_from([RTL, PYNQ]))
def test_the_bound_is_below_the_simulator_on_random_layers(case, timing):
    workload, hardware, index = case
    (bound,) = cycle_bounds(Problem(workload, hardware), np.array([index]), timing)
    assert bound <= Simulator(workload, hardware, timing).cycles(index)


@pytest.mark.parametrize("name", ["c-tiny14", "d-small", "dcgan.small", "group.small"])
def test_cp_sat_finds_the_lowest_bounds(name):
    problem = layer(next(c for c in CASES if c["workload"]["name"] == name))
    space = search_space(problem.workload, problem.hardware)
    found = lowest_bounds(space, 6)
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
        space = FeasibleSet(part)
        found = lowest_bounds(space, 5)
        bounds = cycle_bounds(part.problem, part.collapsed().indices)
        assert len(found) == 5
        assert all(index in space for index in found)
        assert cycle_bounds(part.problem, np.array(found)).tolist() == sorted(bounds)[:5]
