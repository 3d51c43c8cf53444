"""Expressions as text, for the catalogue of rules and for error messages."""

from __future__ import annotations

from vtacsp.expr.nodes import Apply, Const, Expression, Relation, Symbol, Table, Truth

__all__ = ["definitions", "to_text"]

_PRECEDENCE = {
    "or": 1,
    "and": 2,
    "not": 3,
    "<=": 4,
    "<": 4,
    "==": 4,
    "!=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "//": 6,
    "%": 6,
    ">": 4,
    ">=": 4,
}
_ATOM = 9
_FLIPPED = {"<": ">", "<=": ">="}
_NEGATED = {"<=": ">", "<": ">=", "==": "!=", "!=": "=="}


def to_text(node: Expression, *, expand: bool = False) -> str:
    """Python-like text of an expression; ``expand`` spells out its own label.

    >>> from vtacsp.rules.symbols import oc_nthread, tile_h
    >>> to_text((oc_nthread == 1) | (tile_h >= 7))
    'oc_nthread == 1 or tile_h >= 7'
    """
    return _text(node, expand)[0]


def definitions(*nodes: Expression) -> dict[str, Expression]:
    """Labelled expressions under the given ones, each after those it is made of.

    >>> tile = named("tile", Symbol("h") * Symbol("w"))
    >>> {name: to_text(node, expand=True) for name, node in definitions(2 * tile <= 64).items()}
    {'tile': 'h * w'}
    """
    found: dict[str, Expression] = {}

    def visit(node: Expression) -> None:
        for child in node.operands:
            visit(child)
        if node.label:
            found.setdefault(node.label, node)

    for node in nodes:
        visit(node)
    return found


def _text(node: Expression, expand: bool = False) -> tuple[str, int]:
    if node.label and not expand:
        return node.label, _ATOM
    if isinstance(node, Const):
        return str(node.value), _ATOM
    if isinstance(node, Truth):
        return str(node.value).lower(), _ATOM
    if isinstance(node, Symbol):
        return node.name, _ATOM
    if isinstance(node, Table):
        return f"{node.name}({', '.join(map(to_text, node.operands))})", _ATOM
    assert isinstance(node, (Apply, Relation))
    return _operation(node.operator, node.operands)


def _operation(operator: str, operands: tuple[Expression, ...]) -> tuple[str, int]:
    if operator == "if":
        condition, then, otherwise = map(to_text, operands)
        if (then, otherwise) == ("1", "0"):
            return f"[{condition}]", _ATOM
        return f"({then} if {condition} else {otherwise})", _ATOM
    if operator in ("min", "max", "pow2"):
        return f"{operator}({', '.join(map(to_text, operands))})", _ATOM
    level = _PRECEDENCE[operator]
    if operator == "not":
        inner = operands[0]
        if isinstance(inner, Relation) and inner.operator in _NEGATED:
            return _operation(_NEGATED[inner.operator], inner.operands)
        return f"not {_wrap(inner, level)}", level
    if operator in _FLIPPED and isinstance(operands[0], Const):
        return _operation(_FLIPPED[operator], operands[::-1])
    # - // % do not associate: the right operand keeps its parentheses
    strict = operator in ("-", "//", "%", "*")
    parts = [_wrap(child, level + (strict and i > 0)) for i, child in enumerate(operands)]
    return f" {operator} ".join(parts), level


def _wrap(node: Expression, level: int) -> str:
    text, own = _text(node)
    return text if own >= level else f"({text})"
