"""Free schedules on a measurer: the fastest of a simulated search, put in order by a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from vtacsp.errors import MeasureError
from vtacsp.free.emit import emit
from vtacsp.free.schedule import Schedule
from vtacsp.free.search import Found
from vtacsp.tune.measure import Measurer
from vtacsp.tune.result import Result
from vtacsp.tune.schedule_log import ScheduleLog
from vtacsp.tune.task import Task

__all__ = ["MEASURED", "MeasuredSchedules", "ScheduleTrial", "measure_schedules"]

MEASURED = 8
"""Schedules of a search that are measured."""


@dataclass(frozen=True)
class ScheduleTrial:
    """A schedule, the cycles that were simulated, and what was measured.

    ``recorded`` when the result came from the log.

    >>> layer = Dense(in_features=64, out_features=64)
    >>> found = search(layer, VTAConfig(), simulations=40)
    >>> trial = measure_schedules(found, SimulatorMeasurer(layer), candidates=1).trials[0]
    >>> trial.cycles == found.cycles, trial.recorded
    (True, False)
    """

    schedule: Schedule
    cycles: int
    result: Result
    recorded: bool


@dataclass(frozen=True)
class MeasuredSchedules:
    """What a measurer said of the fastest schedules of a search, in the order of the simulator.

    >>> layer = Dense(in_features=64, out_features=64)
    >>> found = search(layer, VTAConfig(), simulations=40)
    >>> measured = measure_schedules(found, SimulatorMeasurer(layer), candidates=3)
    >>> measured.best.schedule == found.schedule, len(measured.trials)
    (True, 3)
    """

    found: Found
    device: str
    trials: tuple[ScheduleTrial, ...] = field(repr=False)
    interrupted: bool = False

    @property
    def best(self) -> ScheduleTrial | None:
        """The fastest that was measured and right, the first of equals; None when none was."""
        good = [trial for trial in self.trials if trial.result.ok]
        return min(good, key=lambda trial: trial.result.seconds, default=None)

    @property
    def measured(self) -> int:
        """Schedules measured now, not taken from the log."""
        return sum(not trial.recorded for trial in self.trials)

    @property
    def failed(self) -> int:
        """Schedules with an error."""
        return sum(not trial.result.ok for trial in self.trials)


def measure_schedules(
    found: Found,
    measurer: Measurer,
    *,
    candidates: int = MEASURED,
    log: str | Path | ScheduleLog | None = None,
    callback: Callable[[ScheduleTrial], None] | None = None,
) -> MeasuredSchedules:
    """Measure the ``candidates`` fastest schedules of a search: what is measured decides.

    The measurer gets their programs (:meth:`~vtacsp.tune.Measurer.measure_programs`).  What fails
    is a result with an error, as in tuning.  What the log has of this layer, machine and device is
    not measured again; every result is in it at once.  ``callback`` sees each as it comes.  Ctrl-C
    ends it: the result has what was measured.

    Raises :class:`~vtacsp.errors.MeasureError` for a measurer of another layer or machine, one that
    measures no programs or gives up, and a number of candidates below 1, and
    :class:`~vtacsp.errors.LogError` for a log that cannot be used.

    >>> layer = Dense(in_features=64, out_features=64)
    >>> found = search(layer, VTAConfig(), simulations=40)
    >>> _ = measure_schedules(found, SimulatorMeasurer(layer), candidates=2, log="free.log")
    >>> again = measure_schedules(found, SimulatorMeasurer(layer), candidates=3, log="free.log")
    >>> [trial.recorded for trial in again.trials]
    [True, True, False]
    """
    if candidates < 1:
        raise MeasureError(f"candidates is {candidates}, must be at least 1")
    _refuse_another(found, measurer)
    if isinstance(log, (str, Path)):
        with ScheduleLog(log) as opened:
            return measure_schedules(
                found, measurer, candidates=candidates, log=opened, callback=callback
            )
    layer, machine, device = found.workload, found.hardware, measurer.device
    chosen = found.fastest[:candidates]
    known = {} if log is None else log.results(layer, machine, device)
    done = {s: ScheduleTrial(s, n, known[s], recorded=True) for n, s in chosen if s in known}
    fresh = [(cycles, schedule) for cycles, schedule in chosen if schedule not in known]
    interrupted = False
    try:
        for trial in done.values():
            if callback is not None:
                callback(trial)
        programs = [emit(schedule, layer, machine) for _, schedule in fresh]
        for place, result in measurer.measure_programs(programs) if programs else ():
            cycles, schedule = fresh[place]
            if log is not None:
                log.append(layer, machine, device, schedule, result)
            done[schedule] = ScheduleTrial(schedule, cycles, result, recorded=False)
            if callback is not None:
                callback(done[schedule])
    except KeyboardInterrupt:
        interrupted = True
        measurer.close()
    except BaseException:
        measurer.close()
        raise
    trials = tuple(done[schedule] for _, schedule in chosen if schedule in done)
    return MeasuredSchedules(found, device, trials, interrupted)


def _refuse_another(found: Found, measurer: Measurer) -> None:
    if measurer.task is None:
        return
    ours = Task.of(found.workload, found.hardware, measurer.device)
    if not ours.matches(measurer.task):
        raise MeasureError(
            f"the measurer is of another layer or machine than the schedules of "
            f"{found.workload.name} on {found.hardware}"
        )
