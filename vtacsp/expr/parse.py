"""Conditions from text, as people write rules on a command line: what ``text`` prints, and more."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches

from vtacsp.errors import RuleError, shortened
from vtacsp.expr.nodes import (
    Bool,
    Const,
    Int,
    Relation,
    const,
    if_else,
    maximum,
    minimum,
    pow2,
    truth,
)
from vtacsp.expr.text import to_text

__all__ = ["LONGEST", "Literal", "parse", "told"]

LONGEST = 400
"""Characters of a condition."""

LARGEST_NUMBER = 2**31 - 1

Literal = Callable[[str, "str | tuple[int, ...]"], int]
"""The number that a word in quotes, or a list of sizes, is for the symbol beside it."""


def parse(
    text: str,
    words: Mapping[str, Int],
    functions: Mapping[str, Callable[..., Int]] | None = None,
    literal: Literal | None = None,
    opaque: Collection[str] = (),
) -> Bool:
    """The condition that a text says.

    It may compare (``<= < == != >= >``, also in a chain), calculate (``+ - *``, ``//`` and ``%``
    by a number, ``a if b else c``), call ``min``, ``max``, ``pow2`` and ``functions``, and join
    conditions by ``and``, ``or``, ``not`` (or ``& | ~`` with parentheses); ``[a < b]`` is 1 when
    that holds.  ``words`` are its symbols.  With ``literal`` a symbol may be compared with a word
    in quotes or a list of sizes: ``form == 'row'``.  ``opaque`` symbols are no numbers: they are
    compared so, or given to a function; then ``functions`` take nothing else.

    Raises :class:`~vtacsp.errors.RuleError` in one line.

    >>> n = Symbol("n")
    >>> to_text(parse("2 <= n < 9 and not n % 2 == 1", {"n": n}))
    'n >= 2 and n < 9 and n % 2 != 1'
    """
    try:
        return _Reader(text, words, functions or {}, literal, opaque).condition()
    except RecursionError:
        raise RuleError(f"the rule {shortened(text)} is nested too deeply") from None


class _Reader:
    """Reads one text."""

    def __init__(
        self,
        text: str,
        words: Mapping[str, Int],
        functions: Mapping[str, Callable[..., Int]],
        literal: Literal | None,
        opaque: Collection[str],
    ) -> None:
        self._text, self._words, self._literal = text, words, literal
        self._opaque, self._own = opaque, functions
        self._functions: dict[str, Callable[..., Int]] = {
            "min": minimum, "max": maximum, "pow2": pow2, **functions
        }  # fmt: skip

    def condition(self) -> Bool:
        """All of it."""
        if len(self._text) > LONGEST:
            raise RuleError(
                f"the rule {shortened(self._text)} has {len(self._text):,} characters, at most "
                f"{LONGEST} are read"
            )
        try:
            tree = ast.parse(self._text.strip(), mode="eval")
        except (SyntaxError, ValueError, MemoryError) as error:
            what = error.msg if isinstance(error, SyntaxError) else str(error)
            raise self._wrong(f"it is no condition ({what})") from None
        return self._bool(tree.body)

    def _wrong(self, why: str) -> RuleError:
        return RuleError(f"the rule {shortened(self._text)}: {why}")

    def _said(self, node: ast.AST) -> str:
        text = ast.unparse(node)
        return text if len(text) <= 60 else f"{text[:40]} ..."

    # -- conditions

    def _bool(self, node: ast.expr) -> Bool:
        if isinstance(node, ast.BoolOp):
            parts = [self._bool(value) for value in node.values]
            both = isinstance(node.op, ast.And)
            result = parts[0]
            for part in parts[1:]:
                result = result & part if both else result | part
            return result
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
            left, right = self._bool(node.left), self._bool(node.right)
            return left & right if isinstance(node.op, ast.BitAnd) else left | right
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert)):
            return ~self._bool(node.operand)
        if isinstance(node, ast.Name) and node.id in ("true", "false"):
            return truth(node.id == "true")
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        raise self._wrong(f"{self._said(node)} is no condition, such as `{self._said(node)} <= 2`")

    def _comparison(self, node: ast.Compare) -> Bool:
        result: Bool | None = None
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            part = self._compared(left, operator, right)
            result = part if result is None else result & part
            left = right
        assert result is not None
        return result

    def _compared(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Bool:
        if any(map(_is_literal, (left, right))):
            return self._equality(left, operator, right)
        a, b = self._int(left), self._int(right)
        if isinstance(operator, ast.Eq):
            return a == b
        if isinstance(operator, ast.NotEq):
            return a != b
        if isinstance(operator, ast.LtE):
            return a <= b
        if isinstance(operator, ast.Lt):
            return a < b
        if isinstance(operator, ast.GtE):
            return a >= b
        if isinstance(operator, ast.Gt):
            return a > b
        raise self._wrong("conditions compare by <=, <, ==, !=, >= and >")

    def _equality(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> Bool:
        """A symbol and a literal."""
        node, symbol = (left, right) if _is_literal(left) else (right, left)
        if self._literal is None or not isinstance(symbol, ast.Name):
            raise self._wrong(f"{self._said(node)} is no number")
        if not isinstance(operator, (ast.Eq, ast.NotEq)):
            raise self._wrong("a word in quotes and a list of sizes are compared by == and !=")
        value, word = ast.literal_eval(node), self._word(symbol.id)
        try:
            sizes = value if isinstance(value, str) else tuple(value)
            number = const(self._literal(symbol.id, sizes))
        except RuleError as error:
            raise self._wrong(str(error)) from None
        return word == number if isinstance(operator, ast.Eq) else word != number

    # -- numbers

    def _int(self, node: ast.expr) -> Int:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            if node.value > LARGEST_NUMBER:
                raise self._wrong(f"numbers are at most {LARGEST_NUMBER:,}")
            return Const(node.value)
        if isinstance(node, ast.Name):
            if node.id in self._opaque:
                some = next(iter(self._own), "")
                raise self._wrong(
                    f"{node.id} is a list of sizes: say {some}({node.id}), or {node.id} == [4, 4]"
                )
            return self._word(node.id)
        if isinstance(node, ast.List) and len(node.elts) == 1:
            return if_else(self._bool(node.elts[0]), 1, 0)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return 0 - self._int(node.operand)
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.IfExp):
            then, otherwise = self._int(node.body), self._int(node.orelse)
            return if_else(self._bool(node.test), then, otherwise)
        raise self._wrong(f"{self._said(node)} is no number")

    def _operation(self, node: ast.BinOp) -> Int:
        left, right = self._int(node.left), self._int(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, (ast.FloorDiv, ast.Mod)):
            if not (isinstance(right, Const) and right.value > 0):
                raise self._wrong("what // and % divide by is a number of at least 1")
            return left // right if isinstance(node.op, ast.FloorDiv) else left % right
        raise self._wrong("numbers are made by +, -, *, // and %")

    def _call(self, node: ast.Call) -> Int:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        function = self._functions.get(name)
        if function is None:
            raise self._wrong(f"{name:.60} is no function; {self._known(self._functions)}")
        if self._opaque and name in self._own:
            names = [a.id for a in node.args if isinstance(a, ast.Name) and a.id in self._opaque]
            if len(names) != 1 or len(node.args) != 1 or node.keywords:
                raise self._wrong(f"{name} takes one of {', '.join(self._opaque)}")
            return function(self._word(names[0]))
        arguments = [self._int(argument) for argument in node.args]
        try:
            if node.keywords or not arguments:
                raise TypeError
            return function(*arguments)
        except TypeError:
            why = f"{self._said(node)}: {name} takes another number of values"
            raise self._wrong(why) from None

    def _word(self, name: str) -> Int:
        if name not in self._words:
            near = get_close_matches(name, self._words, 1)
            hint = f"; is {near[0]} meant?" if near else f"; {self._known(self._words)}"
            raise self._wrong(f"{name:.60} is no word{hint}")
        return self._words[name]

    def _known(self, names: Mapping[str, object]) -> str:
        return f"known are {', '.join(names)}"


def _is_literal(node: ast.expr) -> bool:
    """A word in quotes, or a list of numbers."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, (ast.List, ast.Tuple)) and all(
        isinstance(item, ast.Constant) and type(item.value) is int for item in node.elts
    )


def told(condition: Bool) -> dict[str, Int]:
    """The numbers that a condition compares, by their text: what explains that it does not hold.

    >>> list(told(2 * Symbol("tile_h") <= Symbol("OH")))
    ['2 * tile_h', 'OH']
    """
    found: dict[str, Int] = {}
    pending: list[object] = [condition]
    while pending:
        node = pending.pop(0)
        if not isinstance(node, Relation):
            continue
        if node.operator in ("and", "or", "not"):
            pending[:0] = node.operands
            continue
        for side in node.operands:
            if isinstance(side, Int) and not isinstance(side, Const):
                found.setdefault(to_text(side), side)
    return found
