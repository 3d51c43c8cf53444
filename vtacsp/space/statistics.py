"""How much of a grid is feasible, and how many configurations each rule refuses."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from vtacsp.space.feasible import FeasibleSpace

__all__ = ["SpaceStatistics", "statistics"]


@dataclass(frozen=True)
class SpaceStatistics:
    """Counts of one layer; ``first`` and ``any`` map rule names to configurations refused.

    ``first`` counts a configuration for the rule that the stack reports, ``any`` for every rule
    that it breaks.
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
    """
    if space not in _COUNTED:
        _COUNTED[space] = _count(space)
    return _COUNTED[space]


def _count(space: FeasibleSpace) -> SpaceStatistics:
    problem = space.problem
    everything = np.arange(len(space.knob_space), dtype=np.int64)
    first = problem.first_violations(everything)
    broken = problem.violations(everything).sum(axis=1)
    names = [rule.name for rule in problem.rules]
    counts = np.bincount(first[first >= 0], minlength=len(names))
    return SpaceStatistics(
        name=space.workload.name,
        size=len(space.knob_space),
        programs=space.knob_space.programs(),
        feasible=len(space),
        feasible_programs=space.programs(),
        first={name: int(n) for name, n in zip(names, counts, strict=True) if n},
        any={name: int(n) for name, n in zip(names, broken, strict=True) if n},
    )
