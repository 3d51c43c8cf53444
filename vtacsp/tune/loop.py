"""The tuning loop: a searcher proposes, a measurer measures, a log keeps every result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vtacsp.errors import MeasureError, SearchError
from vtacsp.operators.knobs import Config
from vtacsp.tune.measure import Measurer
from vtacsp.tune.records import Record, TuningLog
from vtacsp.tune.result import Result
from vtacsp.tune.search_space import SearchSpace
from vtacsp.tune.searcher import Searcher
from vtacsp.tune.task import Task

__all__ = ["EARLY", "PROVEN", "STOPPED", "Book", "Trial", "TrialLoop", "TuningResult", "tune"]

EARLY, STOPPED, PROVEN = "early stopping", "stopped", "proven"
"""Why a run ended before its trials: no new best for long enough, ``stop`` said so, good enough."""


@dataclass(frozen=True)
class Trial:
    """One result of a run; ``recorded`` when it came from the log and was not measured now.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> result = tune(GridSearcher(search_space(layer)), SimulatorMeasurer(layer), trials=1)
    >>> result.trials[0].number, result.trials[0].recorded
    (1, False)
    """

    number: int
    index: int
    result: Result
    recorded: bool


@dataclass(frozen=True)
class TuningResult:
    """What a run found: its trials in order, and whether it was interrupted.

    ``proven`` says that it ended because the best was good enough; ``ended`` is :data:`EARLY`,
    :data:`STOPPED`, :data:`PROVEN` or, when the trials or the space ended it, empty.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> result = tune(GridSearcher(search_space(layer)), SimulatorMeasurer(layer), trials=8)
    >>> len(result.trials), result.best.index
    (8, 27)
    """

    space: SearchSpace
    trials: tuple[Trial, ...]
    interrupted: bool = False
    proven: bool = False
    ended: str = ""

    @property
    def measured(self) -> int:
        """Configurations measured in this run, not taken from the log."""
        return sum(not trial.recorded for trial in self.trials)

    @property
    def failed(self) -> int:
        """Trials with an error."""
        return sum(not trial.result.ok for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The fastest trial, the first of equals; None when nothing ran."""
        good = [trial for trial in self.trials if trial.result.ok]
        return min(good, key=lambda trial: trial.result.seconds, default=None)

    @property
    def best_config(self) -> Config | None:
        """Knob values of the best trial."""
        return None if self.best is None else self.space.config(self.best.index)

    def best_so_far(self) -> list[float]:
        """Seconds of the best of the first 1, 2, ... trials, infinite before one ran."""
        curve: list[float] = []
        for trial in self.trials:
            curve.append(min(trial.result.seconds, curve[-1] if curve else float("inf")))
        return curve


def tune(
    searcher: Searcher,
    measurer: Measurer,
    *,
    trials: int,
    log: str | Path | TuningLog | None = None,
    batch_size: int | None = None,
    early_stopping: int | None = None,
    good_enough: float | None = None,
    stop: Callable[[], bool] | None = None,
    callback: Callable[[Trial], None] | None = None,
) -> TuningResult:
    """Measure up to ``trials`` configurations of the searcher's space.

    ``log`` is appended to, one AutoTVM record per result; no other run may use it meanwhile.  A
    :class:`~vtacsp.tune.TuningLog` that is open serves several layers, and is read once.  What
    it already holds of this layer on this machine and device is never measured again and counts
    as trials, all of it; a run that was interrupted goes on where it was when searcher, seed and
    ``batch_size`` are the same.
    ``batch_size`` is how many are proposed at a time (``measurer.parallel`` when not given),
    ``early_stopping`` ends the run after so many trials without a new best, ``good_enough`` when
    the best takes at most so many seconds: a lower bound
    (:func:`~vtacsp.tune.cycle_bounds`) says when no search finds more.  ``stop`` is asked after
    every trial that is measured whether to end: a clock, for example.  ``callback`` sees every
    trial as it ends.

    Ctrl-C ends the run, wherever it comes: the result holds everything that is in the log, and
    the log everything that is in the result.  Raises
    :class:`~vtacsp.errors.SearchError` for a number out of range,
    :class:`~vtacsp.errors.LogError` for a log that cannot be read or written and
    :class:`~vtacsp.errors.MeasureError` when the measurer is of another layer or machine, or
    gives up.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> result = tune(RandomSearcher(search_space(layer)), SimulatorMeasurer(layer), trials=8)
    >>> result.best_config in vtacsp.compile(layer)
    True
    """
    size = measurer.parallel if batch_size is None else batch_size
    numbers = {"trials": trials, "batch_size": size, "early_stopping": early_stopping}
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise SearchError(f"{name} is {value}, must be at least 1")
    _refuse_another_machine(searcher.space, measurer)
    run: _Run | None = None
    mine = isinstance(log, (str, Path))
    book = TuningLog(log) if isinstance(log, (str, Path)) else log
    try:
        with ExitStack() as stack:
            opened = stack.enter_context(book) if book is not None and mine else book
            run = _Run(searcher, measurer, Book(searcher.space, opened, measurer.device))
            ending = _Ending(early_stopping, good_enough, stop)
            interrupted = _interrupted(run, run.until(trials, size, ending), measurer, callback)
        ended = "" if interrupted else run.ended
        return TuningResult(searcher.space, tuple(run.done), interrupted, ended == PROVEN, ended)
    except KeyboardInterrupt:  # on the way in or out, or once more
        if run is None:
            if book is not None and mine:
                book.close()
            raise
        run.finish(callback)
        if book is not None and mine:
            book.close()
        return TuningResult(searcher.space, tuple(run.done), interrupted=True)


