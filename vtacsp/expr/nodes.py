"""The nodes of the expression language: integers, truth values, and what joins them.

Expressions are immutable and may share sub-expressions; ``==`` on integers builds a comparison,
so nodes are compared by identity everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TypeVar, Union

from vtacsp.moved import keep_old_names

__all__ = [
    "Apply",
    "Bool",
    "Const",
    "Expression",
    "Int",
    "Symbol",
    "Table",
    "Truth",
    "all_of",
    "any_of",
    "choose",
    "const",
    "count",
    "if_else",
    "maximum",
    "minimum",
    "named",
    "pow2",
    "table",
    "truth",
]

keep_old_names(__name__)

IntLike = Union["Int", int]
BoolLike = Union["Bool", bool]


class Expression:
    """Anything in an expression; ``operands`` are its children.

    A node with a ``label`` is printed by that name, and defined once where names are explained.
    """

    operands: tuple[Expression, ...] = ()
    label: str = ""
    __hash__ = object.__hash__

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Names of all symbols under this node."""
        if isinstance(self, Symbol):
            return frozenset({self.name})
        return frozenset().union(*(child.symbols for child in self.operands))

    @cached_property
    def tabulated(self) -> bool:
        """Whether there is a :class:`Table` under this node."""
        return isinstance(self, Table) or any(child.tabulated for child in self.operands)


class Int(Expression):
    """An integer expression.

    >>> n = Symbol("n")
    >>> to_text((n + 1) * n // 2), to_text(n % 2 == 0)
    ('(n + 1) * n // 2', 'n % 2 == 0')
    """

    def __add__(self, other: IntLike) -> Int:
        return _int("+", self, other)

    def __radd__(self, other: int) -> Int:
        return _int("+", other, self)

    def __sub__(self, other: IntLike) -> Int:
        return _int("-", self, other)

    def __rsub__(self, other: int) -> Int:
        return _int("-", other, self)

    def __mul__(self, other: IntLike) -> Int:
        return _int("*", self, other)

    def __rmul__(self, other: int) -> Int:
        return _int("*", other, self)

    def __floordiv__(self, other: IntLike) -> Int:
        return _int("//", self, other)

    def __mod__(self, other: IntLike) -> Int:
        return _int("%", self, other)

    def __le__(self, other: IntLike) -> Bool:
        return _bool("<=", self, _as_int(other))

    def __lt__(self, other: IntLike) -> Bool:
        return _bool("<", self, _as_int(other))

    def __ge__(self, other: IntLike) -> Bool:
        return _bool("<=", _as_int(other), self)

    def __gt__(self, other: IntLike) -> Bool:
        return _bool("<", _as_int(other), self)

    def __eq__(self, other: IntLike) -> Bool:  # type: ignore[override]
        return _bool("==", self, _as_int(other))

    def __ne__(self, other: IntLike) -> Bool:  # type: ignore[override]
        return _bool("!=", self, _as_int(other))

    __hash__ = Expression.__hash__

    def __bool__(self) -> bool:
        raise TypeError("an expression has no truth value; use &, | and ~, not and, or, not")


class Bool(Expression):
    """An expression that is true or false.

    Conditions are joined by ``&``, ``|`` and ``~``:

    >>> n = Symbol("n")
    >>> even, small = n % 2 == 0, n < 8
    >>> evaluate(even & ~small, {"n": np.array([2, 9, 10])}).tolist()
    [False, False, True]
    >>> to_text(small.implies(even))
    'n >= 8 or n % 2 == 0'
    """

    def __and__(self, other: BoolLike) -> Bool:
        return all_of(self, other)

    def __rand__(self, other: bool) -> Bool:
        return all_of(other, self)

    def __or__(self, other: BoolLike) -> Bool:
        return any_of(self, other)

    def __ror__(self, other: bool) -> Bool:
        return any_of(other, self)

    def __invert__(self) -> Bool:
        return _bool("not", self)

    def implies(self, other: BoolLike) -> Bool:
        """``other`` must hold wherever this does."""
        return any_of(~self, other)

    __hash__ = Expression.__hash__

    def __bool__(self) -> bool:
        raise TypeError("an expression has no truth value; use &, | and ~, not and, or, not")


