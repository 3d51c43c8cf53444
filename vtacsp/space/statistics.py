"""How much of a grid is feasible, and how many configurations each rule refuses."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from weakref import WeakKeyDictionary

import numpy as np

from vtacsp.space.feasible import FeasibleSpace

__all__ = ["SpaceStatistics", "statistics"]


@dataclass(frozen=True)
class SpaceStatistics:
    """Counts of one layer; ``first`` and ``any`` map rule names to configurations refused.

    ``first`` counts a configuration for the rule that the stack reports, ``any`` for every rule
    that it breaks.

    >>> counts = statistics(vtacsp.compile(vtacsp.suite("resnet18")[9]))
    >>> counts.size, counts.feasible
    (576, 40)
    """

    name: str
    size: int
    programs: int
    feasible: int
    feasible_programs: int
    first: dict[str, int]
    any: dict[str, int]

    @property
    def share(self) -> float:
        """Feasible share of the grid."""
        return self.feasible / self.size


_COUNTED: WeakKeyDictionary[FeasibleSpace, SpaceStatistics] = WeakKeyDictionary()


def statistics(space: FeasibleSpace) -> SpaceStatistics:
    """Count the whole grid of a compiled space; rules that refuse nothing are left out.

    A space is counted once, however many tables and pages ask.

    >>> statistics(vtacsp.compile(vtacsp.suite("resnet18")[9])).first
    {'sram:inp': 24, 'sram:wgt': 144, 'vthread_split': 208, 'dma_pad': 156, 'uop_hazard': 4}
    """
    if space not in _COUNTED:
        _COUNTED[space] = _count(space)
    return _COUNTED[space]


def _count(space: FeasibleSpace) -> SpaceStatistics:
    problem, grid = space.problem, space.knob_space
    names = [rule.name for rule in problem.rules]
    # no rule looks at some knobs: what is counted with their first value counts for all
    seen = frozenset().union(*(rule.holds.symbols for rule in problem.rules))
    unseen = [knob.name for knob in grid.knobs if knob.name not in seen]
    first, broken = np.zeros((2, len(names)), dtype=np.int64)
    for indices in grid.blocks(without=unseen):
        reported, refused = problem.tally(indices)
        first, broken = first + reported, broken + refused
    times = prod(len(knob.values) for knob in grid.knobs if knob.name in unseen)
    return SpaceStatistics(
        name=space.workload.name,
        size=len(grid),
        programs=grid.programs(),
        feasible=len(space),
        feasible_programs=space.programs(),
        first={name: times * int(n) for name, n in zip(names, first, strict=True) if n},
        any={name: times * int(n) for name, n in zip(names, broken, strict=True) if n},
    )
