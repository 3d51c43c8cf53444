"""The search for a fast schedule: evolution, every child on the cycle simulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

from vtacsp.errors import ProgramError, SpaceError
from vtacsp.free.emit import emit, slots_that_fit
from vtacsp.free.geometry import geometry
from vtacsp.free.limit import Limit, limit
from vtacsp.free.moves import cross, mutate, sample
from vtacsp.free.schedule import Schedule
from vtacsp.hardware import VTAConfig
from vtacsp.program import Program
from vtacsp.simulate.simulator import simulate_timing
from vtacsp.simulate.timing import RTL, TimingModel
from vtacsp.workload import Workload

__all__ = ["Found", "search"]

GAP = 0.005
SIMULATIONS = 6000
_ELITE, _YOUNG = 24, 0.1


@dataclass(frozen=True)
class Found:
    """What a search found: the fastest schedule and how far it is from the limit.

    ``tried`` schedules were proposed, of which ``simulated`` can run.
    """

    workload: Workload
    hardware: VTAConfig
    timing: TimingModel
    schedule: Schedule
    cycles: int
    limit: Limit
    tried: int
    simulated: int

    @property
    def gap(self) -> float:
        """How much slower than the limit: 0.01 is one per cent."""
        return self.cycles / self.limit.cycles - 1

    @cached_property
    def program(self) -> Program:
        """The program."""
        return emit(self.schedule, self.workload, self.hardware)


def search(
    workload: Workload,
    hardware: VTAConfig,
    timing: TimingModel = RTL,
    *,
    gap: float = GAP,
    simulations: int = SIMULATIONS,
    seed: int = 0,
) -> Found:
    """A fast schedule of a layer: the same for the same seed, on any computer.

    Stops within ``gap`` of the limit, or after that many ``simulations``.
    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer, and
    :class:`~vtacsp.errors.SpaceError` when no schedule was found that can run.
    """
    bound = limit(workload, hardware, timing)
    g = geometry(workload, hardware)
    rng = Random(seed)
    known: dict[Schedule, int] = {}
    best: list[tuple[int, int, Schedule]] = []  # cycles, age, schedule; ascending
    enough = bound.cycles * (1 + gap)
    tried = simulated = 0

    def candidates() -> Iterator[Schedule]:
        for _ in range(simulations):
            yield sample(g, rng)
            if len(best) >= _ELITE and simulated >= simulations // 8:
                break
        while best:
            if rng.random() < _YOUNG:
                child = sample(g, rng)
            elif rng.random() < 0.25:
                child = cross(_parent(), _parent(), g, rng)
            else:
                child = mutate(_parent(), g, rng)
            yield child

    def _parent() -> Schedule:
        # the better, the more often
        return best[int(len(best) * rng.random() ** 2)][2]

    for candidate in candidates():
        if simulated >= simulations or tried >= 20 * simulations:
            break
        tried += 1
        schedule = slots_that_fit(candidate, workload, hardware)
        if schedule is None or schedule in known:
            continue
        try:
            program = emit(schedule, workload, hardware)
        except ProgramError:
            known[schedule] = 0
            continue
        cycles = simulate_timing(program, timing).cycles
        known[schedule] = cycles
        simulated += 1
        if len(best) < _ELITE or cycles < best[-1][0]:
            best.append((cycles, tried, schedule))
            best.sort(key=lambda item: item[:2])
            del best[_ELITE:]
            if best[0][0] <= enough:
                break
    if not best:
        raise SpaceError(f"{workload.name}: none of {tried} schedules can run on {hardware}")
    cycles, _, schedule = best[0]
    return Found(workload, hardware, timing, schedule, cycles, bound, tried, simulated)
