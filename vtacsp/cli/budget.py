"""Time for the layers of a command: what one does not use, those after it get."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["TimeBudget"]


@dataclass
class TimeBudget:
    """``minutes`` for all ``layers`` from now on, None without a limit."""

    minutes: float | None
    layers: int = 1
    clock: Callable[[], float] = time.monotonic
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = math.inf if self.minutes is None else self.clock() + 60 * self.minutes

    def share(self, at_once: int = 1) -> Share:
        """The time of the next layer: an equal part of what is left.

        Of layers that run at once each has as much as it would have alone with those after it.
        """
        now = self.clock()
        part = min(at_once / max(self.layers, 1), 1.0)
        self.layers -= 1
        return Share(now + max(self._end - now, 0.0) * part, self.clock)

    def over(self) -> bool:
        """Whether the time of all layers is."""
        return self.clock() >= self._end


@dataclass(frozen=True)
class Share:
    """The time of one layer: whether it is over, and how many seconds are left."""

    end: float
    clock: Callable[[], float]

    def __call__(self) -> bool:
        return self.clock() >= self.end

    def left(self) -> float:
        """Seconds, infinitely many without a limit."""
        return max(self.end - self.clock(), 0.0)
