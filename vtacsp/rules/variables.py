"""The rule about variables of micro-op kernels, for any nest."""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.causes import UOP_SIGNATURE
from vtacsp.expr import Bool, Int
from vtacsp.rules.rule import Check, Rule, Stage

__all__ = ["one_variable"]


def one_variable(message: str, quantities: Mapping[str, Int], *holds: Bool) -> Rule:
    """A micro-op kernel has at most one free variable, and its values stay below the limit."""
    return Rule(
        name=UOP_SIGNATURE,
        checks=tuple(Check(Stage.UOP_SIGNATURE, condition) for condition in holds),
        title="a micro-op kernel has at most one free variable",
        message=message,
        mechanism=(
            "Micro-op kernels are cached by the value of at most one integer "
            "(`UopKernelMap::Get`), smaller than 99."
        ),
        quantities=quantities,
    )
