"""What ``tune`` and ``report`` say beyond the template: free schedules, the limit, the gap."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vtacsp.cli.cycles import workers
from vtacsp.cli.free import (
    FreeSearch,
    Template,
    comparison,
    free_cycles,
    free_text,
    totals,
)
from vtacsp.cli.free_saved import Saved
from vtacsp.cli.output import Row
from vtacsp.cli.terminal import say
from vtacsp.errors import ScheduleError, VtacspError, WorkloadError
from vtacsp.files import check_writable
from vtacsp.stopping import FREE_GAP

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.network.answer import NetworkAnswer
    from vtacsp.report.free_section import Beyond
    from vtacsp.space.feasible import FeasibleSpace
    from vtacsp.timing.model import TimingModel
    from vtacsp.timing.simulator import Simulator

__all__ = ["BEYOND", "BesideLog", "BeyondRows", "ReportBeyond"]

BEYOND = ("template_cycles", "free_cycles", "faster", "limit", "limit_gap")
"""Keys of a layer, and of the total of a network."""


@dataclass
class BeyondRows:
    """The rows of a search, or of what was saved, by layer; none of a layer that has no limit."""

    rows: list[Row] = field(default_factory=list)
    simulators: Sequence[Simulator] = ()
    interrupted: bool = False

    def keys(self, layer: str) -> Row:
        """What to add to the row of a layer: the keys :data:`BEYOND`, or nothing."""
        return next(
            (_keys(row, free_cycles(row)) for row in self.rows if row["layer"] == layer), {}
        )

    @property
    def _clock_hz(self) -> int:
        return self.simulators[0].timing.clock_hz

    def total(self) -> Row:
        """What to add to the total of a network."""
        if not self.rows:
            return {}
        row = totals(self.rows, self._clock_hz)
        return _keys(row, row["cycles"])

    def text(self, source: str | None, *, to_file: bool) -> str:
        """A table for people, that names the file of the schedules; "" when nothing is known."""
        if not self.rows:
            return ""
        title = "beyond the template" + (f": {source}" if source else "")
        return "\n" + free_text(self.rows, self._clock_hz, title, to_file=to_file)

    def page(self) -> list[Beyond]:
        """The layers of the section of a page, with the programs of both."""
        from vtacsp.free import emit
        from vtacsp.report.free_section import Beyond
        from vtacsp.timing.simulator import simulate_timing

        known = {simulator.workload.name: simulator for simulator in self.simulators}
        found: list[Beyond] = []
        for row in self.rows:
            simulator, schedule = known[row["layer"]], row["schedule"]
            programs = {}
            if row["index"] is not None:
                programs["The template's best"] = simulator.run(row["index"])
            if schedule is not None:
                program = emit(schedule, simulator.workload, simulator.hardware)
                programs["The free schedule"] = simulate_timing(program, simulator.timing)
            words = "" if schedule is None else str(schedule)
            found.append(Beyond(**vars(comparison(row)), schedule=words, programs=programs))
        return found


def search_beyond(
    search: FreeSearch,
    simulators: Sequence[Simulator],
    executor: Executor | None,
    *,
    fresh: bool = True,
    counts: Mapping[str, int] | None = None,
) -> BeyondRows:
    """The rows of the layers; Ctrl-C keeps those that are done.

    An operator without free schedules is named on standard error and left out, and so is an
    epilogue that the ALU cannot run.  Nothing new is searched unless it is ``fresh``.  ``counts``
    are those of a network, where the layers do not say themselves.
    """
    from vtacsp.free import limit

    known: list[Simulator] = []
    for simulator in simulators:
        try:
            limit(simulator.workload, simulator.hardware, simulator.timing)
        except WorkloadError as refusal:
            say(f"nothing beyond the template: {refusal}")
        else:
            known.append(simulator)
    if not known:
        return BeyondRows()
    try:
        done = search.rows(known, executor, search=fresh)
    except KeyboardInterrupt:  # before the first layer was done
        return BeyondRows(interrupted=True)
    rows = [
        {**row, "count": (counts or {}).get(row["layer"], row["count"])} for row in done.results
    ]
    return BeyondRows(rows, known, done.interrupted)


@dataclass(frozen=True)
class BesideLog:
    """The search of ``tune``: saved beside its log, on its executors, in the time that is left."""

    saved: Saved
    gap: float
    seed: int
    jobs: int
    stop: Callable[[], bool]

    @classmethod
    def of(
        cls, log: str, machine: VTAConfig, timing: TimingModel, gap: float | None, *others: Any
    ) -> BesideLog:
        """For a log; ``gap`` is in per cent.

        What is saved there already may be for other machines too, as a log is.  Raises
        :class:`~vtacsp.errors.ScheduleError` when it is something else.
        """
        saved = Saved()
        if os.path.isfile(log) or not os.path.exists(log):  # beside a device there is nothing
            file = f"{log}.free.json"
            check_writable(file)
            saved = Saved.read(file, None, machine, timing, shared=True)
        return cls(saved, FREE_GAP if gap is None else gap / 100, *others)

    def rows(
        self,
        simulators: Sequence[Simulator],
        bests: Mapping[str, Template],
        executor: Executor | None,
        counts: Mapping[str, int] | None = None,
    ) -> BeyondRows:
        """Search every layer; ``bests`` are index and cycles of the template's, by layer."""
        search = FreeSearch(self.gap, self.seed, self.saved, bests, self.stop)
        if executor is not None:
            return search_beyond(search, simulators, executor, counts=counts)
        with workers(self.jobs if len(simulators) > 1 else 1) as processes:
            return search_beyond(search, simulators, processes, counts=counts)


