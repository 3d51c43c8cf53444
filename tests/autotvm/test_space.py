"""A pruned space answers as AutoTVM's own filter would, and never with an infeasible index."""

from __future__ import annotations

import pickle
import random

import cloudpickle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtacsp
from vtacsp import ConfigError, Rule, SpaceError, VTAConfig
from vtacsp.autotvm import create_task, prune
from vtacsp.autotvm.pruning import HAS_FILTER, PrunedSpace
from vtacsp.autotvm.tvm_task import config_of
from vtacsp.rules.symbols import h_nthread, oc_nthread, tile_ci, tile_co, tile_h, tile_w

(C10,) = vtacsp.find_workloads("resnet18.C10")
FEASIBLE = vtacsp.compile(C10)
GRID = len(FEASIBLE.knob_space)
needs_filter = pytest.mark.skipif(not HAS_FILTER, reason="this TVM's spaces have no filter")


@pytest.fixture
def pruned():
    task = create_task(C10)
    prune(task)
    return task.config_space


def filtered():
    """The same space by AutoTVM's own means."""
    space = create_task(C10).config_space
    space.multi_filter(lambda entities: config_of(entities) in FEASIBLE)
    return space


PRUNED_TASK, THEIRS = create_task(C10), filtered() if HAS_FILTER else None
prune(PRUNED_TASK)
OURS = PRUNED_TASK.config_space


def test_prune_returns_the_feasible_space():
    found = prune(create_task(C10))
    assert found.indices.tolist() == FEASIBLE.indices.tolist()
    assert len(OURS) == len(FEASIBLE) == 132


@needs_filter
def test_every_index_is_judged_as_autotvm_would():
    assert len(OURS) == len(THEIRS)
    assert OURS.range_length == THEIRS.range_length == GRID
    assert OURS.dims == THEIRS.dims
    assert OURS._shared_filter_cache is not None
    valid = [OURS.is_index_valid(i) for i in range(GRID)]
    assert valid == [THEIRS.is_index_valid(i) for i in range(GRID)]
    assert OURS._shared_filter_cache == THEIRS._shared_filter_cache
    for index in FEASIBLE.indices.tolist():
        assert str(OURS.get(index)) == str(THEIRS.get(index))
        assert OURS.knob2point(OURS.point2knob(index)) == index


bounds = st.one_of(st.none(), st.integers(1, GRID))


@needs_filter
@settings(max_examples=300)
@given(data=st.data(), step=st.integers(-40, 40).filter(bool))
def test_next_index_and_subranges_are_those_of_autotvm(data, step):
    start = data.draw(st.integers(0, GRID - 1))
    end = data.draw(st.integers(start + 1, GRID))
    index = data.draw(st.integers(start, end - 1))
    assert OURS.subrange_length(start, end) == THEIRS.subrange_length(start, end)
    for range_ in ({}, {"start": start}, {"end": end}, {"start": start, "end": end}):
        assert OURS.get_next_index(index, step, **range_) == THEIRS.get_next_index(
            index, step, **range_
        )


@needs_filter
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(0, 132))
def test_what_is_drawn_is_feasible(seed, m):
    random.seed(seed)
    np.random.seed(seed)
    drawn = OURS.sample_ints(m)
    assert len(set(drawn.tolist())) == m
    for index in [*drawn.tolist()[:5], OURS.get_rand_index(), OURS.get_rand_index(100, 300)]:
        assert OURS.is_index_valid(index)
        neighbour = OURS.random_walk(index)
        assert OURS.is_index_valid(neighbour)
        here, there = OURS.point2knob(index), OURS.point2knob(neighbour)
        assert sum(a != b for a, b in zip(here, there, strict=True)) == 1
    assert 100 <= OURS.get_rand_index(100, 300) < 300
    rest = OURS.get_rand_index(to_exclude=drawn.tolist()) if m < 132 else None
    assert rest not in drawn.tolist()


@needs_filter
def test_draws_reach_the_whole_space():
    random.seed(0)
    np.random.seed(0)
    everything = set(FEASIBLE.indices.tolist())
    assert {OURS.get_rand_index() for _ in range(3000)} == everything
    point, seen = OURS.get_rand_index(), set()
    for _ in range(20000):
        point = OURS.random_walk(point)
        seen.add(point)
    assert seen == everything


