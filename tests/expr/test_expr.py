"""The expression language: one meaning over numbers, arrays, the solver and text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ortools.sat.python import cp_model

from vtacsp import RuleError
from vtacsp.expr import (
    Symbol,
    all_of,
    any_of,
    choose,
    count,
    evaluate,
    if_else,
    maximum,
    minimum,
    named,
    pow2,
    table,
    to_text,
    truth,
)
from vtacsp.expr.solver import Encoder

DOMAINS = {"a": (1, 2, 3, 6), "b": (0, 1, 4), "c": (2, 5)}
a, b, c = (Symbol(name) for name in DOMAINS)


def _zigzag(x, y):
    return (x * 7 + y * 3) % 5


numbers = st.recursive(
    st.sampled_from([a, b, c]) | st.integers(-3, 6).map(lambda n: a * 0 + n),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
        inner.map(lambda n: n // 3),
        inner.map(lambda n: n % 4),
        st.tuples(inner, inner).map(lambda p: minimum(*p)),
        st.tuples(inner, inner).map(lambda p: maximum(*p)),
        st.tuples(inner, inner).map(lambda p: if_else(p[0] < p[1], p[1], p[0] + 1)),
        st.tuples(inner, inner).map(lambda p: table("zigzag", _zigzag, *p)),
        inner.map(lambda n: pow2(n % 5)),
        st.tuples(inner, inner).map(lambda p: count(p[0] == p[1], p[0] <= 2)),
    ),
    max_leaves=6,
)
conditions = st.recursive(
    st.tuples(numbers, numbers, st.sampled_from(["<", "<=", "==", "!=", ">", ">="])).map(
        lambda t: {
            "<": t[0] < t[1],
            "<=": t[0] <= t[1],
            "==": t[0] == t[1],
            "!=": t[0] != t[1],
            ">": t[0] > t[1],
            ">=": t[0] >= t[1],
        }[t[2]]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        inner.map(lambda p: ~p),
        st.tuples(inner, inner, inner).map(lambda p: choose(*p)),
        st.tuples(inner, inner).map(lambda p: p[0].implies(p[1])),
    ),
    max_leaves=4,
)

POINTS = [(x, y, z) for x in DOMAINS["a"] for y in DOMAINS["b"] for z in DOMAINS["c"]]


def _by_text(node, point):
    """A third reading: the printed text, evaluated by Python itself."""
    names = {
        "min": min, "max": max, "pow2": lambda n: 1 << n if n >= 0 else 0, "zigzag": _zigzag,
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
