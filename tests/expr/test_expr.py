"""The expression language: one meaning over numbers, arrays, the solver and text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from ortools.sat.python import cp_model

from tests.support.conditions import DOMAINS, a, b, c, conditions, zigzag
from vtacsp import RuleError
from vtacsp.expr import (
    Symbol,
    all_of,
    any_of,
    evaluate,
    named,
    table,
    to_text,
    truth,
)
from vtacsp.expr.solver import Encoder

POINTS = [(x, y, z) for x in DOMAINS["a"] for y in DOMAINS["b"] for z in DOMAINS["c"]]


def _by_text(node, point):
    """A third reading: the printed text, evaluated by Python itself."""
    names = {
        "min": min, "max": max, "pow2": lambda n: 1 << n if n >= 0 else 0, "zigzag": zigzag,
        "true": True, "false": False, **dict(zip("abc", point, strict=True)),
    }  # fmt: skip
    text = to_text(node).replace("[", "int(").replace("]", ")")
    return eval(text, {"__builtins__": {"int": int}}, names)


@given(conditions)
def test_scalars_arrays_and_text_agree(condition):
    scalar = [bool(evaluate(condition, dict(zip("abc", p, strict=True)))) for p in POINTS]
    columns = {n: np.array([p[i] for p in POINTS]) for i, n in enumerate("abc")}
    array = np.broadcast_to(evaluate(condition, columns), len(POINTS))
    axes = dict(zip("abc", np.ix_(*DOMAINS.values()), strict=True))
    grid = np.broadcast_to(evaluate(condition, axes), [len(d) for d in DOMAINS.values()])
    assert array.astype(bool).tolist() == scalar
    assert grid.astype(bool).ravel().tolist() == scalar
    assert [bool(_by_text(condition, p)) for p in POINTS] == scalar


class _Solutions(cp_model.CpSolverSolutionCallback):
    def __init__(self, variables):
        super().__init__()
        self.variables, self.found = variables, []

    def on_solution_callback(self):
        self.found.append(tuple(self.value(v) for v in self.variables))


@settings(max_examples=60)
@given(conditions)
def test_the_solver_finds_exactly_the_points_that_hold_once_each(condition):
    model = cp_model.CpModel()
    encoder = Encoder(model, DOMAINS, {})
    encoder.require(condition)
    solver = cp_model.CpSolver()
    solver.parameters.enumerate_all_solutions = True
    solver.parameters.num_workers = 1
    collector = _Solutions([encoder.variables[n] for n in "abc"])
    solver.solve(model, collector)
    expected = [p for p in POINTS if evaluate(condition, dict(zip("abc", p, strict=True)))]
    assert sorted(collector.found) == sorted(expected)


def test_unknown_symbol_is_named():
    with pytest.raises(RuleError, match="unknown symbol nope; known are a"):
        evaluate(Symbol("nope") + 1, {"a": 1})


def test_an_expression_has_no_truth_value():
    with pytest.raises(TypeError, match="use &"):
        bool(a < b)
    with pytest.raises(TypeError, match="use &"):
        bool(a + b)


def test_constants_decide_connectives():
    assert to_text(all_of()) == "true"
    assert to_text(any_of()) == "false"
    assert to_text(all_of(a < b, truth(False))) == "false"
    assert to_text(any_of(a < b, truth(False))) == "a < b"


def test_a_named_expression_is_printed_by_its_name():
    size = named("size", a * b)
    assert to_text(size + 1 <= c) == "size + 1 <= c"
    assert to_text(size, expand=True) == "a * b"


def test_tables_are_called_only_where_the_rest_leaves_it_open():
    seen = set()

    def record(x):
        seen.add(x)
        return 1

    condition = (a <= 2) | (table("record", record, a) == 1)
    evaluate(condition, {"a": np.array([1, 2, 3, 6])})
    assert seen == {3, 6}
