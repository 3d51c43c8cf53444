"""A small typed expression language: rules are written in it once and read in five ways.

``nodes`` is the language.  ``evaluate`` computes an expression over numpy arrays, ``compiled``
writes one numpy function for a set of conditions (the fast way to a whole space), ``solver`` posts
it to CP-SAT, and ``text`` prints it for people and defines the names in it (``definitions``).
``parse`` is the way back: a condition from what people write.
"""

from vtacsp.expr.evaluate import Env, evaluate
from vtacsp.expr.nodes import (
    Bool,
    Int,
    Symbol,
    all_of,
    any_of,
    choose,
    const,
    count,
    if_else,
    maximum,
    minimum,
    named,
    pow2,
    table,
    truth,
)
from vtacsp.expr.parse import parse, told
from vtacsp.expr.text import definitions, to_text

__all__ = [
    "Bool",
    "Env",
    "Int",
    "Symbol",
    "all_of",
    "any_of",
    "choose",
    "const",
    "count",
    "definitions",
    "evaluate",
    "if_else",
    "maximum",
    "minimum",
    "named",
    "parse",
    "pow2",
    "table",
    "to_text",
    "told",
    "truth",
]
