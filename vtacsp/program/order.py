"""The schedule of a nest: the flat list of steps that the accelerated function takes.

It depends on which loops there are, not on how far they run: few schedules serve all
configurations of an operator.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.program.loops import VARIABLES, Call, Loop, Scope, Statement, Token, simplify
from vtacsp.program.tokens import inject_tokens

__all__ = ["CALL", "END", "POP", "PUSH", "SYNC", "StepTable", "step_table"]

END, CALL, PUSH, POP, SYNC = range(5)
"""Kinds of steps."""


class StepTable(NamedTuple):
    """Steps with two operands each, shape (steps, 3).

    END of a loop: its variable, the step to go back to.  CALL: a number of ``calls`` times
    the number of threads plus the thread.  PUSH and POP: source and target module.
    ``inside`` counts the steps by the loops around them.
    """

    steps: IntArray
    calls: tuple[str, ...]
    inside: Mapping[tuple[str, ...], int]

    def length(self, extents: Mapping[str, int]) -> int:
        """Number of steps taken with these loop extents."""
        return sum(
            count * prod([extents[variable] for variable in loops])
            for loops, count in self.inside.items()
        )


@lru_cache(maxsize=1024)
def step_table(
    nest: Loop, looped: frozenset[str], threads: int, loop_is_function: bool
) -> StepTable:
    """The steps of a nest of which the loops over ``looped`` run more than once.

    ``loop_is_function``: the accelerator's loop is all there is in the function, so the
    synchronisation lands between the loop and the pops that follow it, and the last pop
    stays pending.
    """
    tree = inject_tokens(simplify([nest], looped))
    end = len(tree)
    if loop_is_function and threads == 1:
        loops = [i for i, node in enumerate(tree) if isinstance(node, Loop)]
        if len(loops) == 1 and not any(isinstance(node, (Scope, Call)) for node in tree):
            end = loops[0] + 1
    flat = _Flat(threads)
    flat.walk(tree[:end], range(threads), ())
    flat.add((), SYNC)
    flat.walk(tree[end:], range(threads), ())
    return StepTable(np.array(flat.steps), tuple(flat.calls), dict(flat.inside))


class _Flat:
    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.steps: list[tuple[int, int, int]] = []
        self.calls: dict[str, int] = {}
        self.inside: Counter[tuple[str, ...]] = Counter()

    def add(self, loops: tuple[str, ...], kind: int, first: int = 0, second: int = 0) -> None:
        self.steps.append((kind, first, second))
        self.inside[loops] += kind != END

    def walk(self, nodes: Sequence[Statement], threads: range, loops: tuple[str, ...]) -> None:
        """Virtual threads interleave (``InjectVirtualThread``).

        A scope and what is outside of scopes run once per thread, a loop stays one loop.
        """
        for node in nodes:
            if isinstance(node, Loop):
                top, inner = len(self.steps), (*loops, node.variable)
                self.walk(node.body, threads, inner)
                self.add(inner, END, VARIABLES.index(node.variable), top)
                continue
            for thread in threads:
                if isinstance(node, Scope):
                    self.walk(node.body, range(thread, thread + 1), loops)
                elif isinstance(node, Token):
                    self.add(loops, PUSH if node.push else POP, node.source, node.target)
                else:
                    number = self.calls.setdefault(node.name, len(self.calls))
                    self.add(loops, CALL, number * self.threads + thread)
