"""Layers searched side by side: a worker has one layer at a time, one process keeps the one log.

A lane is an executor with one worker.  A layer is searched on its lane from beginning to end, in
slices of a quarter of a second: the worker keeps the search between them, and what it measured
goes into the log with every slice.  A worker that ends loses nothing but its slice: the search is
made anew from what the log knows, which is how an interrupted run goes on too.  Then its next
measurement is announced before it is made: one at which workers end again and again is an error of
that configuration, as of one that is measured in a process of its own, and the search goes on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from vtacsp.causes import CRASH
from vtacsp.errors import MeasureError, VtacspError
from vtacsp.network.layer_search import BATCH, LayerSearch
from vtacsp.timing.simulator import Simulator, compile_simulator
from vtacsp.tune.loop import PROVEN, Book, Trial, TrialLoop, TuningResult, tune
from vtacsp.tune.measure import Measurer
from vtacsp.tune.records import TuningLog
from vtacsp.tune.result import MeasureErrorNo, Result
from vtacsp.tune.search_space import FeasibleGrid, SearchSpace
from vtacsp.tune.searcher import Searcher
from vtacsp.tune.task import Task
from vtacsp.workers import process_pool, stop_workers

__all__ = ["JobChain", "Lanes", "LayerJob", "Plan", "Watch", "in_order"]

SLICE = 0.25  # seconds that a worker measures before it hands over what it has
_KILLED = "KilledWorker"  # what Dask says when several workers ended at one task
KEPT = 256  # searches that a worker keeps; those of runs that were killed are never asked for
TRIES = 3  # workers that end at one measurement before it is an error


class _Listed(Searcher):
    """Proposes its initial configurations and no other."""

    def propose(self, n: int) -> tuple[int, ...]:  # noqa: ARG002 - the signature of searchers
        """Nothing more."""
        return ()


@dataclass(frozen=True, eq=False)
class LayerJob:
    """A layer to search; or ``listed`` configurations to measure, after ``before`` others."""

    simulator: Simulator
    search: LayerSearch
    listed: tuple[int, ...] = ()
    before: int = 0

    @property
    def trials(self) -> int:
        """How many trials at most."""
        return self.before + len(self.listed) if self.listed else self.search.trials

    @property
    def options(self) -> dict[str, Any]:
        """What :func:`~vtacsp.tune.tune` and :class:`~vtacsp.tune.loop.TrialLoop` are told."""
        if self.listed:
            return {"trials": self.trials, "batch_size": len(self.listed)}
        return {
            "trials": self.trials,
            "batch_size": BATCH,
            "early_stopping": self.search.early_stopping,
            "good_enough": self.search.good_enough(self.simulator),
        }

    def searcher(self) -> Searcher:
        """What proposes."""
        if not self.listed:
            return self.search.searcher_of(self.simulator)
        return _Listed(FeasibleGrid(self.simulator.space), initial=self.listed)

    def run(self, log: TuningLog | None) -> TuningResult:
        """Search here, in this process."""
        if not self.listed:
            return self.search.search(self.simulator, log)
        with self.search.measurer(self.simulator) as measurer:
            return tune(self.searcher(), measurer, log=log, **self.options)


class Plan(Protocol):
    """Layers that depend on each other: the jobs of a stage may run at once, stages do not."""

    def stages(self) -> Iterator[Sequence[LayerJob]]:
        """The jobs of the next stage; asked for when all of the one before were kept."""

    def keep(self, job: LayerJob, result: TuningResult) -> None:
        """Take a result; of an interrupted run once more, with what it has."""


class Watch:
    """What looks on while layers are searched side by side; this one does nothing.

    >>> class Print(Watch):
    ...     def layer(self, simulator, total):
    ...         print(simulator.workload.name, "at most", total)
    ...         return super().layer(simulator, total)
    ...
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> node = Node(name="conv", op="Conv", place=VTA, workload=vtacsp.suite("resnet18")[9])
    >>> with Lanes([lambda: ThreadPoolExecutor(1)], ours=False) as lanes:
    ...     found = tune_network(
    ...         Network("tiny", (node,)), search=LayerSearch(trials=4), lanes=lanes, watch=Print()
    ...     )
    ...
    conv at most 4
    """

    def layer(
        self,
        simulator: Simulator,  # noqa: ARG002
        total: int,  # noqa: ARG002
    ) -> AbstractContextManager[Callable[[Trial], None] | None]:
        """The search of a layer: what to call with each of its trials."""
        return nullcontext()

    def share(self, lanes: int) -> Callable[[], float] | None:  # noqa: ARG002
        """Says how many seconds the next of the layers has left, None without a limit."""
        return None


class JobChain:
    """Layers one after the other: what one measured, the next finds in the log."""

    def __init__(self, simulators: Sequence[Simulator], search: LayerSearch) -> None:
        self.jobs = [LayerJob(simulator, search) for simulator in simulators]
        self._results: dict[int, TuningResult] = {}

    @classmethod
    def of(cls, simulators: Sequence[Simulator], search: LayerSearch) -> list[JobChain]:
        """Layers of one AutoTVM task in a chain, as in a list of layers with twins in it."""
        tasks: dict[Any, list[Simulator]] = {}
        for simulator in simulators:
            key = Task.of(simulator.workload, simulator.hardware).key
            tasks.setdefault(key, []).append(simulator)
        return [cls(twins, search) for twins in tasks.values()]

    def stages(self) -> Iterator[Sequence[LayerJob]]:
        """One layer after the other."""
        return ([job] for job in self.jobs)

    def keep(self, job: LayerJob, result: TuningResult) -> None:
        """Take the result of a layer."""
        self._results[id(job)] = result

    @property
    def results(self) -> list[tuple[Simulator, TuningResult]]:
        """What was found, of the layers that were searched."""
        found = [(job.simulator, self._results.get(id(job))) for job in self.jobs]
        return [(simulator, result) for simulator, result in found if result is not None]


OnLayer = Callable[[Simulator, TuningResult], None]


def in_order(plans: Sequence[Plan], log: TuningLog | None, done: OnLayer | None = None) -> bool:
    """Search one layer after the other in this process; False when Ctrl-C ended that.

    ``done`` sees the result of each layer.
    """
    for plan in plans:
        for stage in plan.stages():
            for job in stage:
                try:
                    result = job.run(log)
                except KeyboardInterrupt:  # before the first measurement
                    return False
                if done is not None and not job.listed:
                    done(job.simulator, result)
                plan.keep(job, result)
                if result.interrupted:
                    return False
    return True


# -- on the worker


class _Part(NamedTuple):
    """What a slice brought: index, result, and whether the log knew it; why the search ended."""

    trials: list[tuple[int, Result, bool]]
    ended: str | None  # None while it goes on
    announced: int | None = None
    """The configuration that comes next, of which nothing is measured unless that is allowed."""


class _Announcement(Exception):  # noqa: N818 - no error, it ends a slice
    """A configuration is to be measured that nobody has allowed."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class _Announcing(Measurer):
    """Measures the one configuration that is allowed, and announces any other."""

    def __init__(self, measurer: Measurer, allowed: int | None) -> None:
        self._measurer, self._allowed = measurer, allowed
        self.device, self.task = measurer.device, measurer.task

    def measure(self, indices: Sequence[int]) -> Iterator[tuple[int, Result]]:
        """The first of them, when that is the one."""
        for index in indices:
            if index != self._allowed:
                raise _Announcement(index)
            self._allowed = None
            yield from self._measurer.measure([index])


