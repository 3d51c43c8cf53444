"""Built programs under many timing models: only the cycle engine runs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vtacsp.arrays import DoubleArray
from vtacsp.errors import SimulationError, TimingError
from vtacsp.program import Program
from vtacsp.timing.model import TimingModel
from vtacsp.timing.simulator import simulate_timing

__all__ = ["Programs"]


class Programs:
    """Cycles of programs under variants of one timing model, each simulated once.

    The clock changes no cycles.  ``launch_delay`` is added to each launch, before anything else
    happens: cycles are given without it, and :attr:`launches` says how often.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        timing: TimingModel,
    ) -> None:
        self.programs = tuple(programs)
        self._least = replace(timing, launch_delay=1, clock_hz=1)
        self._known: dict[TimingModel, DoubleArray | None] = {}
        self.launches: DoubleArray = np.array([len(p.segments) for p in programs], dtype=np.float64)

    def __len__(self) -> int:
        return len(self.programs)

    def cycles(self, **values: int) -> DoubleArray | None:
        """Cycles without the launch delay, (n,), with these constants replaced.

        None for constants that no timing model has together, and where a program would not end.
        """
        try:
            timing = replace(self._least, **values)  # type: ignore[arg-type]
        except TimingError:
            return None
        if timing not in self._known:
            self._known[timing] = self._simulate(timing)
        return self._known[timing]

    def some(self, places: Sequence[int]) -> Programs:
        """A few of them."""
        return Programs([self.programs[i] for i in places], self._least)

    def _simulate(self, timing: TimingModel) -> DoubleArray | None:
        found = np.empty(len(self.programs), dtype=np.float64)
        for place, program in enumerate(self.programs):
            try:
                found[place] = simulate_timing(program, timing).cycles
            except SimulationError:  # a queue so short that the modules wait for each other
                return None
        return found - self.launches
