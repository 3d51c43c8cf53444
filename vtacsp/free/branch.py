"""Branch and bound over a free space: the fastest schedule found, and what is left unproven.

A space that is small is gone through by ascending bound until none is left that could be faster.
Of a large one CP-SAT says the least bound, and schedules with a small one are tried, with their
neighbours, until the budget is spent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.errors import ProgramError, SpaceError
from vtacsp.expr import Env
from vtacsp.free.emit import emit
from vtacsp.free.limit import limit
from vtacsp.free.schedule import Schedule
from vtacsp.free.schedule_bound import schedule_cycle_bound
from vtacsp.free.schedule_fields import columns_of, schedule_of
from vtacsp.free.space import LISTABLE, FreeSpace
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import simulate_timing

__all__ = ["Proven", "best", "schedule_cycle_bounds"]

SIMULATIONS = 400
SECONDS = 20.0
_TRIES = 12  # solutions of the solver that are tried


@dataclass(frozen=True)
class Proven:
    """The fastest schedule found in a space, and cycles that none of the space gets below.

    ``least`` is ``cycles`` when everything else was excluded; ``limit`` is that of any program.
    ``simulated`` schedules were timed.

    >>> space = FreeSpace(Dense(in_features=32, out_features=32), inp=[1], wgt=[1], acc=[1],
    ...     lead=[()], begin=[()], finish=[()], lead_uops=[1], group_uops=[0])
    >>> best(space).optimal
    True
    """

    space: FreeSpace
    timing: TimingModel
    schedule: Schedule
    cycles: int
    least: int
    limit: int
    simulated: int

    @property
    def optimal(self) -> bool:
        """Whether no schedule of the space is faster."""
        return self.least >= self.cycles

    @property
    def gap(self) -> float:
        """How much a schedule of the space could be faster: 0.01 is one per cent."""
        return self.cycles / self.least - 1

    def __str__(self) -> str:
        if self.optimal:
            return f"{self.cycles:,} cycles; no schedule of this space needs fewer"
        return (
            f"{self.cycles:,} cycles; no schedule of this space needs fewer than {self.least:,} "
            f"({self.gap:.1%})"
        )


def schedule_cycle_bounds(
    space: FreeSpace, schedules: Iterable[Schedule], timing: TimingModel = RTL
) -> IntArray:
    """Lower bounds of the cycles of schedules that meet the rules, aligned with them."""
    columns = columns_of(schedules)
    bound = schedule_cycle_bound(space.workload, space.hardware, timing, counted=True)
    size = len(columns["inp"])
    found = Env({**space.constants, **columns}).evaluate(bound)
    result: IntArray = np.broadcast_to(np.asarray(found, dtype=np.int64), (size,)).copy()
    return result


def best(
    space: FreeSpace,
    timing: TimingModel = RTL,
    *,
    gap: float = 0.0,
    simulations: int = SIMULATIONS,
    seconds: float = SECONDS,
    start: Iterable[Schedule] = (),
    seed: int = 0,
) -> Proven:
    """The fastest schedule of a space under its rules, with a proof or with what is left to prove.

    ``start`` are schedules to begin with, those among them that meet the rules.  Ends when what is
    found is within ``gap`` of what is proven, or after that many ``simulations``; ``seconds`` are
    those of the solver, in its own measure, which depends on nothing but the model.

    Raises :class:`~vtacsp.errors.SpaceError` when nothing was found that can run.

    >>> space = FreeSpace(vtacsp.suite("resnet18")[9], channels=[(4,) * 8], rows=[(7,), (4, 3)],
    ...     columns=[(7,)], reduction=[(1,) * 32], lead=[()], first=[()], last=[()], begin=[()],
    ...     finish=[()], inp=[2], wgt=[2], acc=[1, 2], lead_uops=[1], group_uops=[0],
    ...     gather=["rows"], load_rows=[0], form=["column", "row"])
    >>> found = best(space)
    >>> found.optimal, found.schedule.rows, found.schedule.acc
    (True, (7,), 2)
    """
    search = _Search(space, timing, simulations, gap)
    given = list(start)
    for schedule, holds in zip(given, space.feasible(given), strict=True):
        if holds:
            search.time(schedule)
    if space.points.count() <= LISTABLE:
        search.all_of(space.enumerate())
    else:
        search.some(seconds, seed)
    if search.schedule is None:
        raise SpaceError(f"{space.workload.name}: nothing was found that can run: {space!r}")
    least = min(search.least, search.cycles)
    return Proven(
        space, timing, search.schedule, search.cycles, least, search.limit, len(search.known)
    )


class _Search:
    """The best so far, and what is proven."""

    def __init__(self, space: FreeSpace, timing: TimingModel, simulations: int, gap: float) -> None:
        self.space = space
        self.timing = timing
        self.simulations = simulations
        self.limit = limit(space.workload, space.hardware, timing).cycles
        self.least = self.limit
        self.gap = gap
        self.schedule: Schedule | None = None
        self.cycles = 1 << 62
        self.known: dict[Schedule, int] = {}

    @property
    def done(self) -> bool:
        """Whether it is close enough, or the budget is spent."""
        near = self.schedule is not None and self.cycles <= self.least * (1 + self.gap)
        return near or len(self.known) >= self.simulations

    def time(self, schedule: Schedule) -> int:
        """Cycles of a schedule that meets the rules."""
        cycles = self.known.get(schedule)
        if cycles is None:
            try:
                program = emit(schedule, self.space.workload, self.space.hardware)
            except ProgramError as error:  # the rules and the emitter disagree
                raise SpaceError(f"a rule is missing: {error}: {schedule}") from error
            cycles = self.known[schedule] = simulate_timing(program, self.timing).cycles
            if cycles < self.cycles:
                self.cycles, self.schedule = cycles, schedule
        return cycles

    def all_of(self, schedules: list[Schedule]) -> None:
        """By ascending bound, until no bound is below the best; then that is proven."""
        if not schedules:
            return
        bounds = np.maximum(schedule_cycle_bounds(self.space, schedules, self.timing), self.limit)
        for place in np.argsort(bounds, kind="stable").tolist():
            self.least = int(bounds[place])
            if self.done:
                return
            self.time(schedules[place])
        self.least = max(self.least, self.cycles)

    def some(self, seconds: float, seed: int) -> None:
        """The least bound of a space too large to list, and what is near it."""
        from ortools.sat.python import cp_model  # what searches without it need not wait for it

        from vtacsp.free.constraint_model import ScheduleModel
        from vtacsp.space.cpsat import run_solver

        model = ScheduleModel(
            self.space.constants,
            self.space.domains,
            self.space.rules,
            schedule_cycle_bound(self.space.workload, self.space.hardware, self.timing),
        )
        found: list[Schedule] = []
        for turn in range(_TRIES):
            solver = cp_model.CpSolver()
            solver.parameters.num_workers = 1
            solver.parameters.random_seed = seed
            solver.parameters.max_deterministic_time = seconds if turn == 0 else seconds / _TRIES
            status = run_solver(solver, model.model)
            if turn == 0 and status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
                self.least = max(self.least, int(np.ceil(solver.best_objective_bound)))
            if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
                break
            values = {name: solver.value(v) for name, v in model.variables.items()}
            found.append(schedule_of(values))
            model.forbid(values)
        found += [] if self.schedule is None else [self.schedule]
        found += self.space.sample(4, seed)
        runs = [s for s, holds in zip(found, self.space.feasible(found), strict=True) if holds]
        for schedule in runs:
            if self.done:
                return
            self.time(schedule)
        self._descend()

    def _descend(self) -> None:
        """From the best to its best neighbour, as long as there is a better one."""
        here: Schedule | None = None
        while here != self.schedule and not self.done:
            here = self.schedule
            assert here is not None
            for other in self.space.neighbours(here):
                if self.done:
                    return
                self.time(other)