class _Careful(NamedTuple):
    """How a search goes on after its worker ended."""

    announce: bool = False
    allowed: int | None = None


class _Live:
    """A search on its worker, between two slices."""

    def __init__(self, job: LayerJob, known: Mapping[int, Result], careful: _Careful) -> None:
        self.slices = 0
        self._stack = ExitStack()
        self._end = float("inf")
        measurer: Measurer = self._stack.enter_context(job.search.measurer(job.simulator))
        if careful.announce:
            measurer = _Announcing(measurer, careful.allowed)
        self._steps = TrialLoop(job.searcher(), measurer, known, stop=self._late, **job.options)
        self._trials = iter(self._steps)

    def _late(self) -> bool:
        return time.monotonic() >= self._end

    def advance(self, left: float) -> _Part:
        now = time.monotonic()
        self._end = now + left
        found: list[tuple[int, Result, bool]] = []
        try:
            for trial in self._trials:
                found.append((trial.index, trial.result, trial.recorded))
                if not trial.recorded and time.monotonic() - now >= SLICE:
                    return _Part(found, None)
        except _Announcement as announced:
            self._stack.close()
            return _Part(found, None, announced.index)
        self._stack.close()
        return _Part(found, self._steps.ended)


_LIVE: dict[str, _Live] = {}
_LOCK = Lock()  # a worker of Dask has threads


