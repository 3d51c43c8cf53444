"""Conditions from text: what is printed is read again, and what is no condition is one line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.support.conditions import DOMAINS, a, b, c, conditions, zigzag
from vtacsp import RuleError
from vtacsp.expr import Symbol, evaluate, parse, table, to_text, told

WORDS = {"a": a, "b": b, "c": c}
FUNCTIONS = {"zigzag": lambda x, y: table("zigzag", zigzag, x, y)}
GRID = {
    name: grid.ravel()
    for name, grid in zip(DOMAINS, np.meshgrid(*DOMAINS.values()), strict=True)
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(conditions)
def test_what_is_printed_means_the_same_when_it_is_read(condition):
    text = to_text(condition)
    if len(text) > 400:
        return
    again = parse(text, WORDS, FUNCTIONS)
    assert np.array_equal(
        np.broadcast_to(evaluate(condition, GRID), GRID["a"].shape),
        np.broadcast_to(evaluate(again, GRID), GRID["a"].shape),
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a <= 2", [1, 2]),
        (" 1 < a <= 3 ", [2, 3]),
        ("not a == 2 and a != 6", [1, 3]),
        ("(a >= 2) & ~(a > 3) | (a == 6)", [2, 3, 6]),
        ("max(a, 3) == 3", [1, 2, 3]),
        ("pow2(a) % 5 == 4", [2, 6]),
        ("(a if a > 2 else 0 - a) < -1", [2]),
        ("[a > 1] + [a > 2] == 1", [2]),
        ("a == 'two' or a == [3, 3]", [2, 6]),
    ],
)
def test_what_a_text_says(text, values):
    def literal(name, value):
        assert name == "a"
        return {"two": 2, (3, 3): 6}[value]

    holds = evaluate(parse(text, WORDS, literal=literal), {"a": np.array(DOMAINS["a"])})
    assert [n for n, held in zip(DOMAINS["a"], holds, strict=True) if held] == values


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no condition"),
        ("a <=", "no condition"),
        ("a", "a is no condition, such as `a <= 2`"),
        ("a + 1", "no condition"),
        ("2", "no condition"),
        ("a <= 2.5", "2.5 is no number"),
        ("a <= True", "True is no number"),
        ("a < b < (c < 2)", "no number"),
        ("a // b == 1", "divide by is a number of at least 1"),
        ("a % 0 == 1", "divide by is a number of at least 1"),
        ("a ** 9 == 1", "numbers are made by"),
        ("a in b", "compare by"),
        ("alpha == 1", "alpha is no word; known are a, b, c"),
        ("a == 99999999999", "numbers are at most 2,147,483,647"),
        ("a == 'one'", "is no number"),
        ("sum(a) == 1", "sum is no function; known are min, max, pow2"),
        ("a.b(1) == 1", "is no function"),
        ("max(a, key=b) == 1", "takes another number of values"),
        ("min() == 1", "takes another number of values"),
        ("pow2(a, b) == 1", "takes another number of values"),
        ("__import__('os').system('x') == 1", "is no function"),
        ("(lambda: 1)() == 1", "is no function"),
        ("a == 1\nb == 2", "no condition"),
        ("a == 1 or " * 50 + "b == 1", "characters, at most 400 are read"),
        ("(" * 190 + "a" + ")" * 190 + " <= 1 and", ""),
        ("not " * 90 + "a", ""),
        ("a == \0", "no condition"),
    ],
)
def test_what_is_no_condition_is_one_line(text, why):
    with pytest.raises(RuleError, match=r"^the rule ") as error:
        parse(text, WORDS)
    assert why in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_word_that_is_nearly_one_is_named():
    with pytest.raises(RuleError, match="tile_hh is no word; is tile_h meant"):
        parse("tile_hh == 1", {"tile_h": Symbol("tile_h")})


def test_words_in_quotes_are_compared_for_equality_only():
    with pytest.raises(RuleError, match="compared by == and !="):
        parse("a < 'two'", WORDS, literal=lambda *_: 2)


def test_what_a_condition_compares_is_told():
    condition = parse("a + 1 <= b * c and (not a == 3 or max(a, b) > 2)", WORDS)
    assert list(told(condition)) == ["a + 1", "b * c", "a", "max(a, b)"]
