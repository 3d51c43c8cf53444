"""The knob grid: AutoTVM's candidates, order and index."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.strategies import configured_layers, layers
from vtacsp import ConfigError, KnobSpace, VTAConfig, build, compile, find_workloads

C8 = KnobSpace.of(find_workloads("resnet18.C8")[0], VTAConfig())


@given(configured_layers())
def test_index_and_configuration_round_trip(case):
    workload, hardware, index = case
    space = KnobSpace.of(workload, hardware)
    assert space.index(space.config(index)) == index
    columns = space.columns(np.array([index]))
    assert {name: int(column[0]) for name, column in columns.items()} == space.config(index)


def test_the_first_knob_is_the_fastest_digit():
    assert C8.names == (
        "tile_b", "tile_h", "tile_w", "tile_ci", "tile_co", "oc_nthread", "h_nthread",
    )  # fmt: skip
    assert C8.config(1)["tile_h"] == 2
    assert C8.config(4)["tile_w"] == 2
    assert C8.config(len(C8) - 1) == {
        "tile_b": 1, "tile_h": 14, "tile_w": 14, "tile_ci": 16, "tile_co": 16,
        "oc_nthread": 2, "h_nthread": 2,
    }  # fmt: skip


def test_configurations_that_differ_in_an_inert_knob_are_one_program():
    workload = find_workloads("resnet18.C11")[0]
    batched = replace(workload, batch=6)
    space = KnobSpace.of(batched, VTAConfig())
    programs = space.program(np.arange(len(space)))
    assert len(space) == 4 * 576
    assert len(np.unique(programs)) == space.programs() == 576
    for index in (0, 1, 3, 777, len(space) - 1):
        config = space.config(index)
        assert space.config(int(programs[index])) == {**config, "tile_b": 1}


@settings(max_examples=60)
@given(layers())
def test_configurations_are_one_program_exactly_where_the_builder_says_so(layer):
    workload, hardware = layer
    space = compile(workload, hardware)
    feasible = space.indices[:: len(space) // 40 + 1]
    by_program = {}
    for index, representative in zip(feasible, space.knob_space.program(feasible), strict=True):
        program = build(workload, hardware, int(index))
        binary = program.encode().tobytes() + program.encode_micro_ops().tobytes()
        by_program.setdefault(binary, set()).add(int(representative))
    assert all(len(representatives) == 1 for representatives in by_program.values())
    assert len(by_program) == len(np.unique(space.knob_space.program(feasible)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**C8.config(0), "tile_x": 1}, "unknown knob 'tile_x'; knobs are tile_b"),
        ({**C8.config(0), "tile_h": 3}, "tile_h is 3, allowed are 1, 2, 7, 14"),
        ({"tile_b": 1}, "knob h_nthread is missing"),
    ],
)
def test_a_configuration_outside_the_grid_is_one_clear_error(config, message):
    with pytest.raises(ConfigError, match=message):
        C8.index(config)


@pytest.mark.parametrize("index", [-1, 1600, True, 1.5, "3"])
def test_an_index_outside_the_grid_is_one_clear_error(index):
    with pytest.raises(ConfigError, match=r"out of range|is an integer"):
        C8.config(index)


@given(st.integers(0, 1599))
def test_iteration_is_in_index_order(index):
    assert next(c for i, c in enumerate(C8) if i == index) == C8.config(index)
