"""Search spaces: both views answer alike, and every move of the feasible one is feasible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import feasible_layers
from vtacsp import Rule, SpaceError, compile, suite
from vtacsp.expr import Symbol
from vtacsp.tune import FeasibleGrid, WholeGrid, search_space

C10 = next(w for w in suite("resnet18") if w.name == "resnet18.C10")


@st.composite
def spaces(draw):
    workload, hardware, _ = draw(feasible_layers())
    if draw(st.booleans()):
        return WholeGrid(workload, hardware)
    return FeasibleGrid(compile(workload, hardware))


@given(spaces(), st.integers(0, 2**32 - 1))
def test_neighbours_are_of_the_space_and_differ_as_little_as_possible(space, seed):
    rng = np.random.default_rng(seed)
    here = space.sample(min(len(space), 20), rng)
    there = space.random_neighbours(here, rng)
    digits = space.digits(space.indices())
    for a, b in zip(here.tolist(), there.tolist(), strict=True):
        assert b in space
        if len(space) == 1:
            assert a == b
            continue
        changed = (digits != space.digits(np.array([a]))).sum(axis=1)
        least = changed[changed > 0].min()
        assert (space.digits(np.array([a])) != space.digits(np.array([b]))).sum() == least


@given(spaces(), st.integers(0, 2**32 - 1))
def test_access_and_sampling(space, seed):
    rng = np.random.default_rng(seed)
    indices = space.indices().tolist()
    assert len(indices) == len(space)
    assert [space.index(rank) for rank in range(len(space))] == indices
    assert sorted(space.sample(len(space), rng).tolist()) == indices
    grid = range(len(space.knob_space))
    assert [i for i in grid if i in space] == indices
    excluded = set(indices[1:])
    assert space.draw(rng, excluded) == indices[0]
    assert space.draw(rng, set(indices)) is None


def test_a_step_of_the_grid_is_autotvms_random_walk():
    space = WholeGrid(C10)
    start = np.full(20_000, 17)
    rng = np.random.default_rng(0)
    found, counts = np.unique(space.random_neighbours(start, rng), return_counts=True)
    # its loop, by the book: draw a knob, draw a value, again until something changed
    sizes = space.knob_space.shape
    digits = space.digits(np.array([17]))[0].tolist()
    seen: dict[int, int] = {}
    for _ in range(20_000):
        knob = digits.copy()
        while knob == digits:
            position = rng.integers(len(sizes))
            knob[position] = int(rng.integers(sizes[position]))
        index = sum(d * int(np.prod(sizes[:i])) for i, d in enumerate(knob))
        seen[index] = seen.get(index, 0) + 1
    assert set(found.tolist()) == set(seen)
    expected = np.array([seen[i] for i in found.tolist()])
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected.max())


def test_steps_reach_every_other_value_of_a_line_equally():
    space = search_space(C10)
    start = space.index(3)
    rng = np.random.default_rng(1)
    moved, counts = np.unique(
        space.random_neighbours(np.full(20_000, start), rng), return_counts=True
    )
    here = space.digits(np.array([start]))[0]
    knob = (space.digits(moved) != here).argmax(axis=1)
    for position in np.unique(knob):
        of_knob = counts[knob == position]
        assert of_knob.min() > 0.7 * of_knob.max()


def test_features_are_knob_values():
    space = search_space(C10)
    indices = space.indices()[:5]
    expected = [list(space.config(i).values()) for i in indices.tolist()]
    assert space.features(indices).tolist() == expected


def test_collapsed_spaces_can_be_searched():
    layer = next(w for w in suite("resnet18") if w.name == "resnet18.C11")
    batched = replace(layer, batch=4)
    feasible = compile(batched)
    assert len(FeasibleGrid(feasible.collapsed())) == feasible.programs() < len(feasible)


def test_errors():
    space = search_space(C10)
    with pytest.raises(SpaceError, match="out of range, there are"):
        space.index(len(space))
    with pytest.raises(SpaceError, match="cannot sample"):
        space.sample(len(space) + 1, np.random.default_rng(0))
    never = Rule.of("never", Symbol("tile_h") < 0)
    with pytest.raises(SpaceError, match="no feasible"):
        FeasibleGrid(compile(C10, rules=[never]))
