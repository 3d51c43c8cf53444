"""Time for the layers of a command: what one does not use, those after it get."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Budget"]


@dataclass
class Budget:
    """``minutes`` for all ``layers`` from now on, None without a limit."""

    minutes: float | None
    layers: int = 1
    clock: Callable[[], float] = time.monotonic
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = math.inf if self.minutes is None else self.clock() + 60 * self.minutes

    def share(self) -> Callable[[], bool]:
        """Says whether the time of the next layer is over: an equal part of what is left."""
        now = self.clock()
        end = now + max(self._end - now, 0.0) / max(self.layers, 1)
        self.layers -= 1
        return lambda: self.clock() >= end

    def over(self) -> bool:
        """Whether the time of all layers is."""
        return self.clock() >= self._end