def _interrupted(
    run: _Run,
    trials: Iterable[Trial],
    measurer: Measurer,
    callback: Callable[[Trial], None] | None,
) -> bool:
    """Go to the end of the trials; True if Ctrl-C came before it.

    A function of its own: where it begins to watch for Ctrl-C nobody is watching yet, and the
    caller closes the log.
    """
    try:
        for trial in trials:
            if callback is not None:
                callback(trial)
    except KeyboardInterrupt:
        run.finish(callback)
        measurer.close()
        return True
    except BaseException:
        measurer.close()
        raise
    return False


class TrialLoop:
    """The loop of :func:`tune` one trial at a time, for somebody else who keeps the results.

    ``known`` are the results that the log has, by index; the other arguments are those of
    :func:`tune`, and so are the trials.  ``ended`` says at the end why it ended.

    Raises :class:`~vtacsp.errors.MeasureError` when the measurer gives up, or is of another layer.
    """

    def __init__(
        self,
        searcher: Searcher,
        measurer: Measurer,
        known: Mapping[int, Result],
        *,
        trials: int,
        batch_size: int,
        early_stopping: int | None = None,
        good_enough: float | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        _refuse_another_machine(searcher.space, measurer)
        book = Book(searcher.space, None, measurer.device, known)
        self._run = _Run(searcher, measurer, book)
        ending = _Ending(early_stopping, good_enough, stop)
        self._trials = self._run.until(trials, batch_size, ending)

    def __iter__(self) -> Iterator[Trial]:
        return self._trials

    @property
    def ended(self) -> str:
        """As :attr:`TuningResult.ended`."""
        return self._run.ended


def _refuse_another_machine(space: SearchSpace, measurer: Measurer) -> None:
    if measurer.task is None:
        return
    ours, theirs = Task.of(space.workload, space.hardware, measurer.device), measurer.task
    if ours.model != theirs.model:
        raise MeasureError(
            f"the space is for the machine {ours.model}, the measurer for {theirs.model}: "
            "make both of one space"
        )
    if not ours.matches(theirs):
        raise MeasureError(
            f"the measurer is of another layer than the space of {space.workload.name}: "
            "make both of one space"
        )


class Book:
    """What the log knows of one layer, and where new results go."""

    def __init__(
        self,
        space: SearchSpace,
        log: TuningLog | None,
        device: str,
        known: Mapping[int, Result] | None = None,
    ) -> None:
        self.space = space
        self.log = log
        self.device = device
        self.task = Task.of(space.workload, space.hardware, device)
        self.known: dict[int, Result] = dict(known or {})
        """Results of before, by index."""
        if log is not None:
            self.known = log.results(self.task, space.knob_space, device)

    def write(self, index: int, result: Result) -> None:
        """Add a result to the log, if there is one."""
        if self.log is not None:
            self.log.append(self._record(index, result))

    def complete(self, index: int, result: Result) -> None:
        """Write the last result if the call that was to do it did not come to its end."""
        if self.log is not None:
            self.log.complete(self._record(index, result))

    def close(self) -> None:
        """Close the log."""
        if self.log is not None:
            self.log.close()

    def _record(self, index: int, result: Result) -> Record:
        name, config = self.space.workload.name, self.space.config(index)
        return Record(self.task, index, config, result, name, self.device)


class _Ending(NamedTuple):
    """What ends a run before its trials; see :func:`tune`."""

    early_stopping: int | None
    good_enough: float | None
    stop: Callable[[], bool] | None


class _Batch(NamedTuple):
    """What came back of the configurations under way; trials of before are not of it."""

    trials_before: int
    arrived: list[tuple[int, Result]]


class _Run:
    """One run, of which Ctrl-C may end any line.

    A result counts from the moment at which it is in ``arrived``, then it is written, then it
    becomes a trial; a trial counts from the moment at which it is in ``done``.  Each is one call
    that is made or not, so that :meth:`finish` finds what is left.
    """

    def __init__(self, searcher: Searcher, measurer: Measurer, book: Book) -> None:
        self.searcher = searcher
        self.measurer = measurer
        self.book = book
        self.done: list[Trial] = []
        # replayed while the searcher proposes what it proposed then
        self._known = {i: r for i, r in sorted(book.known.items()) if i in searcher.space}
        self._batch = _Batch(0, [])
        self._best = float("inf")
        self._best_number = 0
        self.ended = ""
        """Why it ended before its trials."""

    def until(self, limit: int, size: int, ending: _Ending) -> Iterator[Trial]:
        """Trials until the limit, the end of the space, or what else ends a run."""
        for trial in self.trials(limit, size):
            yield trial
            self.ended = self.ends(trial, *ending)
            if self.ended:
                break
        if self.ended in (PROVEN, STOPPED):  # what else the log knows is among the trials too
            yield from self._rest()

    def trials(self, limit: int, size: int) -> Iterator[Trial]:
        """Trials until the limit or the end of the space."""
        known = dict(self._known)
        while len(self.done) < limit:
            batch = self.searcher.next_batch(min(size, limit - len(self.done)))
            if not batch:
                break
            results: dict[int, Result] = {}
            for index in batch:
                if index in known:
                    results[index] = known.pop(index)
                    yield self._end(index, results[index], recorded=True)
            fresh = [index for index in batch if index not in results]
            if fresh and known:  # another search filled the rest of the log: learn from all of it
                for index, result in known.items():
                    yield self._end(index, result, recorded=True)
                results.update(known)
                known = {}
                fresh = fresh[: max(limit - len(self.done), 0)]
            yield from self._measured(fresh, results)
            # in the order of the proposals, whatever came back first
            self.searcher.update({**{i: results[i] for i in batch if i in results}, **results})
        for index, result in known.items():  # costs nothing, and may hold the best
            yield self._end(index, result, recorded=True)

    def _measured(self, fresh: list[int], results: dict[int, Result]) -> Iterator[Trial]:
        """Trials in the order of the proposals, whatever comes back first; a log has it at once."""
        batch = self._batch = _Batch(len(self.done), [])
        waiting, early = deque(fresh), dict[int, Result]()
        for index, result in self.measurer.measure(fresh) if fresh else ():
            batch.arrived.append((index, result))
            self.book.write(index, result)
            results[index] = early[index] = result
            while waiting and waiting[0] in early:
                first = waiting.popleft()
                yield self._end(first, early.pop(first), recorded=False)

    def finish(self, callback: Callable[[Trial], None] | None) -> None:
        """Bring log and trials together after an interrupt; may be called again."""
        for trial in self._rest():
            if callback is not None:
                callback(trial)

    def _rest(self) -> Iterator[Trial]:
        """Trials of an interrupted run that were measured and not seen, or are known and were not.

        What the log has is a trial, and the other way round.
        """
        before, arrived = self._batch
        ended = {trial.index for trial in self.done[before:]}
        if arrived and arrived[-1][0] not in ended:  # all but the last one are written
            self.book.complete(*arrived[-1])
        for index, result in arrived:
            if index not in ended:
                yield self._end(index, result, recorded=False)
        ended = {trial.index for trial in self.done}
        for index, result in self._known.items():
            if index not in ended:
                yield self._end(index, result, recorded=True)

    def _end(self, index: int, result: Result, recorded: bool) -> Trial:
        trial = Trial(len(self.done) + 1, index, result, recorded)
        self.done.append(trial)
        if result.seconds < self._best:
            self._best, self._best_number = result.seconds, trial.number
        return trial

    def ends(
        self,
        trial: Trial,
        early_stopping: int | None,
        good_enough: float | None,
        stop: Callable[[], bool] | None,
    ) -> str:
        """Why the run ends after a trial, empty when it goes on."""
        if early_stopping is not None and self.since_best() >= early_stopping:
            return EARLY
        if good_enough is not None and self.best <= good_enough:
            return PROVEN
        # what the log knows costs no time
        return STOPPED if stop is not None and not trial.recorded and stop() else ""

    @property
    def best(self) -> float:
        """Seconds of the best trial, infinite before one ran."""
        return self._best

    def since_best(self) -> int:
        """Trials since the best one."""
        return len(self.done) - self._best_number