class Const(Int):
    """An integer constant."""

    def __init__(self, value: int) -> None:
        self.value = value


class Truth(Bool):
    """True or false as an expression."""

    def __init__(self, value: bool) -> None:
        self.value = value


class Symbol(Int):
    """A named integer that is bound later: a knob, a workload size or a hardware parameter.

    >>> rows = Symbol("tile_h", "output rows per tile")
    >>> evaluate(rows * 2, {"tile_h": 7})
    14
    """

    def __init__(self, name: str, meaning: str = "") -> None:
        self.name = name
        self.meaning = meaning


class Apply(Int):
    """An integer operator: + - * // % min max pow2 if."""

    def __init__(self, operator: str, *operands: Expression) -> None:
        self.operator = operator
        self.operands = operands


class Relation(Bool):
    """A comparison or a connective: <= < == != and or not."""

    def __init__(self, operator: str, *operands: Expression) -> None:
        self.operator = operator
        self.operands = operands


class Table(Int):
    """A named integer function of integers, tabulated where it is needed.

    For mechanisms that are a procedure and not a formula.  ``function`` must be pure.
    """

    def __init__(self, name: str, function: Callable[..., int], *operands: Int) -> None:
        self.name = name
        self.function = function
        self.operands = operands


def const(value: int) -> Int:
    """An integer constant.

    >>> evaluate(const(3) + 4, {})
    7
    """
    return Const(value)


def truth(value: bool) -> Bool:
    """A constant condition.

    >>> to_text(truth(True) & (Symbol("n") < 3))
    'n < 3'
    """
    return Truth(value)


def table(name: str, function: Callable[..., int], *operands: IntLike) -> Int:
    """A pure function of integers, named for people, tabulated for the solver.

    What no formula says in short, here the number of divisors:

    >>> def divisors(n):
    ...     return sum(n % k == 0 for k in range(1, n + 1))
    ...
    >>> evaluate(table("divisors", divisors, Symbol("n")), {"n": np.array([6, 7, 8])}).tolist()
    [4, 2, 4]
    """
    return Table(name, function, *map(_as_int, operands))


NodeT = TypeVar("NodeT", bound=Expression)


def named(label: str, node: NodeT) -> NodeT:
    """Give an expression a name for people; its value stays what it is.

    >>> tile = named("tile", Symbol("h") * Symbol("w"))
    >>> to_text(tile <= 64), to_text(tile, expand=True)
    ('tile <= 64', 'h * w')
    """
    node.label = label
    return node


def minimum(*operands: IntLike) -> Int:
    """The least operand.

    >>> evaluate(minimum(Symbol("n"), 4), {"n": np.array([2, 9])}).tolist()
    [2, 4]
    """
    return _fold("min", operands)


def maximum(*operands: IntLike) -> Int:
    """The greatest operand.

    >>> evaluate(maximum(Symbol("n"), 4), {"n": np.array([2, 9])}).tolist()
    [4, 9]
    """
    return _fold("max", operands)


def pow2(exponent: IntLike) -> Int:
    """Two to the power of ``exponent`` (0 for a negative one: less than one).

    >>> evaluate(pow2(Symbol("LOG_BLOCK")), {"LOG_BLOCK": 4})
    16
    """
    return _int("pow2", exponent)


def if_else(condition: BoolLike, then: IntLike, otherwise: IntLike) -> Int:
    """``then`` where the condition holds, ``otherwise`` elsewhere.

    >>> n = Symbol("n")
    >>> evaluate(if_else(n > 4, n - 4, 0), {"n": np.array([2, 9])}).tolist()
    [0, 5]
    """
    condition = _as_bool(condition)
    if isinstance(condition, Truth):
        return _as_int(then if condition.value else otherwise)
    return Apply("if", condition, _as_int(then), _as_int(otherwise))


