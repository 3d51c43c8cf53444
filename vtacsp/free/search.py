"""The search for a fast schedule: evolution, every child on the cycle simulator."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from vtacsp.errors import ProgramError, SpaceError
from vtacsp.free.emit import emit, lower, slots_that_fit
from vtacsp.free.limit import Limit, limit
from vtacsp.free.moves import cross, mutate, sample
from vtacsp.free.narrowed import Narrowed
from vtacsp.free.schedule import Schedule
from vtacsp.free.starts import starts
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.geometry import geometry
from vtacsp.operators.workload import Workload
from vtacsp.program import Program
from vtacsp.stopping import FREE_GAP
from vtacsp.timing.engine import first_tokens, schedule
from vtacsp.timing.model import RTL, TimingModel

if TYPE_CHECKING:
    from vtacsp.free.space import FreeSpace

__all__ = ["Found", "compile_search", "search"]

SIMULATIONS = 48_000
LONG = 300
"""Instructions of a program whose simulation counts twice; of twice as many, three times."""

_PLAIN = 0.1  # share of the simulations for plain schedules
_FEW = 60  # of a small number of simulations; half of them at most
_APART = 0.85  # of these and of the islands
_RACE = (24, 12, 6, 3)  # islands of each round, which take equal shares
_WILD = 4  # of those of the first round, which begin with schedules at random
_LEAST = 20  # simulations of an island and a round; there are fewer islands instead
_ELITE, _SENT = 16, 4  # the most that live on an island; its best, which all end up with
_YOUTH = 0.05  # share of an island's first life in which more are settled at random
_CROSS = 0.25
_PATIENCE = 3  # proposals per simulation of the budget that the search makes at most
_HOPELESS = 2000  # proposals after which it gives up when none of them could run


def compile_search() -> None:
    """Have all that a search runs compiled before workers start: once, and not in each."""
    hardware = VTAConfig()
    block = hardware.block
    layer = Dense(name="ready", batch=1, in_features=block, out_features=block)
    search(layer, hardware, simulations=_RACE[-1])


class _Member(NamedTuple):
    """A schedule of an island, ordered by cycles, the older first."""

    cycles: int
    number: int
    schedule: Schedule


_NOBODY = (1 << 62,)


def _structures(plain: Sequence[_Member]) -> list[_Member]:
    """The fastest of each structure: its tiles, and what a GEMM instruction covers."""
    found: dict[object, _Member] = {}
    for member in plain:
        s = member.schedule
        found.setdefault((s.channels, s.rows, s.columns, s.form), member)
    return [*found.values()]


def _parent(island: Sequence[_Member], rng: Random) -> Schedule:
    """The better, the more often."""
    return island[int(len(island) * rng.random() ** 2)].schedule


def _settle(island: list[_Member], member: _Member) -> None:
    """Add a member, in the place of one that is as fast: those that stay differ."""
    place = bisect_left(island, member.cycles, key=lambda other: other.cycles)
    if place < len(island) and island[place].cycles == member.cycles:
        island[place] = member
    else:
        island.insert(place, member)


@dataclass(frozen=True)
class Found:
    """What a search found: the fastest schedule and how far it is from the limit.

    ``tried`` schedules were proposed, of which ``simulated`` can run.  ``fastest`` are up to 16 of
    them and their cycles, the fastest first: what a device might put in another order.

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
    fastest: tuple[tuple[int, Schedule], ...] = ()

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
    gap: float = FREE_GAP,
    simulations: int = SIMULATIONS,
    seed: int = 0,
    within: FreeSpace | None = None,
) -> Found:
    """A fast schedule of a layer: the same for the same seed, on any computer.

    Stops within ``gap`` of the limit, or after that many ``simulations``; that of a program of
    :data:`LONG` instructions counts twice, and so on.  ``within`` is a space of this layer on this
    machine: fields have its given values, and its rules of your own are kept.
    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer, and
    :class:`~vtacsp.errors.SpaceError` when no schedule was found that can run, or for a space of
    another layer or machine.

    >>> layer = Dense(in_features=32, out_features=32)
    >>> found = search(layer, VTAConfig(), simulations=3)
    >>> found.cycles >= found.limit.cycles
    True
    """
    bound = limit(workload, hardware, timing)
    enough = bound.cycles * (1 + gap)
    if within is not None and (within.workload, within.hardware) != (workload, hardware):
        raise SpaceError(
            f"the space is of {within.workload.name} on {within.hardware}, the search of "
            f"{workload.name} on {hardware}"
        )
    narrowed = None if within is None else Narrowed(within)
    run = _Run(workload, hardware, timing, Random(seed), enough, narrowed)
    best = run.plain(max(int(simulations * _PLAIN), min(_FEW, simulations // 2)))
    if not run.over(best):
        best = run.race(best, simulations)
    if not run.over(best):
        best = run.evolve(best, simulations)
    if not best:
        why = f"can run on {hardware}"
        if within is not None:
            why += " and keep the given values and rules"
        raise SpaceError(f"{workload.name}: none of {run.tried:,} schedules {why}")
    cycles, _, fastest = best[0]
    several = tuple((member.cycles, member.schedule) for member in best[:_ELITE])
    return Found(
        workload, hardware, timing, fastest, cycles, bound, run.tried, run.simulated, several
    )  # fmt: skip


class _Run:
    """A search: its layer, what it knows, and how much it has done."""

    def __init__(
        self,
        workload: Workload,
        hardware: VTAConfig,
        timing: TimingModel,
        rng: Random,
        enough: float,
        narrowed: Narrowed | None = None,
    ) -> None:
        self._narrowed = narrowed
        self._layer = workload, hardware
        self._geometry = geometry(workload, hardware)
        self._timing, self._rng, self._enough = timing, rng, enough
        self._known: set[Schedule] = set()
        self.tried = self.simulated = self._spent = 0

    def over(self, island: Sequence[_Member]) -> bool:
        """Whether the best of an island is close enough to the limit."""
        return bool(island) and island[0].cycles <= self._enough

    def plain(self, until: int) -> list[_Member]:
        """Plain schedules, the fastest first."""
        found: list[_Member] = []
        for child in starts(self._geometry, self._layer[1], self._timing):
            if self._spent >= until or self.tried >= until:
                break
            member = self._simulated(child)
            if member is not None:
                _settle(found, member)
                if self.over(found):
                    break
        return found

    def race(self, plain: list[_Member], simulations: int) -> list[_Member]:
        """Islands of one structure each live apart, of which the better half lives on.

        What a schedule can become shows only when its ramps have been tuned, so that the fastest
        plain ones need not be those to keep.  Returns the best of all islands.
        """
        begun, end = self._spent, int(simulations * _APART)
        share = max(end - begun, 0) / len(_RACE)
        islands = [[member] for member in _structures(plain)[: _RACE[0] - _WILD]]
        islands += [[] for _ in range(_RACE[0] - len(islands))]
        gone: list[_Member] = []
        for turn, places in enumerate(_RACE):
            number = max(1, min(places, int(share / _LEAST)))
            gone += [member for island in islands[number:] for member in island[:1]]
            del islands[number:]
            for at, island in enumerate(islands):
                until = begun + share * (turn + (at + 1) / number)
                self.evolve(island, int(until), _YOUTH if not island else 0)
                if self.over(island):
                    return island
            islands.sort(key=lambda island: island[0] if island else _NOBODY)
        best = [member for island in islands for member in island[:_SENT]]
        return sorted({member.cycles: member for member in [*gone, *best]}.values())[:_ELITE]

    def evolve(self, island: list[_Member], until: int, youth: float = 0) -> list[_Member]:
        """Let an island live until so many simulations are spent in all."""
        g, rng, begun = self._geometry, self._rng, self._spent
        while self._spent < until:
            if self.tried >= (_PATIENCE * until if self.simulated else _HOPELESS):
                break
            young = youth and len(island) < _ELITE
            if not island or young or self._spent - begun < (until - begun) * youth:
                child = sample(g, rng)
            elif rng.random() < _CROSS:
                child = cross(_parent(island, rng), _parent(island, rng), g, rng)
            else:
                child = mutate(_parent(island, rng), g, rng)
            member = self._simulated(child)
            if member is None:
                continue
            _settle(island, member)
            del island[_ELITE:]
            if self.over(island):
                break
        return island

    def _simulated(self, child: Schedule) -> _Member | None:
        """A child with as many slots as fit; None when it is known or cannot run."""
        self.tried += 1
        narrowed = self._narrowed
        if narrowed is not None:
            child = narrowed.pulled(child, self._rng)
        fit = slots_that_fit(child, *self._layer)
        if fit is None or fit in self._known:
            return None
        self._known.add(fit)
        if narrowed is not None and not narrowed.holds(fit):
            return None
        try:
            stream, _ = lower(fit, *self._layer)
        except ProgramError:
            return None
        whole, tokens = [slice(0, len(stream.which))], first_tokens(waits=False)
        (launch,) = schedule(stream, whole, self._layer[1], self._timing, tokens)
        assert launch.cycles > 0  # tokens are in the order of the program: it always ends
        self.simulated += 1
        self._spent += 1 + len(stream.which) // LONG
        return _Member(launch.cycles, self.tried, fit)
