"""Independent implementations agree: CP-SAT, the vectorised check, the naive loop nests."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import naive
from tests.support.strategies import configured_layers, layers
from tests.support.truth import measured, truth
from vtacsp import KnobSpace, Problem, compile
from vtacsp.space.cpsat import ProblemModel, enumerate_feasible


@settings(max_examples=400)
@given(configured_layers())
def test_naive_loop_nests_and_rules_report_the_same_cause(case):
    workload, hardware, index = case
    config = KnobSpace.of(workload, hardware).config(index)
    expected = naive.verdict(workload.to_dict(), hardware.to_dict(), config)
    assert Problem(workload, hardware, stack_only=True).causes([index]) == [expected]


@settings(max_examples=25)
@given(layers())
def test_naive_loop_nests_and_compiled_space_hold_the_same_set(case):
    workload, hardware = case
    knob_space = KnobSpace.of(workload, hardware)
    expected = [
        index
        for index, config in enumerate(knob_space)
        if naive.verdict(workload.to_dict(), hardware.to_dict(), config) == "ok"
    ]
    assert compile(workload, hardware, stack_only=True).indices.tolist() == expected


@settings(max_examples=25)
@given(layers())
def test_cp_sat_and_compiled_space_hold_the_same_set(case):
    workload, hardware = case
    problem = Problem(workload, hardware)
    assert enumerate_feasible(problem) == problem.feasible_indices().tolist()


@settings(max_examples=60)
@given(configured_layers())
def test_cp_sat_decides_single_configurations_alike(case):
    workload, hardware, index = case
    problem = Problem(workload, hardware)
    model = ProblemModel([problem], config=problem.knob_space.config(index))
    assert (model.solve() is not None) == (problem.causes([index]) == ["ok"])


@settings(max_examples=60)
@given(layers())
def test_grid_and_columns_evaluate_alike(case):
    workload, hardware = case
    problem = Problem(workload, hardware)
    everything = np.arange(len(problem.knob_space))
    feasible = problem.first_violations(everything) < 0
    assert np.flatnonzero(feasible).tolist() == problem.feasible_indices().tolist()
    assert (~problem.violations(everything).any(axis=0) == feasible).all()


@given(st.data())
def test_naive_loop_nests_agree_with_the_real_stack(data):
    case = data.draw(st.sampled_from([*truth().values(), *measured()]))
    position = data.draw(st.integers(0, len(case.indices) - 1))
    config = case.problem.knob_space.config(case.indices[position])
    workload = case.workload.to_dict()
    assert naive.verdict(workload, case.hardware.to_dict(), config) == case.causes[position]