def choose(condition: BoolLike, then: BoolLike, otherwise: BoolLike) -> Bool:
    """Like :func:`if_else`, for conditions.

    Large tiles have to be even, the others may be anything below 4:

    >>> n = Symbol("n")
    >>> evaluate(choose(n > 4, n % 2 == 0, n < 4), {"n": np.array([3, 4, 8, 9])}).tolist()
    [True, False, True, False]
    """
    condition = _as_bool(condition)
    return any_of(all_of(condition, then), all_of(~condition, otherwise))


def count(*conditions: BoolLike) -> Int:
    """How many of the conditions hold.

    >>> n = Symbol("n")
    >>> evaluate(count(n > 0, n > 4, n > 8), {"n": np.array([2, 9])}).tolist()
    [1, 3]
    """
    total: Int = Const(0)
    for condition in conditions:
        total = total + if_else(condition, 1, 0)
    return total


def all_of(*conditions: BoolLike) -> Bool:
    """Conjunction; true when there is no condition.

    >>> n = Symbol("n")
    >>> to_text(all_of(n > 2, n < 9, n % 2 == 0))
    'n > 2 and n < 9 and n % 2 == 0'
    """
    return _connect("and", conditions, neutral=True)


def any_of(*conditions: BoolLike) -> Bool:
    """Disjunction; false when there is no condition.

    >>> n = Symbol("n")
    >>> evaluate(any_of(n < 2, n > 8), {"n": np.array([1, 5, 9])}).tolist()
    [True, False, True]
    """
    return _connect("or", conditions, neutral=False)


def _as_int(value: IntLike) -> Int:
    if isinstance(value, Int):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Const(value)
    raise TypeError(f"an integer expression was expected, got {value!r}")


def _as_bool(value: BoolLike) -> Bool:
    if isinstance(value, Bool):
        return value
    if isinstance(value, bool):
        return Truth(value)
    raise TypeError(f"a condition was expected, got {value!r}")


def _int(operator: str, *operands: IntLike) -> Int:
    nodes = tuple(_as_int(operand) for operand in operands)
    simpler = _simplify(operator, nodes)
    return Apply(operator, *nodes) if simpler is None else simpler


def _simplify(operator: str, nodes: tuple[Int, ...]) -> Int | None:
    """Neutral elements only: they keep formulas short, values stay untouched."""
    if len(nodes) != 2:
        return None
    left, right = nodes
    if operator == "+" and isinstance(left, Const) and left.value == 0:
        return right
    if operator in ("+", "-") and isinstance(right, Const) and right.value == 0:
        return left
    if operator == "*" and isinstance(left, Const) and left.value == 1:
        return right
    if operator in ("*", "//") and isinstance(right, Const) and right.value == 1:
        return left
    return None


def _bool(operator: str, *operands: Expression) -> Bool:
    if operator == "not" and isinstance(operands[0], Truth):
        return Truth(not operands[0].value)
    if operator == "not" and isinstance(operands[0], Relation) and operands[0].operator == "not":
        inner = operands[0].operands[0]
        assert isinstance(inner, Bool)
        return inner
    return Relation(operator, *operands)


def _fold(operator: str, operands: tuple[IntLike, ...]) -> Int:
    result = _as_int(operands[0])
    for operand in operands[1:]:
        result = Apply(operator, result, _as_int(operand))
    return result


def _connect(operator: str, conditions: tuple[BoolLike, ...], neutral: bool) -> Bool:
    nodes: list[Bool] = []
    for condition in map(_as_bool, conditions):
        if isinstance(condition, Truth):
            if condition.value != neutral:
                return condition
            continue
        if isinstance(condition, Relation) and condition.operator == operator:
            nodes.extend(child for child in condition.operands if isinstance(child, Bool))
        else:
            nodes.append(condition)
    if not nodes:
        return Truth(neutral)
    return nodes[0] if len(nodes) == 1 else Relation(operator, *nodes)
