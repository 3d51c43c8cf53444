"""One currency: what takes a configuration takes its AutoTVM index, and the other way around."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import vtacsp
from vtacsp import ConfigError, Dense, MeasureError, SearchError, Simulator
from vtacsp.tune import (
    ExecutorMeasurer,
    FunctionMeasurer,
    GeneticSearcher,
    GridSearcher,
    ModelSearcher,
    RandomSearcher,
    Result,
    SimulatorMeasurer,
    TableMeasurer,
    WholeGrid,
    search_space,
)

LAYER = Dense(name="small", in_features=64, out_features=64)
SPACE = vtacsp.compile(LAYER)
INDICES = SPACE.indices[:3].tolist()
CONFIGS = [SPACE.knob_space.config(index) for index in INDICES]
MIXED = [INDICES[0], *CONFIGS[1:]]


def test_spaces():
    for space in (SPACE, search_space(SPACE), WholeGrid(SPACE)):
        assert all(index in space for index in INDICES)
        assert all(config in space for config in CONFIGS)
    searched = search_space(SPACE)
    assert [searched.config(index) for index in INDICES] == CONFIGS
    assert [searched.config(config) for config in CONFIGS] == CONFIGS
    for index, config in zip(INDICES, CONFIGS, strict=True):
        assert SPACE.rank(index) == SPACE.rank(config)
        assert SPACE.neighbours(index) == SPACE.neighbours(config)
        assert SPACE.explain(index) == SPACE.explain(config)


def test_simulators():
    device = Simulator(SPACE)
    cycles = device.cycles_many(INDICES).tolist()
    assert device.cycles_many(MIXED).tolist() == cycles
    assert [device.cycles(config) for config in CONFIGS] == cycles
    assert [device.run(config).cycles for config in CONFIGS] == cycles
    assert device.sequence(CONFIGS).tolist() == device.sequence(INDICES).tolist()


def test_measurers():
    here = SimulatorMeasurer(SPACE)
    expected = {index: result.seconds for index, result in here.measure(INDICES)}
    table = TableMeasurer({i: Result((s,)) for i, s in expected.items()}, task=here.task)
    others = ExecutorMeasurer(here, lambda: ThreadPoolExecutor(1), jobs=1)
    for measurer in (here, table, others):
        with measurer:
            found = {index: result.seconds for index, result in measurer.measure(MIXED)}
        assert found == expected


def test_a_measurer_of_no_layer_wants_an_index():
    with pytest.raises(MeasureError, match="knows of no layer: give it the configuration's index"):
        next(FunctionMeasurer(lambda index: 1e-3).measure(CONFIGS))
    with pytest.raises(ConfigError, match="knob oc_nthread is missing"):
        next(SimulatorMeasurer(SPACE).measure([{"tile_b": 1, "tile_co": 1}]))


@pytest.mark.parametrize("searcher", [RandomSearcher, GridSearcher, GeneticSearcher, ModelSearcher])
def test_searchers(searcher):
    space = search_space(SPACE)
    assert searcher(space, initial=[*MIXED, INDICES[1]]).next_batch(3) == INDICES
    unfit = next(i for i in range(len(space.knob_space)) if i not in space)
    with pytest.raises(SearchError, match=f"initial: index {unfit} is not of"):
        searcher(space, initial=[space.knob_space.config(unfit)])