@needs_filter
def test_questions_without_an_answer_are_errors(pruned):
    infeasible = next(i for i in range(GRID) if not pruned.is_index_valid(i))
    with pytest.raises(IndexError, match=f"index {infeasible} is not in the pruned space: "):
        pruned.get(infeasible)
    for call in (
        lambda: pruned.get(GRID),
        lambda: pruned.is_index_valid(-1),
        lambda: pruned.sample_ints(133),
        lambda: pruned.get_next_index(0, 0),
        lambda: pruned.get_rand_index(to_exclude=FEASIBLE.indices.tolist()),
        lambda: pruned.get_rand_index(infeasible, infeasible + 1),
    ):
        with pytest.raises(SpaceError):
            call()


@needs_filter
def test_a_space_of_one_does_not_hang():
    only = int(FEASIBLE.indices[7])
    knobs = FEASIBLE.knob_space.config(only)
    symbols = {s.name: s for s in (tile_h, tile_w, tile_ci, tile_co, oc_nthread, h_nthread)}
    rules = [Rule.of(f"only_{n}", s == knobs[n]) for n, s in symbols.items()]
    task = create_task(C10)
    assert prune(task, rules=rules).indices.tolist() == [only]
    assert task.config_space.random_walk(only) == only
    assert task.config_space.get_rand_index() == only
    assert task.config_space.random_walk(next(i for i in range(GRID) if i != only)) == only


@needs_filter
def test_filters_add_up(pruned):
    def even(entities):
        return entities["tile_co"].size[1] % 2 == 0

    before = create_task(C10)
    before.config_space.multi_filter(even)
    prune(before)
    pruned.multi_filter(even)
    wanted = [
        i for i in FEASIBLE.indices.tolist() if FEASIBLE.knob_space.config(i)["tile_co"] % 2 == 0
    ]
    for space in (before.config_space, pruned):
        assert [i for i in range(GRID) if space.is_index_valid(i)] == wanted
        assert len(space) == len(wanted)
        space.clear_cache()
        assert (len(space), space.range_length) == (len(wanted), GRID)


def test_user_rules_and_distinct_programs():
    (layer,) = (w for w in vtacsp.suite("resnet18") if w.name == "resnet18.C9")
    layer = vtacsp.Conv2D(**{**layer.__dict__, "batch": 4, "extra": {}})
    everything = prune(create_task(layer))
    programs = prune(create_task(layer), distinct=True)
    assert len(programs) == everything.programs() < len(everything)
    single = prune(create_task(layer), rules=[Rule.of("one", (oc_nthread == 1) & (h_nthread == 1))])
    assert 0 < len(single) < len(everything)
    assert all(c["oc_nthread"] == c["h_nthread"] == 1 for c in single)


def test_refusals():
    with pytest.raises(SpaceError, match="is pruned already"):
        prune(PRUNED_TASK)
    with pytest.raises(ConfigError, match="tile_h has the candidates"):
        prune(create_task(C10), workload=vtacsp.suite("resnet18")[0])
    nothing = Rule.of("nothing", tile_h < 1)
    with pytest.raises(SpaceError, match="nothing is feasible"):
        prune(create_task(C10), rules=[nothing])
    task = create_task(C10)
    with pytest.raises(vtacsp.HardwareError, match=r"sim_1x16_.*sim_1x32_"):
        prune(task, VTAConfig(log_block=5))
    assert len(task.config_space) == GRID


@pytest.mark.parametrize("module", [pickle, cloudpickle], ids=lambda m: m.__name__)
def test_a_pruned_task_travels_to_workers(module):
    task = module.loads(module.dumps(PRUNED_TASK))
    space = task.config_space
    assert len(space) == len(OURS)
    assert len(module.dumps(OURS)) < 100_000
    points = FEASIBLE.indices.tolist() if isinstance(space, PrunedSpace) else range(len(space))
    assert [str(space.get(p)) for p in points] == [str(OURS.get(p)) for p in points]
