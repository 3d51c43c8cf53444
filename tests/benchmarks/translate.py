"""Rules as plain Python functions over the knobs, for the engines of other people.

One translation for all of them: rule expression -> Python source.  Workload and hardware
values are folded in, conjunctions are split, and every constraint has the smallest scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vtacsp.expr.nodes import Bool, Const, Expression, Symbol, Table, Truth

__all__ = ["Constraint", "conjunction", "translate"]

_NEGATED = {"<=": ("<", True), "<": ("<=", True), "==": ("!=", False), "!=": ("==", False)}
_FOLD: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "min": min,
    "max": max,
    "pow2": lambda a: 1 << a if a >= 0 else 0,
}


@dataclass(eq=False)
class _Term:
    """A folded expression; equal terms are one object (see :class:`_Folder`)."""

    operator: str  # const, symbol, call, or an operator of the rule language
    operands: tuple[_Term, ...]
    value: Any = None  # of a constant; name of a symbol; function of a call

    @cached_property
    def scope(self) -> frozenset[str]:
        if self.operator == "symbol":
            return frozenset({self.value})
        return frozenset().union(*(term.scope for term in self.operands))

    @cached_property
    def calls(self) -> bool:
        return self.operator == "call" or any(term.calls for term in self.operands)

    @cached_property
    def size(self) -> int:
        return 1 + sum(term.size for term in self.operands)


class _Folder:
    """Rule expressions with the constants folded in, sub-expressions shared by structure."""

    def __init__(self, constants: Mapping[str, int], prefix: str = "") -> None:
        self.constants = constants
        self.prefix = prefix
        self._terms: dict[tuple[Any, ...], _Term] = {}
        self._done: dict[int, tuple[Expression, _Term]] = {}

    def fold(self, node: Expression) -> _Term:
        known = self._done.get(id(node))
        if known is None:
            known = (node, self._fold(node))
            self._done[id(node)] = known
        return known[1]

    def _fold(self, node: Expression) -> _Term:
        if isinstance(node, (Const, Truth)):
            return self.const(node.value)
        if isinstance(node, Symbol):
            if node.name in self.constants:
                return self.const(self.constants[node.name])
            shared = node.name.startswith("LOG_")
            return self.make("symbol", value=node.name if shared else self.prefix + node.name)
        operands = [self.fold(child) for child in node.operands]
        if isinstance(node, Table):
            if all(term.operator == "const" for term in operands):
                return self.const(node.function(*(term.value for term in operands)))
            return self.make("call", *operands, value=node.function)
        return self.apply(node.operator, *operands)  # type: ignore[attr-defined]

    def const(self, value: Any) -> _Term:
        return self.make("const", value=value)

    def make(self, operator: str, *operands: _Term, value: Any = None) -> _Term:
        key = (operator, type(value), value, *map(id, operands))
        return self._terms.setdefault(key, _Term(operator, operands, value))

    def apply(self, operator: str, *operands: _Term) -> _Term:
        if operator in ("and", "or"):
            return self._connect(operator, operands)
        if operator == "not":
            return self._negate(operands[0])
        if operator == "if":
            return self._choose(*operands)
        if all(term.operator == "const" for term in operands):
            return self.const(_FOLD[operator](*(term.value for term in operands)))
        left, *rest = operands
        right = rest[0] if rest else left
        if (operator, left.value) in (("+", 0), ("*", 1)) and left.operator == "const":
            return right
        neutral = (("+", 0), ("-", 0), ("*", 1), ("//", 1))
        if (operator, right.value) in neutral and right.operator == "const":
            return left
        if operator == "*" and 0 in [term.value for term in operands if term.operator == "const"]:
            return self.const(0)
        if operator == "%" and right.operator == "const" and right.value == 1:
            return self.const(0)
        return self.make(operator, *operands)

    def _connect(self, operator: str, operands: Iterable[_Term]) -> _Term:
        decides = operator == "or"
        flat: dict[int, _Term] = {}
        for term in operands:
            if term.operator == "const":
                if bool(term.value) is decides:
                    return self.const(decides)
                continue
            for part in term.operands if term.operator == operator else (term,):
                flat[id(part)] = part
        if not flat:
            return self.const(not decides)
        # what is dear comes last: Python stops at the first operand that decides
        terms = sorted(flat.values(), key=lambda term: (term.calls, term.size))
        return terms[0] if len(terms) == 1 else self.make(operator, *terms)

    def _negate(self, term: _Term) -> _Term:
        if term.operator == "const":
            return self.const(not term.value)
        if term.operator == "not":
            return term.operands[0]
        if term.operator in ("and", "or"):
            other = "or" if term.operator == "and" else "and"
            return self._connect(other, [self._negate(part) for part in term.operands])
        if term.operator in _NEGATED:
            operator, swapped = _NEGATED[term.operator]
            return self.make(operator, *(term.operands[::-1] if swapped else term.operands))
        return self.make("not", term)

    def _choose(self, condition: _Term, then: _Term, otherwise: _Term) -> _Term:
        if condition.operator == "const":
            return then if condition.value else otherwise
        return then if then is otherwise else self.make("if", condition, then, otherwise)


def _conjuncts(term: _Term) -> list[_Term]:
    if term.operator == "const":
        return [] if term.value else [term]
    return list(term.operands) if term.operator == "and" else [term]


class _Writer:
    """Python source of one function; what is used twice is computed once, calls stay guarded."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.functions: dict[str, Callable[..., int]] = {}

    def function(self, name: str, parameters: Sequence[str], terms: Sequence[_Term]) -> str:
        uses: dict[int, int] = {}
        order: list[_Term] = []
        for term in terms:
            self._count(term, uses, order)
        for term in order:  # children first
            if uses[id(term)] > 1 and term.operands and not term.calls:
                text = self.text(term)
                self.names[id(term)] = f"_{len(self.names)}"
                self.lines.append(f"    {self.names[id(term)]} = {text}")
        result = " and ".join(self.text(term) for term in terms) or "True"
        body = [f"def {name}({', '.join(parameters)}):", *self.lines, f"    return {result}"]
        return "\n".join(body) + "\n"

    def _count(self, term: _Term, uses: dict[int, int], order: list[_Term]) -> None:
        uses[id(term)] = uses.get(id(term), 0) + 1
        if uses[id(term)] == 1:
            for part in term.operands:
                self._count(part, uses, order)
            order.append(term)

    def text(self, term: _Term) -> str:
        if id(term) in self.names:
            return self.names[id(term)]
        parts = [self.text(part) for part in term.operands]
        match term.operator:
            case "const":
                return str(term.value)
            case "symbol":
                return str(term.value)
            case "call":
                name = f"{term.value.__name__}_{id(term.value)}"
                self.functions[name] = term.value
                return f"{name}({', '.join(parts)})"
            case "min" | "max":
                test = "<" if term.operator == "min" else ">"
                return f"({parts[0]} if {parts[0]} {test} {parts[1]} else {parts[1]})"
            case "pow2":
                return f"(1 << {parts[0]} if {parts[0]} >= 0 else 0)"
            case "if":
                if parts[1:] == ["1", "0"]:
                    return parts[0]  # a truth value counts as a number
                return f"({parts[1]} if {parts[0]} else {parts[2]})"
            case "not":
                return f"(not {parts[0]})"
        return "(" + f" {term.operator} ".join(parts) + ")"


