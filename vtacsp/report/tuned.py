"""What tuning says about one layer: cycles of its trials, its best program, a lower bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from vtacsp.operators.workload import Workload
from vtacsp.timing.breakdown import TimingResult
from vtacsp.timing.simulator import Simulator
from vtacsp.tune.bound import least_cycles
from vtacsp.tune.loop import Trial, TuningResult

__all__ = ["TunedLayer"]


@dataclass(frozen=True)
class TunedLayer:
    """A run of the tuning loop on the simulator that it measured on."""

    simulator: Simulator
    result: TuningResult = field(repr=False)

    @property
    def workload(self) -> Workload:
        """The layer."""
        return self.simulator.workload

    def cycles(self, trial: Trial) -> int | None:
        """Cycles of a trial; None when it failed."""
        if not trial.result.ok:
            return None
        return trial.result.cycles(self.simulator.timing)

    @cached_property
    def best_cycles(self) -> int | None:
        """Cycles of the best trial; None when nothing ran."""
        return None if self.result.best is None else self.cycles(self.result.best)

    def best_so_far(self) -> list[int | None]:
        """Cycles of the best of the first 1, 2, ... trials; None before one ran."""
        curve: list[int | None] = []
        for cycles in map(self.cycles, self.result.trials):
            known = curve[-1] if curve else None
            curve.append(known if cycles is None else min(cycles, known or cycles))
        return curve

    @cached_property
    def best_program(self) -> TimingResult | None:
        """The best configuration, simulated with its schedule."""
        best = self.result.best
        return None if best is None else self.simulator.run(best.index)

    @cached_property
    def bound(self) -> int:
        """Cycles that no feasible configuration can undercut: the least of their cycle bounds."""
        return least_cycles(self.simulator.space, self.simulator.timing)

    @property
    def gap(self) -> float | None:
        """How far the best is above the bound, as a share of the bound."""
        return None if self.best_cycles is None else self.best_cycles / self.bound - 1

    @property
    def gops(self) -> float | None:
        """Billions of operations per second of the best."""
        best = self.result.best
        return None if best is None else self.workload.operations / best.result.seconds / 1e9
