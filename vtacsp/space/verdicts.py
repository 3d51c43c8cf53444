"""The verdicts of a whole grid: which rule the stack reports first, how often each rule is broken.

Statistics and the feasibility map read the same table, which is made once per space.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.operators.knobs import Knob
from vtacsp.space.feasible import FeasibleSpace

__all__ = ["Verdicts", "verdicts"]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What the rules say of every configuration.

    ``first`` has an axis for each of ``knobs``, those that some rule looks at, in the order of the
    grid: the position in ``problem.rules`` of the rule that the stack reports, -1 where none is
    broken.  Each entry stands for ``times`` configurations, which differ in other knobs.
    ``broken`` (number of rules,) counts the configurations that break a rule.
    """

    knobs: tuple[Knob, ...]
    first: NDArray[np.signedinteger[Any]]
    times: int
    broken: IntArray

    def reported(self) -> IntArray:
        """For how many configurations each rule is the one that the stack reports."""
        rules = len(self.broken)
        counts = sum(
            np.bincount(part + 1, minlength=rules + 1)[1:]
            for part in np.array_split(self.first.ravel(order="K"), 1 + self.first.size // _PART)
        )
        return self.times * np.asarray(counts, dtype=np.int64)


_PART = 1 << 20
"""Entries that are counted at once, so that the table is not there a second time."""

_KNOWN: WeakKeyDictionary[FeasibleSpace, Verdicts] = WeakKeyDictionary()


def verdicts(space: FeasibleSpace) -> Verdicts:
    """The table of a compiled space; its rules are evaluated once, however many ask."""
    if space not in _KNOWN:
        _KNOWN[space] = _evaluate(space)
    return _KNOWN[space]


def _evaluate(space: FeasibleSpace) -> Verdicts:
    problem, grid = space.problem, space.knob_space
    knobs = problem.seen_knobs()
    unseen = [knob for knob in grid.knobs if knob not in knobs]
    shape = [len(knob.values) for knob in knobs]
    first = np.empty(prod(shape), dtype=np.min_scalar_type(-len(problem.rules) - 1))
    broken = np.zeros(len(problem.rules), dtype=np.int64)
    begin = 0
    for indices in grid.blocks(without=[knob.name for knob in unseen]):
        here, refused = problem.verdicts(indices)
        first[begin : begin + len(here)] = here
        broken, begin = broken + refused, begin + len(here)
    times = prod(len(knob.values) for knob in unseen)
    # the first knob of the grid runs fastest
    return Verdicts(knobs, first.reshape(shape[::-1]).T, times, times * broken)