@dataclass(frozen=True)
class Constraint:
    """One condition that a configuration meets: a Python function of the names in ``scope``."""

    term: _Term
    scope: tuple[str, ...]
    source: str
    holds: Callable[..., bool]

    @property
    def calls(self) -> bool:
        """Whether there is a call of a procedure in it."""
        return self.term.calls


def _compile(terms: Sequence[_Term], scope: Sequence[str]) -> tuple[str, Callable[..., bool]]:
    writer = _Writer()
    source = writer.function("holds", scope, terms)
    namespace: dict[str, Any] = dict(writer.functions)
    exec(source, namespace)  # our own source
    return source, namespace["holds"]


def translate(
    conditions: Iterable[Bool],
    constants: Mapping[str, int],
    variables: Sequence[str],
    prefix: str = "",
) -> list[Constraint]:
    """Conditions as independent constraints over ``variables``, the cheap ones first.

    Knobs get the prefix (there are several layers), hardware symbols are shared.
    """
    folder = _Folder(constants, prefix)
    terms = {id(term): term for c in conditions for term in _conjuncts(folder.fold(c))}
    ordered = sorted(terms.values(), key=lambda t: (t.calls, len(t.scope), t.size))
    result = []
    for term in ordered:
        scope = tuple(name for name in variables if name in term.scope)
        source, holds = _compile([term], scope)
        result.append(Constraint(term, scope, source, holds))
    return result


def conjunction(constraints: Sequence[Constraint], variables: Sequence[str]) -> Callable[..., bool]:
    """Several constraints as one function; it stops at the first that fails."""
    namespace: dict[str, Any] = {}
    tests = []
    for i, constraint in enumerate(constraints):
        # plain expressions are written out, the others are called
        lines = constraint.source.splitlines()
        if len(lines) == 2:
            tests.append(lines[1].removeprefix("    return "))
            namespace.update(constraint.holds.__globals__)
        else:
            namespace[f"_holds{i}"] = constraint.holds
            tests.append(f"_holds{i}({', '.join(constraint.scope)})")
    body = " and ".join(tests) or "True"
    exec(f"def holds({', '.join(variables)}):\n    return {body}", namespace)
    return namespace["holds"]