def _advance(
    token: str,
    number: int,
    left: float,
    job: LayerJob | None = None,
    known: Mapping[int, Result] | None = None,
    careful: _Careful | None = None,
) -> _Part | None:
    """The next slice of a search, or its first when there is a job; None where it is not known."""
    with _LOCK:
        live = _LIVE.pop(token, None)
    if job is not None:
        live = _Live(job, known or {}, careful or _Careful())
    elif live is None or live.slices != number:
        return None
    part = live.advance(left)
    live.slices = number + 1
    if part.ended is None and part.announced is None:
        with _LOCK:
            _LIVE[token] = live
            while len(_LIVE) > KEPT:
                del _LIVE[next(iter(_LIVE))]
    return part


# -- where the log is


@dataclass(eq=False)
class _Flight:
    """A layer that is being searched, and what came back of it."""

    plan: _Running
    job: LayerJob
    lane: _Lane
    space: SearchSpace
    book: Book
    left: Callable[[], float] | None
    callback: Callable[[Trial], None] | None
    shown: ExitStack
    token: str = field(default_factory=lambda: uuid4().hex)
    number: int = 0
    anew: bool = False
    failures: int = 0
    announced: int | None = None
    arrived: list[tuple[int, Result, bool]] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    def submit(self, *, anew: bool = False) -> Future[_Part | None]:
        """Have the next slice measured; anew, on a worker that does not know the search."""
        seconds = float("inf") if self.left is None else self.left()
        self.anew = anew
        if not self.number or anew:
            known = self.book.known | {index: result for index, result, _ in self.arrived}
            careful = _Careful(self.failures > 0, self.announced)
            work = partial(_advance, self.token, self.number, seconds, self.job, known, careful)
        else:
            work = partial(_advance, self.token, self.number, seconds)
        return self.lane.executor().submit(work)

    def take(self, part: _Part) -> bool:
        """Write what came, then count it; whether anything is new.

        A search that was made anew says again what it knew.
        """
        seen = {index for index, _, _ in self.arrived} if self.anew else ()
        self.number += 1
        new = [trial for trial in part.trials if trial[0] not in seen]
        self.arrived += new
        self._write(self.book.write)
        return bool(new)

    def fail(self) -> None:
        """Workers end at the announced measurement: that is its result."""
        assert self.announced is not None
        result = Result(error=MeasureErrorNo.RUNTIME_DEVICE, cause=CRASH)
        self.arrived.append((self.announced, result, False))
        self.failures, self.announced = 0, None
        self._write(self.book.write)

    def finish(self) -> None:
        """Bring log and trials together after an interrupt; may be called again."""
        self._write(self.book.complete)

    def _write(self, first: Callable[[int, Result], None]) -> None:
        # a trial counts from the moment at which it is in the list; nobody knows after an
        # interrupt whether the one behind the last of them is in the log
        write = first
        while len(self.trials) < len(self.arrived):
            index, result, recorded = self.arrived[len(self.trials)]
            if not recorded:
                write(index, result)
            write = self.book.write
            trial = Trial(len(self.trials) + 1, index, result, recorded)
            self.trials.append(trial)
            if self.callback is not None:
                self.callback(trial)

    def result(self, ended: str, *, interrupted: bool = False) -> TuningResult:
        return TuningResult(self.space, tuple(self.trials), interrupted, ended == PROVEN, ended)


