"""The template, a free schedule and the limit: of a layer, and of all runs of a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ScheduleComparison"]


@dataclass(frozen=True)
class ScheduleComparison:
    """Cycles of the template's best, of the best free schedule that is known, and the limit.

    ``count`` is how often a network has the layer, None where nobody says.  ``template`` is None
    when the template cannot run it, ``free`` when no free schedule is known.

    >>> from vtacsp.free.compared import ScheduleComparison
    >>> round(ScheduleComparison("C8", 3, 470_112, 424_229, 422_280).gap, 6)
    0.004615
    """

    name: str
    count: int | None
    template: int | None
    free: int | None
    limit: int

    @property
    def cycles(self) -> int | None:
        """Of the faster of the two."""
        return min((c for c in (self.template, self.free) if c is not None), default=None)

    @property
    def gap(self) -> float | None:
        """How far the faster one is above the limit, as a share of the limit."""
        return None if self.cycles is None else self.cycles / self.limit - 1

    @property
    def faster(self) -> float | None:
        """What the template takes more than the faster one, as a share of that."""
        if self.template is None or self.free is None or self.cycles is None:
            return None
        return self.template / self.cycles - 1

    @classmethod
    def total(cls, layers: Iterable[ScheduleComparison]) -> ScheduleComparison | None:
        """All runs of the layers that have a program; None when there is none.

        A layer without a count runs once.  Its template is None when the template lacks one of
        them.
        """
        ran = [(x, x.count or 1, x.cycles) for x in layers if x.cycles is not None]
        if not ran:
            return None
        template = None
        if all(x.template is not None for x, _, _ in ran):
            template = sum(n * (x.template or 0) for x, n, _ in ran)
        return cls(
            name="total",
            count=sum(n for _, n, _ in ran),
            template=template,
            free=sum(n * (cycles or 0) for _, n, cycles in ran),
            limit=sum(n * x.limit for x, n, _ in ran),
        )
