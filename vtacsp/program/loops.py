"""The loop nest of a program: loops around scopes, one scope per module, calls inside.

The tree is what the compiler has after its copies and micro-op calls are in place and before
virtual threads are interleaved.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from vtacsp.machine.instructions import Module
from vtacsp.moved import keep_old_names

__all__ = ["VARIABLES", "Call", "Loop", "Scope", "Statement", "Token", "simplify"]

keep_old_names(__name__)

VARIABLES = ("b", "h", "co", "w", "row", "k")
"""Loop variables of the operators."""


@dataclass(frozen=True)
class Token:
    """A dependency call: the module ``source`` signals the module ``target``."""

    push: bool
    source: Module
    target: Module


@dataclass(frozen=True)
class Call:
    """A DMA or kernel call, by the name that the operator gives it."""

    name: str


@dataclass(frozen=True, eq=False)
class Scope:
    """Calls of one module.  Tokens popped in front of and pushed behind them live inside."""

    stage: Module
    body: list[Statement]


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop over one of :data:`VARIABLES`; how far it runs is up to the configuration."""

    variable: str
    body: list[Statement]


Statement = Token | Call | Scope | Loop


def simplify(nodes: Iterable[Statement], looped: Collection[str]) -> list[Statement]:
    """Keep the loops over ``looped``, lift scopes out, merge neighbours (``LiftAttrScope``)."""
    result: list[Statement] = []
    for node in nodes:
        if isinstance(node, Loop):
            body = simplify(node.body, looped)
            if node.variable not in looped:
                result.extend(body)
            elif len(body) == 1 and isinstance(body[0], Scope):
                scope = body[0]
                result.append(Scope(scope.stage, [Loop(node.variable, scope.body)]))
            else:
                result.append(Loop(node.variable, body))
        elif isinstance(node, Scope):
            result.append(Scope(node.stage, simplify(node.body, looped)))
        else:
            result.append(node)
    merged: list[Statement] = []
    for node in result:
        last = merged[-1] if merged else None
        if isinstance(node, Scope) and isinstance(last, Scope) and node.stage == last.stage:
            merged[-1] = Scope(node.stage, [*last.body, *node.body])
        else:
            merged.append(node)
    return merged
