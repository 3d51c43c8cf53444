"""Expressions over numpy: every symbol is a number or an array, arrays broadcast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vtacsp.errors import RuleError
from vtacsp.expr.nodes import Apply, Const, Expression, Relation, Symbol, Table, Truth

__all__ = ["Env", "evaluate", "pow2_array", "pow2_scalar"]

Value = Any
"""A Python number, or a numpy array of int64 or bool."""


class Env:
    """Values of symbols; shared sub-expressions are computed once per environment.

    ``evaluate(node)`` returns a Python number when no symbol under it is an array.
    Raises :class:`~vtacsp.errors.RuleError` for a symbol that has no value.

    >>> n = Symbol("n")
    >>> env = Env({"n": np.array([1, 2, 3])})
    >>> env.evaluate(n * n).tolist(), env.evaluate(n > 1).tolist()
    ([1, 4, 9], [False, True, True])
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values
        # keyed by identity; the node is kept so that its id stays its own
        self._done: dict[int, tuple[Expression, Value]] = {}

    def evaluate(self, node: Expression) -> Value:
        """Value of an expression."""
        known = self._done.get(id(node))
        if known is not None:
            return known[1]
        value = self._compute(node)
        self._done[id(node)] = (node, value)
        return value

    def _compute(self, node: Expression) -> Value:
        if isinstance(node, (Const, Truth)):
            return node.value
        if isinstance(node, Symbol):
            try:
                return self.values[node.name]
            except KeyError:
                known = ", ".join(sorted(self.values))
                raise RuleError(f"unknown symbol {node.name}; known are {known}") from None
        if isinstance(node, Relation) and node.operator in ("and", "or"):
            return self._connect(node)
        arguments = [self.evaluate(child) for child in node.operands]
        if isinstance(node, Table):
            return _tabulate(node, arguments)
        assert isinstance(node, (Apply, Relation))
        scalar = not any(isinstance(a, np.ndarray) for a in arguments)
        return (_SCALAR if scalar else _ARRAY)[node.operator](*arguments)

    def _connect(self, node: Relation) -> Value:
        """Connectives stop at the first constant that decides them.

        Operands that are tabulated are computed only where the others leave it open.
        """
        decides = node.operator == "or"
        result: Value = not decides
        for child in sorted(node.operands, key=lambda operand: operand.tabulated):
            if child.tabulated and isinstance(result, np.ndarray):
                result = self._where_open(child, result, decides)
                continue
            value = self.evaluate(child)
            if not isinstance(value, np.ndarray):
                if bool(value) is decides:
                    return decides
            elif not isinstance(result, np.ndarray):
                result = value
            else:
                result = (result | value) if decides else (result & value)
        return result

    def _where_open(self, child: Expression, known: Any, decides: bool) -> Any:
        symbols = sorted(child.symbols & self.values.keys())
        arrays = np.broadcast_arrays(known, *(self.values[name] for name in symbols))
        result = arrays[0].copy()
        places = np.nonzero(result != decides)
        if len(places[0]):
            columns = {
                name: array[places]
                if isinstance(self.values[name], np.ndarray)
                else int(array.flat[0])
                for name, array in zip(symbols, arrays[1:], strict=True)
            }
            result[places] = Env(columns).evaluate(child)
        return result


def evaluate(node: Expression, values: Mapping[str, Value]) -> Value:
    """Value of one expression; see :class:`Env`.

    >>> evaluate(Symbol("h") * Symbol("w"), {"h": 7, "w": np.array([1, 14])}).tolist()
    [7, 98]
    """
    return Env(values).evaluate(node)


def _tabulate(node: Table, arguments: list[Value]) -> Value:
    """The function of every combination of arguments that occurs, each computed once."""
    varying = [k for k, a in enumerate(arguments) if isinstance(a, np.ndarray)]
    if not varying:
        return int(node.function(*map(int, arguments)))
    arrays = np.broadcast_arrays(*(arguments[k] for k in varying))
    rows = np.stack([a.ravel() for a in arrays], axis=1)
    unique, inverse = np.unique(rows, axis=0, return_inverse=True)
    numbers = [a if isinstance(a, np.ndarray) else int(a) for a in arguments]
    results = np.empty(len(unique), dtype=np.int64)
    for place, row in enumerate(unique.tolist()):
        for k, value in zip(varying, row, strict=True):
            numbers[k] = value
        results[place] = node.function(*numbers)
    return results[inverse.ravel()].reshape(arrays[0].shape)


def pow2_scalar(exponent: int) -> int:
    """Two to the power of a number, 0 for a negative one."""
    return 1 << exponent if exponent >= 0 else 0


def pow2_array(exponent: Any) -> Any:
    """:func:`pow2_scalar` of every element."""
    return np.where(exponent < 0, 0, np.left_shift(1, np.clip(exponent, 0, 62)))


_SHARED: dict[str, Callable[..., Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_SCALAR: dict[str, Callable[..., Value]] = {
    **_SHARED,
    "min": min,
    "max": max,
    "pow2": pow2_scalar,
    "if": lambda c, a, b: a if c else b,
    "not": lambda a: not a,
}
_ARRAY: dict[str, Callable[..., Value]] = {
    **_SHARED,
    "min": np.minimum,
    "max": np.maximum,
    "pow2": pow2_array,
    "if": lambda c, a, b: np.where(c, a, b) if isinstance(c, np.ndarray) else (a if c else b),
    "not": np.logical_not,
}
