"""Which rules an operator has."""

from __future__ import annotations

from vtacsp.errors import RuleError
from vtacsp.rules.convolution import CONVOLUTION
from vtacsp.rules.dense import DENSE
from vtacsp.rules.rule import Rule

__all__ = ["catalogue"]

_CATALOGUES: dict[str, tuple[Rule, ...]] = {
    "conv2d": CONVOLUTION,
    "group_conv2d": CONVOLUTION,
    "dense": DENSE,
}


def catalogue(op: str) -> tuple[Rule, ...]:
    """The rules of an operator: ``conv2d``, ``group_conv2d``, ``conv2d_transpose``, ``dense``."""
    try:
        return _CATALOGUES[op]
    except KeyError:
        raise RuleError(f"no rules for {op!r}; operators are {', '.join(_CATALOGUES)}") from None
