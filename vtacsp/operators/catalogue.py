"""Which rules an operator has."""

from __future__ import annotations

from vtacsp.errors import RuleError
from vtacsp.expr import Int
from vtacsp.operators.registry import OPERATORS, part
from vtacsp.rules.rule import Rule

__all__ = ["all_catalogues", "catalogue", "quantity"]


def all_catalogues() -> dict[str, tuple[Rule, ...]]:
    """The rules of every operator."""
    return {op: catalogue(op) for op in OPERATORS}


def catalogue(op: str, *, stack_only: bool = False) -> tuple[Rule, ...]:
    """The rules of an operator: ``conv2d``, ``group_conv2d``, ``conv2d_transpose``, ``dense``.

    ``stack_only`` leaves out what upstream's functional simulator does not see: the rule
    ``race``.  Raises :class:`~vtacsp.errors.RuleError` for another operator.

    >>> [rule.name for rule in catalogue("dense")][:4]
    ['tensorize', 'sram:acc', 'sram:inp', 'sram:wgt']
    """
    if op not in OPERATORS:
        raise RuleError(f"no rules for {op!r}; operators are {', '.join(OPERATORS)}")
    rules: tuple[Rule, ...] = part(op, "rules").RULES
    return tuple(rule for rule in rules if rule.seen_by_stack) if stack_only else rules


def quantity(op: str, rule: str, name: str) -> Int:
    """A quantity of a built-in rule as an expression, to write rules of your own with.

    ``2 * quantity("conv2d", "sram:acc", "need") <= quantity("conv2d", "sram:acc", "depth")`` is
    "at most half of the accumulator".  Raises :class:`~vtacsp.errors.RuleError` listing what
    there is.

    >>> vtacsp.expr.to_text(quantity("dense", "sram:inp", "need"))
    'oc_nthread * tile_ci'
    """
    rules = {r.name: r for r in catalogue(op)}
    if rule not in rules:
        raise RuleError(f"{op} has no rule {rule!r}; it has {', '.join(rules)}")
    quantities = rules[rule].quantities
    if name not in quantities:
        known = ", ".join(quantities) or "none"
        raise RuleError(f"rule {rule} has no quantity {name!r}; it has {known}")
    return quantities[name]
