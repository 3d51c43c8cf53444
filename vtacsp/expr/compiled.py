"""Conditions as one generated numpy function: what :class:`Env` computes, without the walk.

The function is written once per set of conditions and serves every workload and machine: values
that do not depend on an array stay Python numbers, equal sub-expressions are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.expr.evaluate import pow2_array, pow2_scalar
from vtacsp.expr.nodes import Apply, Bool, Const, Expression, Relation, Symbol, Truth, any_of

__all__ = ["Conjunction", "conjunction"]

Function = Callable[[Mapping[str, Any]], Any]

CORE_AXES = 3
AT_ONCE = 1 << 20  # points of the grid that are looked at together
TRUE, FALSE = "(True)", "(False)"

_INFIX = ("+", "-", "*", "//", "%", "<=", "<", "==", "!=")


class Conjunction:
    """All of several conditions over a grid; made by :func:`conjunction`, which keeps it.

    ``procedures`` are the conditions with a table in them.  They are left to the caller, who is
    told where their formulas settle them already: see :meth:`select`.
    """

    def __init__(self, conditions: Sequence[Bool], axes: frozenset[str]) -> None:
        self.procedures: list[Bool] = []
        formulas: list[Bool] = []
        settled: list[Bool] = []
        for part in (part for condition in conditions for part in _operands(condition, "and")):
            if part.tabulated:
                self.procedures.append(part)
                settled.append(any_of(*(p for p in _operands(part, "or") if not p.tabulated)))
            else:
                formulas.append(part)
        self._axes = frozenset().union(*(n.symbols & axes for n in (*formulas, *settled)))
        self._core = _core([node.symbols & axes for node in formulas], axes)
        first = [node for node in formulas if node.symbols & axes <= self._core]
        second = [node for node in formulas if not node.symbols & axes <= self._core]
        self._parts = ([first], [second, settled])
        # padded or not, grouped or not, biased or not: what these leave out is not computed
        self._guards = _guards([*formulas, *settled], axes)
        self._guard = _function([self._guards], axes, {})
        self._variants: dict[tuple[bool, ...], list[Function]] = {}
        self._grid = axes

    def _functions(self, constants: Mapping[str, int]) -> list[Function]:
        """The two steps, written for these values of the guards."""
        key = tuple(map(bool, self._guard(constants)[0]))
        functions = self._variants.get(key)
        if functions is None:
            truths = {id(node): value for node, value in zip(self._guards, key, strict=True)}
            functions = [_function(part, self._grid, truths) for part in self._parts]
            self._variants[key] = functions
        return functions

    def select(
        self, constants: Mapping[str, int], axes: Mapping[str, IntArray]
    ) -> tuple[IntArray, list[BoolArray]]:
        """Points of the grid where all formulas hold, and which procedures hold there too.

        Points are mixed-radix numbers, ascending, the first axis is the fastest digit.  A
        procedure has to be evaluated where its mask is false.
        """
        sizes = [len(values) for values in axes.values()]
        strides = dict(zip(axes, accumulate(sizes[:-1], mul, initial=1), strict=True))
        # the core axes first; what is left of them is one axis of the second step
        core = [name for name in axes if name in self._core]
        others = [name for name in axes if name in self._axes - self._core]
        shape = tuple(len(axes[name]) for name in core)
        first, second = self._functions(constants)
        (masks,) = first({**constants, **_spread(core, axes, 0)})
        digits = np.nonzero(_all(masks, shape))
        values = {name: axes[name][digit] for name, digit in zip(core, digits, strict=True)}
        offset = sum(digit * strides[name] for name, digit in zip(core, digits, strict=True))

        rows = tuple(len(axes[name]) for name in others)
        spread = _spread(others, axes, 1)
        found: list[list[IntArray]] = []
        some = max(AT_ONCE // max(prod(rows), 1), 1)
        for begin in range(0, max(len(digits[0]), 1), some):
            part = slice(begin, begin + some)
            shape = (*rows, len(digits[0][part]))
            few = {name: column[part] for name, column in values.items()}
            masks, settled = second({**constants, **few, **spread})
            places = np.nonzero(_all(masks, shape))
            points = np.asarray(offset)[part][places[-1]]
            for name, digit in zip(others, places, strict=False):
                points = points + digit * strides[name]
            known = [np.broadcast_to(mask, shape)[places] for mask in settled]
            found.append([points, *known])
        points, *known = map(np.concatenate, zip(*found, strict=True))
        for name in axes.keys() - self._axes - self._core:  # no condition looks at them
            steps = np.arange(len(axes[name])) * strides[name]
            points = (points[:, None] + steps).ravel()
            known = [np.repeat(mask, len(steps)) for mask in known]
        order = np.argsort(points)
        return points[order], [mask[order] for mask in known]


def _core(scopes: Sequence[frozenset[str]], axes: frozenset[str]) -> frozenset[str]:
    """The few axes within which most conditions are decided."""
    candidates = {scope for scope in scopes if 0 < len(scope) <= CORE_AXES}
    return max(
        sorted(candidates, key=sorted),
        key=lambda candidate: sum(scope <= candidate for scope in scopes),
        default=frozenset(sorted(axes)[:1]),
    )


def _spread(names: Sequence[str], axes: Mapping[str, IntArray], inner: int) -> dict[str, Any]:
    """Each axis as a dimension of its own, in front of ``inner`` others."""
    rank = len(names)
    return {
        name: axes[name].reshape(-1, *[1] * (rank - 1 - i + inner)) for i, name in enumerate(names)
    }


def _all(masks: Sequence[Any], shape: tuple[int, ...]) -> BoolArray:
    """Conjunction of masks that broadcast, small ones first."""
    of_shape: dict[tuple[int, ...], Any] = {}
    for mask in masks:
        own = np.shape(mask)
        of_shape[own] = mask & of_shape[own] if own in of_shape else mask
    holds: Any = True
    for own in sorted(of_shape, key=prod):
        holds = holds & of_shape[own]
    return np.broadcast_to(holds, shape)


@lru_cache(maxsize=64)
def conjunction(conditions: tuple[Bool, ...], axes: frozenset[str]) -> Conjunction:
    """The generated function of these conditions, written when they are first met."""
    return Conjunction(conditions, axes)


def _guards(conditions: Sequence[Bool], arrays: frozenset[str]) -> list[Bool]:
    """Conditions over numbers only that decide about something with arrays."""
    found: dict[int, Bool] = {}
    seen: set[int] = set()

    def visit(node: Expression) -> None:
        if id(node) in seen or not node.symbols & arrays:
            return
        seen.add(id(node))
        for child in node.operands:
            if isinstance(child, Relation) and not child.symbols & arrays:
                found[id(child)] = child
            visit(child)

    for condition in conditions:
        visit(condition)
    return list(found.values())


def _function(
    conditions: Sequence[Sequence[Bool]], arrays: frozenset[str], truths: Mapping[int, bool]
) -> Function:
    writer = _Writer(arrays, truths)
    return writer.function([[writer.name(node) for node in nodes] for nodes in conditions])


def _operands(node: Bool, operator: str) -> list[Bool]:
    if isinstance(node, Relation) and node.operator == operator:
        return [part for child in node.operands for part in _operands(child, operator)]  # type: ignore[arg-type]
    return [node]


class _Writer:
    """One line per distinct expression; numbers and arrays are told apart beforehand."""

    def __init__(self, arrays: frozenset[str], truths: Mapping[int, bool]) -> None:
        self._arrays = arrays
        self._truths = truths  # conditions whose value is known when this is written
        self._lines: list[str] = []
        self._of_node: dict[int, tuple[Expression, str]] = {}
        self._of_text: dict[str, str] = {}
        self._array_names: set[str] = set()

    def name(self, node: Expression) -> str:
        """The variable (or literal) that holds an expression."""
        known = self._of_node.get(id(node))
        if known is None:
            known = (node, self._write(node))
            self._of_node[id(node)] = known
        return known[1]

    def function(self, results: list[list[str]]) -> Function:
        """The function of all lines so far."""
        returned = "".join(f"[{', '.join(names)}], " for names in results)
        lines = ["def function(values):", *self._lines, f"return ({returned})"]
        namespace: dict[str, Any] = {
            "where": np.where, "minimum": np.minimum, "maximum": np.maximum,
            "logical_not": np.logical_not, "pow2": pow2_scalar, "pow2_array": pow2_array,
        }  # fmt: skip
        exec("\n    ".join(lines), namespace)  # the text comes from typed nodes only
        function: Function = namespace["function"]
        return function

    def _write(self, node: Expression) -> str:
        if isinstance(node, (Const, Truth)):
            return f"({node.value})"
        if isinstance(node, Symbol):
            return self._line(f"values[{node.name!r}]", node.name in self._arrays)
        if id(node) in self._truths:
            return f"({self._truths[id(node)]})"
        assert isinstance(node, (Apply, Relation))
        if isinstance(node, Relation) and node.operator in ("and", "or"):
            return self._connect(node)
        first = self.name(node.operands[0])
        if first in (TRUE, FALSE) and node.operator in ("if", "not"):
            if node.operator == "not":
                return FALSE if first == TRUE else TRUE
            return self.name(node.operands[1 if first == TRUE else 2])
        names = [first, *(self.name(child) for child in node.operands[1:])]
        if node.operator == "*" and "(1)" in names:
            return names[1 - names.index("(1)")]
        if node.operator == "+" and "(0)" in names:
            return names[1 - names.index("(0)")]
        array = any(name in self._array_names for name in names)
        return self._line((_array if array else _scalar)(node.operator, names), array)

    def _connect(self, node: Relation) -> str:
        """Operands that are known come first: what they decide is not written at all."""
        decides, neutral = (TRUE, FALSE) if node.operator == "or" else (FALSE, TRUE)
        names: list[str] = []
        for child in sorted(node.operands, key=lambda child: id(child) not in self._truths):
            name = self.name(child)
            if name == decides:
                return decides
            if name != neutral and name not in names:
                names.append(name)
        if len(names) < 2:
            return names[0] if names else neutral
        array = any(name in self._array_names for name in names)
        return self._line((_array if array else _scalar)(node.operator, names), array)

    def _line(self, text: str, array: bool) -> str:
        name = self._of_text.get(text)
        if name is None:
            name = f"v{len(self._of_text)}"
            self._of_text[text] = name
            self._lines.append(f"{name} = {text}")
            if array:
                self._array_names.add(name)
        return name


def _scalar(operator: str, names: list[str]) -> str:
    if operator in (*_INFIX, "and", "or"):
        return f" {operator} ".join(names)
    if operator == "if":
        return f"{names[1]} if {names[0]} else {names[2]}"
    if operator == "not":
        return f"not {names[0]}"
    return f"{operator}({', '.join(names)})"


def _array(operator: str, names: list[str]) -> str:
    if operator in _INFIX:
        return f" {operator} ".join(names)
    if operator in ("and", "or"):
        return (" & " if operator == "and" else " | ").join(names)
    if operator == "if" and names[1:] == ["(1)", "(0)"]:
        return f"{names[0]} * 1"
    function = {"if": "where", "not": "logical_not", "min": "minimum", "max": "maximum",
                "pow2": "pow2_array"}[operator]  # fmt: skip
    return f"{function}({', '.join(names)})"
