"""The loop nest of a program: loops around scopes, one scope per module, calls inside.

The tree is what the compiler has after its copies and micro-op calls are in place and before
virtual threads are interleaved.  ``expand`` unrolls it into the stream of runtime calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vtacsp.program.isa import Stage

__all__ = ["VARIABLES", "Call", "Loop", "Node", "Scope", "Token", "expand", "simplify"]

VARIABLES = ("b", "h", "co", "w", "row", "k", "thread")
"""Loop variables of the operators; rows of an expanded stream after the call number."""

IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class Token:
    """A dependency call: the module ``source`` signals the module ``target``."""

    push: bool
    source: Stage
    target: Stage


@dataclass(frozen=True)
class Call:
    """A DMA or kernel call; ``number`` is its place in the table of the operator."""

    number: int


@dataclass(eq=False)
class Scope:
    """Calls of one module.  Tokens popped in front of and pushed behind them live inside."""

    stage: Stage
    body: list[Node]


@dataclass(eq=False)
class Loop:
    """A loop over one of :data:`VARIABLES`."""

    variable: str
    extent: int
    body: list[Node] = field(default_factory=list)


Node = Token | Call | Scope | Loop


def simplify(nodes: Iterable[Node]) -> list[Node]:
    """Drop unit loops, lift scopes out of loops, merge neighbours (``LiftAttrScope``)."""
    result: list[Node] = []
    for node in nodes:
        if isinstance(node, Loop):
            body = simplify(node.body)
            if node.extent == 1:
                result.extend(body)
                continue
            if len(body) == 1 and isinstance(body[0], Scope):
                scope = body[0]
                result.append(Scope(scope.stage, [Loop(node.variable, node.extent, scope.body)]))
            else:
                result.append(Loop(node.variable, node.extent, body))
        elif isinstance(node, Scope):
            result.append(Scope(node.stage, simplify(node.body)))
        else:
            result.append(node)
    merged: list[Node] = []
    for node in result:
        last = merged[-1] if merged else None
        if isinstance(node, Scope) and isinstance(last, Scope) and node.stage == last.stage:
            merged[-1] = Scope(node.stage, [*last.body, *node.body])
        else:
            merged.append(node)
    return merged


def expand(nodes: Sequence[Node], threads: int, tokens: Sequence[Token]) -> IntArray:
    """Stream of calls, shape (1 + variables, calls): call number, then loop variables.

    Virtual threads interleave: a scope and a token outside of scopes run once per thread, a
    loop stays one loop (``InjectVirtualThread``).  A token is the negative number
    ``-1 - position in tokens``.
    """
    return _expand(nodes, threads, {token: -1 - i for i, token in enumerate(tokens)}, False)


def _expand(
    nodes: Sequence[Node], threads: int, tokens: dict[Token, int], in_scope: bool
) -> IntArray:
    parts: list[IntArray] = []
    for node in nodes:
        if isinstance(node, Loop):
            rows = _expand(node.body, threads, tokens, in_scope)
            part = np.tile(rows, node.extent)
            variable = 1 + VARIABLES.index(node.variable)
            part[variable] = np.repeat(np.arange(node.extent, dtype=np.int32), rows.shape[1])
            parts.append(part)
            continue
        if isinstance(node, Scope):
            rows = _expand(node.body, 1, tokens, True)
        else:
            rows = np.zeros((1 + len(VARIABLES), 1), dtype=np.int32)
            rows[0, 0] = tokens[node] if isinstance(node, Token) else node.number
        for thread in range(1 if in_scope else threads):
            copy = rows.copy() if thread else rows
            if thread:
                copy[-1] = thread
            parts.append(copy)
    return np.concatenate(parts, axis=1)
