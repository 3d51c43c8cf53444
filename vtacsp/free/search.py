"""The search for a fast schedule: evolution, every child on the cycle simulator."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import NamedTuple

from vtacsp.errors import ProgramError, SpaceError
from vtacsp.free.emit import emit, slots_that_fit
from vtacsp.free.limit import Limit, limit
from vtacsp.free.moves import cross, mutate, sample
from vtacsp.free.schedule import Schedule
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.geometry import geometry
from vtacsp.operators.workload import Workload
from vtacsp.program import Program
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import simulate_timing

__all__ = ["Found", "ready", "search"]

GAP = 0.005
SIMULATIONS = 9000
_ISLANDS, _ELITE = 8, 16
_YOUTH = 0.15  # share of an island's life in which it is settled at random
_CROSS = 0.25
_PATIENCE = 20  # proposals per simulation that the search makes at most
_HOPELESS = 2000  # proposals after which it gives up when none of them could run


def ready() -> None:
    """Have all that a search runs compiled before workers start: once, and not in each."""
    hardware = VTAConfig()
    block = hardware.block
    layer = Dense(name="ready", batch=1, in_features=block, out_features=block)
    search(layer, hardware, simulations=_ISLANDS)


class _Member(NamedTuple):
    """A schedule of an island, ordered by cycles, the older first."""

    cycles: int
    number: int
    schedule: Schedule


def _parent(island: Sequence[_Member], rng: Random) -> Schedule:
    """The better, the more often."""
    return island[int(len(island) * rng.random() ** 2)].schedule


@dataclass(frozen=True)
class Found:
    """What a search found: the fastest schedule and how far it is from the limit.

    ``tried`` schedules were proposed, of which ``simulated`` can run.

    >>> layer = Dense(in_features=32, out_features=32)
    >>> search(layer, VTAConfig(), simulations=3).limit.bound
    'load'
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

    def __str__(self) -> str:
        return (
            f"{self.cycles:,} cycles; no program of this instruction set needs fewer than "
            f"{self.limit.cycles:,} ({self.gap:.1%})"
        )

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

    >>> layer = Dense(in_features=32, out_features=32)
    >>> found = search(layer, VTAConfig(), simulations=3)
    >>> found.cycles >= found.limit.cycles
    True
    """
    bound = limit(workload, hardware, timing)
    g = geometry(workload, hardware)
    rng = Random(seed)
    known: set[Schedule] = set()
    enough = bound.cycles * (1 + gap)
    tried = simulated = 0

    def measured(candidate: Schedule) -> int | None:
        """Cycles of a candidate, None when it is known or cannot run."""
        if candidate in known:
            return None
        known.add(candidate)
        try:
            program = emit(candidate, workload, hardware)
        except ProgramError:
            return None
        return simulate_timing(program, timing).cycles

    def evolve(island: list[_Member], until: int, youth: float = 0) -> list[_Member]:
        """Let an island live until so many schedules are simulated in all."""
        nonlocal tried, simulated
        begun = simulated
        while simulated < until and tried < (_PATIENCE * until if simulated else _HOPELESS):
            if len(island) < _ELITE or simulated - begun < (until - begun) * youth:
                child = sample(g, rng)
            elif rng.random() < _CROSS:
                child = cross(_parent(island, rng), _parent(island, rng), g, rng)
            else:
                child = mutate(_parent(island, rng), g, rng)
            tried += 1
            fit = slots_that_fit(child, workload, hardware)
            cycles = None if fit is None else measured(fit)
            if fit is None or cycles is None:
                continue
            simulated += 1
            if len(island) < _ELITE or cycles < island[-1].cycles:
                insort(island, _Member(cycles, tried, fit))
                del island[_ELITE:]
                if island[0].cycles <= enough:
                    break
        return island

    islands: list[list[_Member]] = []
    for number in range(_ISLANDS):
        until = simulations * (number + 1) * 6 // 10 // _ISLANDS
        islands.append(evolve([], until, _YOUTH))
        if islands[-1] and islands[-1][0].cycles <= enough:
            break
    best = sorted(member for island in islands for member in island)[:_ELITE]
    if best and best[0].cycles > enough:
        best = evolve(best, simulations)
    if not best:
        raise SpaceError(f"{workload.name}: none of {tried} schedules can run on {hardware}")
    cycles, _, schedule = best[0]
    return Found(workload, hardware, timing, schedule, cycles, bound, tried, simulated)
