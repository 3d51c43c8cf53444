"""How large the numbers in expressions become: numpy computes with 64 bits and does not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vtacsp.expr.nodes import Apply, Const, Expression, Relation, Symbol, Table, Truth

__all__ = ["LARGEST", "largest"]

LARGEST = 2**63 - 1
"""The largest number that an array holds."""

Interval = tuple[int, int]

_TABULATED: Interval = (-(2**31), 2**31)  # what procedures answer: codes and widths of fields
_TRUTH: Interval = (0, 1)


def largest(
    conditions: Iterable[Expression],
    ranges: Mapping[str, Interval],
    tabulated: Interval = _TABULATED,
) -> int:
    """An upper bound of every number, or minus every number, that comes up in expressions.

    ``ranges`` are the least and the greatest value of each symbol, ``tabulated`` those of
    procedures.
    """
    known: dict[int, Interval] = {}
    pending = list(conditions)
    while pending:  # no recursion: rules are deep
        node = pending[-1]
        missing = [child for child in node.operands if id(child) not in known]
        if missing:
            pending += missing
            continue
        pending.pop()
        if id(node) not in known:
            of = [known[id(c)] for c in node.operands]
            known[id(node)] = tabulated if isinstance(node, Table) else _interval(node, ranges, of)
    return max((max(-low, high) for low, high in known.values()), default=0)


def _interval(node: Expression, ranges: Mapping[str, Interval], of: list[Interval]) -> Interval:
    if isinstance(node, Symbol):
        return ranges[node.name]
    if isinstance(node, Const):
        return node.value, node.value
    if isinstance(node, (Relation, Truth)):
        return _TRUTH
    assert isinstance(node, Apply)
    if node.operator == "if":
        return min(of[1][0], of[2][0]), max(of[1][1], of[2][1])
    if node.operator == "pow2":
        low, high = of[0]
        return (1 << low if low >= 0 else 0), (1 << min(high, 63) if high >= 0 else 0)
    (a, b), (c, d) = of
    if node.operator == "+":
        return a + c, b + d
    if node.operator == "-":
        return a - d, b - c
    if node.operator == "min":
        return min(a, c), min(b, d)
    if node.operator == "max":
        return max(a, c), max(b, d)
    if node.operator == "*":
        corners = a * c, a * d, b * c, b * d
        return min(corners), max(corners)
    if node.operator == "//" and c > 0:
        corners = a // c, a // d, b // c, b // d
        return min(corners), max(corners)
    # divisors of any sign, and remainders: no larger than the operand
    most = max(-a, b, 0) if node.operator == "//" else max(-c, d, 0)
    return -most, most