class _Running:
    """A plan and what of its stage is not kept yet."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.left = 0
        self._stages = plan.stages()

    def next_stage(self) -> Sequence[LayerJob]:
        """Jobs to run now; empty when a job of the stage runs still, or all is done."""
        for stage in () if self.left else self._stages:
            if stage:
                self.left = len(stage)
                return stage
        return ()


class _Lane:
    """An executor with one worker; ours is made when it is needed, and again when it breaks."""

    def __init__(self, make: Callable[[], Executor], *, ours: bool) -> None:
        self._make, self._ours = make, ours
        self._executor: Executor | None = None

    def executor(self) -> Executor:
        if self._executor is None:
            self._executor = self._make()
        return self._executor

    def stop(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None and self._ours:
            stop_workers(executor)


class Lanes:
    """Workers that search one layer each; a context manager, which ends those that it started.

    :meth:`processes` and :meth:`of_dask` are the usual ones; any executor with one worker serves.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> layers = vtacsp.suite("resnet18")[8:]
    >>> nodes = [Node(name=w.name, op="Conv", place=VTA, workload=w) for w in layers]
    >>> with Lanes([lambda: ThreadPoolExecutor(1)] * 2, ours=False) as lanes:
    ...     found = tune_network(Network("two", nodes), search=LayerSearch(trials=4), lanes=lanes)
    ...
    >>> [layer.cycles for layer in found.answer.layers]
    [37666, 465099]
    """

    def __init__(self, makers: Sequence[Callable[[], Executor]], *, ours: bool = True) -> None:
        """``makers`` make an executor with one worker each; ``ours`` are stopped by force."""
        if not makers:
            raise MeasureError("there are no workers to search on")
        self._lanes = [_Lane(make, ours=ours) for make in makers]
        self._local = ours

    @classmethod
    def processes(cls, jobs: int) -> Lanes:
        """So many worker processes of this machine; started when the first layer is searched."""
        if jobs < 1:
            raise MeasureError(f"jobs is {jobs}, must be at least 1")
        return cls([partial(process_pool, 1, [__name__])] * jobs)

    @classmethod
    def of_dask(cls, client: Any) -> Lanes:
        """The threads of the workers of a ``dask.distributed.Client``.

        When a worker of the cluster ends, another one goes on with its layer.
        """
        options = {"allow_other_workers": True, "pure": False}
        threads = client.nthreads()
        most = max(threads.values(), default=0)
        # one thread of each worker before the second of any
        addresses = [address for n in range(most) for address in threads if threads[address] > n]
        makers = [partial(client.get_executor, workers=[a], **options) for a in addresses]
        return cls(makers, ours=False)

    def __len__(self) -> int:
        return len(self._lanes)

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.stop()

    def search(
        self,
        plans: Sequence[Plan],
        log: TuningLog | None,
        done: OnLayer | None = None,
        watch: Watch | None = None,
    ) -> bool:
        """Search the layers of all plans; False when Ctrl-C ended that.

        ``done`` sees the result of each layer when it is there, ``watch`` every trial.

        The log has the records of each layer in the order in which a search of that layer alone
        writes them; those of several layers alternate.  A configuration at which workers end again
        and again has failed, as one that crashes in :class:`~vtacsp.tune.ExecutorMeasurer`.  Raises
        :class:`~vtacsp.errors.MeasureError` when they end before any measurement, and what a
        search raises.
        """
        running = [_Running(plan) for plan in plans]
        run = _Search(self._lanes, running, log, done, watch or Watch())
        try:
            if self._local:
                compile_simulator()  # compiled once, not in every process
            run.all()
        except KeyboardInterrupt:
            run.interrupted()
            return False
        except BaseException:
            run.give_up()
            raise
        return True


class _Search:
    """One run over all layers, in the process that has the log."""

    def __init__(
        self,
        lanes: Sequence[_Lane],
        plans: Sequence[_Running],
        log: TuningLog | None,
        done: OnLayer | None,
        watch: Watch,
    ) -> None:
        self._free = deque(lanes)
        self._lanes, self._log, self._done, self._watch = lanes, log, done, watch
        self._waiting = deque((plan, job) for plan in plans for job in plan.next_stage())
        self._flights: list[_Flight] = []
        self._flying: dict[Future[_Part | None], _Flight] = {}

    def all(self) -> None:
        while self._waiting or self._flying:
            while self._waiting and self._free:
                self._begin(*self._waiting.popleft(), self._free.popleft())
            done, _ = wait(self._flying, return_when=FIRST_COMPLETED)
            # in the order of the layers, when several are done
            for future in [future for future in self._flying if future in done]:
                self._arrived(future)

    def _begin(self, plan: _Running, job: LayerJob, lane: _Lane) -> None:
        shown, callback, left = ExitStack(), None, None
        with job.search.measurer(job.simulator) as measurer:
            device = measurer.device  # under which the log has its results
        space = job.search.space_of(job.simulator)
        if not job.listed:
            total = min(job.trials, len(space))
            callback = shown.enter_context(self._watch.layer(job.simulator, total))
            left = self._watch.share(len(self._lanes))
        book = Book(space, self._log, device)
        flight = _Flight(plan, job, lane, space, book, left, callback, shown)
        self._flights.append(flight)
        self._flying[flight.submit()] = flight

    def _arrived(self, future: Future[_Part | None]) -> None:
        flight = self._flying.pop(future)
        try:
            part = future.result()
        except BrokenExecutor:
            self._restart(flight)
            return
        except VtacspError:
            raise
        except Exception as failure:
            if type(failure).__name__ == _KILLED:
                self._restart(flight)
                return
            name = flight.job.simulator.workload.name
            raise MeasureError(f"{name}: {type(failure).__name__}: {failure}"[:200]) from failure
        if part is None:  # another worker took over, which has not seen the search
            self._flying[flight.submit(anew=True)] = flight
            return
        before, flight.announced = flight.announced, part.announced
        if flight.take(part):
            flight.failures = 0
        elif before is not None and before != part.announced:
            flight.announced = None  # a search that is not the same again: nobody knows which it is
            self._failed(flight)
        if part.ended is None:
            self._flying[flight.submit(anew=part.announced is not None)] = flight
            return
        result = flight.result(part.ended)
        flight.shown.close()
        self._keep(flight, result)
        self._flights.remove(flight)
        flight.plan.left -= 1
        self._free.append(flight.lane)
        self._waiting.extendleft((flight.plan, job) for job in reversed(flight.plan.next_stage()))

    def _keep(self, flight: _Flight, result: TuningResult) -> None:
        flight.plan.plan.keep(flight.job, result)
        if self._done is not None and not flight.job.listed:
            self._done(flight.job.simulator, result)

    def _restart(self, flight: _Flight) -> None:
        flight.lane.stop()
        self._failed(flight)
        self._flying[flight.submit(anew=True)] = flight

    @staticmethod
    def _failed(flight: _Flight) -> None:
        """Its worker ended once more, or it cannot be said at what."""
        flight.failures += 1
        if flight.failures >= TRIES:
            if flight.announced is None:
                raise MeasureError(
                    f"{flight.job.simulator.workload.name}: its worker ended {TRIES} times after "
                    f"{len(flight.trials)} trials, while it searched; memory may be short: fewer "
                    "workers need less"
                )
            flight.fail()

    def interrupted(self) -> None:
        """Keep what came back; what is under way is given up."""
        for flight in self._flights:
            flight.finish()
        self.give_up()
        for flight in self._flights:
            if flight.trials:
                self._keep(flight, flight.result("", interrupted=True))

    def give_up(self) -> None:
        """End what is under way."""
        for future in self._flying:
            future.cancel()
        for lane in self._lanes:
            lane.stop()
        for flight in self._flights:
            flight.shown.close()
