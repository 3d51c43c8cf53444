"""How much of a grid is feasible, and how many configurations each rule refuses."""

from __future__ import annotations

from dataclasses import dataclass

from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.verdicts import verdicts

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


def statistics(space: FeasibleSpace) -> SpaceStatistics:
    """Count the whole grid of a compiled space; rules that refuse nothing are left out.

    >>> statistics(vtacsp.compile(vtacsp.suite("resnet18")[9])).first
    {'sram:inp': 24, 'sram:wgt': 144, 'vthread_split': 208, 'dma_pad': 156, 'uop_hazard': 4}
    """
    table, grid = verdicts(space), space.knob_space
    names = [rule.name for rule in space.problem.rules]
    return SpaceStatistics(
        name=space.workload.name,
        size=len(grid),
        programs=grid.programs(),
        feasible=len(space),
        feasible_programs=space.programs(),
        first={name: n for name, n in zip(names, table.reported().tolist(), strict=True) if n},
        any={name: n for name, n in zip(names, table.broken.tolist(), strict=True) if n},
    )