@dataclass(frozen=True)
class ReportBeyond:
    """What ``report`` looks for: schedules of a file, and those that a search finds."""

    saved: Saved
    fresh: bool
    jobs: int
    timing: TimingModel

    @classmethod
    def of(
        cls,
        free: bool,
        schedules: str | None,
        jobs: int | None,
        machine: VTAConfig,
        timing: TimingModel,
    ) -> ReportBeyond | None:
        """What the options ask for, None when they do not."""
        if not free and jobs is not None:
            raise VtacspError("--jobs goes with --free")
        if not free and schedules is None:
            return None
        saved = Saved.read(None, schedules, machine, timing, shared=True)
        if saved.entries and not any(saved.entries):
            raise ScheduleError(
                f"{schedules} has schedules of other machines than {machine}, or of other timing "
                f"models than {timing.name}, only"
            )
        return cls(saved, free, jobs or os.cpu_count() or 1, timing)

    def rows(self, spaces: Sequence[FeasibleSpace]) -> BeyondRows:
        """The rows of some layers."""
        from vtacsp.timing.simulator import Simulator

        return self._rows([Simulator(space, timing=self.timing) for space in spaces], None, None)

    def rows_of(self, answer: NetworkAnswer) -> BeyondRows:
        """The rows of a network, whose template's best are known."""
        from vtacsp.timing.simulator import Simulator

        known = {x.layer.name: x for x in answer.layers if x.space is not None}
        spaces = [x.space for x in known.values() if x.space is not None]
        bests = {name: (x.index, x.cycles) for name, x in known.items()}
        counts = {name: x.layer.count for name, x in known.items()}
        simulators = [Simulator(space, timing=self.timing) for space in spaces]
        return self._rows(simulators, bests, counts)

    def _rows(
        self,
        simulators: Sequence[Simulator],
        bests: Mapping[str, Template] | None,
        counts: Mapping[str, int] | None,
    ) -> BeyondRows:
        search = FreeSearch(FREE_GAP, 0, self.saved, bests)
        with workers(self.jobs if self.fresh and len(simulators) > 1 else 1) as executor:
            return search_beyond(search, simulators, executor, fresh=self.fresh, counts=counts)


def _keys(row: Row, free: int | None) -> Row:
    return {
        "template_cycles": row["template_cycles"],
        "free_cycles": free,
        "faster": row["faster"],
        "limit": row["limit"],
        "limit_gap": row["gap"],
    }
