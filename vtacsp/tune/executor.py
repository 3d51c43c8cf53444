"""Measuring on a ``concurrent.futures`` executor: a crash or a hang costs one result."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from vtacsp.causes import CRASH
from vtacsp.errors import MeasureError
from vtacsp.operators.knobs import ConfigLike
from vtacsp.program import Program
from vtacsp.tune.measure import Measurer, measured
from vtacsp.tune.result import MeasureErrorNo, Result
from vtacsp.workers import process_pool, stop_workers

__all__ = ["ExecutorMeasurer", "stop_workers"]

_START = 120.0  # seconds that workers may take to import what they need
_GRACE = 10.0  # seconds that they may take to answer


class ExecutorMeasurer(Measurer):
    """Runs ``function(index)`` on an executor, at most ``jobs`` at a time.

    ``function`` goes through pickle and returns seconds, a :class:`~vtacsp.tune.Result`, or
    raises, as for :class:`~vtacsp.tune.FunctionMeasurer`; a
    :class:`~vtacsp.tune.SimulatorMeasurer` is one.  A measurement that takes longer than
    ``timeout`` seconds from its start on a worker is a run timeout.

    ``executor`` is a callable that makes one, or an executor.  Without, it is a pool of ``jobs``
    processes.  What was made here is stopped by force when a measurement hangs, and made again
    when it breaks: the culprit alone gets an error, the others are measured again.  An executor
    that is given (``client.get_executor()`` of ``dask.distributed``, a thread pool) is never
    closed; a broken one raises :class:`~vtacsp.errors.MeasureError`.  Nobody but the worker knows
    when it starts what was submitted: the function runs in a thread of its own there, which is
    left behind when it hangs.  ``of_program`` measures programs, as for a
    :class:`~vtacsp.tune.FunctionMeasurer`; without it that of ``function``, if it has one.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ExecutorMeasurer(lambda index: 1e-3, ThreadPoolExecutor, jobs=2) as measurer:
    ...     results = dict(measurer.measure([0, 1]))
    ...
    >>> results[1].seconds
    0.001
    """

    def __init__(
        self,
        function: Callable[[int], float | Result],
        executor: Executor | Callable[[], Executor] | None = None,
        *,
        jobs: int | None = None,
        timeout: float = 60.0,
        of_program: Callable[[Program], float | Result] | None = None,
    ) -> None:
        self.parallel = jobs if jobs is not None else os.cpu_count() or 1
        if self.parallel < 1:
            raise MeasureError(f"jobs is {jobs}, must be at least 1")
        if not timeout > 0:
            raise MeasureError(f"timeout is {timeout}, must be more than 0 seconds")
        self.function = function
        self.of_program = of_program or getattr(function, "of_program", None)
        self.device = str(getattr(function, "device", ""))
        self.task = getattr(function, "task", None)
        self.timeout = timeout
        self._cause = f"no result after {timeout:g} s"
        # a function may keep its worker from looking at the clock; ours start what they get at once
        self._patience = timeout + _GRACE if executor is None else None
        self._make: Callable[[], Executor] | None = None
        self._executor: Executor | None = None
        if executor is None:
            self._make = partial(process_pool, self.parallel, [__name__])
        elif isinstance(executor, Executor):
            self._executor = executor
        else:
            self._make = executor

    def measure(self, indices: Iterable[ConfigLike]) -> Iterator[tuple[int, Result]]:
        """Results as they complete: of indices, or of configurations of :attr:`task`."""
        mine = self._indices(indices)
        yield from self._measured(_Run(deque(mine), self.function, {i: i for i in mine}))

    def measure_programs(self, programs: Sequence[Program]) -> Iterator[tuple[int, Result]]:
        """Results as they complete, by ``of_program``; programs go through pickle."""
        if self.of_program is None:
            yield from super().measure_programs(programs)
            return
        of = dict(enumerate(programs))
        yield from self._measured(_Run(deque(of), self.of_program, of))

    def _measured(self, run: _Run) -> Iterator[tuple[int, Result]]:
        """Results of a batch as they complete."""
        while run.waiting or run.suspects or run.flying:
            try:
                self._submit(run)
                self._await(run)
                yield from self._finished(run)
            except BrokenExecutor:
                self._restart()
                yield from self._blame(run)
                continue
            yield from self._late(run)
            if run.hung and self._make is not None:  # free the workers; the others start again
                self._restart()
                run.waiting.extendleft(flight.index for flight in run.flying.values())
                run.flying.clear()
            run.hung = False

    def close(self) -> None:
        """Stop the workers, if they are ours; what is under way is given up."""
        if self._make is not None and self._executor is not None:
            stop_workers(self._executor)
            self._executor = None

    # -- one round

    def _submit(self, run: _Run) -> None:
        # after a crash nobody knows who did it: those under way then run one at a time
        limit = 1 if run.suspects else self.parallel
        queue = run.suspects or run.waiting
        while queue and len(run.flying) < limit:
            work = partial(_watched, self.timeout, self._cause, run.function)
            future = self._started().submit(work, run.arguments[queue[0]])
            run.flying[future] = _Flight(queue.popleft(), time.monotonic(), alone=limit == 1)

    def _await(self, run: _Run) -> None:
        patience = self._patience
        if patience is not None:
            first = min(flight.start for flight in run.flying.values())
            patience = max(first + patience - time.monotonic(), 0.0)
        wait(run.flying, timeout=patience, return_when=FIRST_COMPLETED)

    def _finished(self, run: _Run) -> Iterator[tuple[int, Result]]:
        broken: BrokenExecutor | None = None
        for future in [future for future in run.flying if future.done()]:
            flight = run.flying[future]
            try:
                result = future.result()
            except BrokenExecutor as failure:
                broken = failure
                continue
            except (
                Exception,
                SystemExit,
            ) as failure:  # what came back instead of a result is this one's
                result = _failed(flight, MeasureErrorNo.RUNTIME_DEVICE, _text(failure))
            del run.flying[future]
            run.hung |= result.error == MeasureErrorNo.RUN_TIMEOUT and result.cause == self._cause
            yield flight.index, result
        if broken is not None:
            raise broken

    def _blame(self, run: _Run) -> Iterator[tuple[int, Result]]:
        """The executor broke: with one under way it is the culprit, else all are suspects."""
        flights = list(run.flying.values())
        run.flying.clear()
        if len(flights) == 1 and flights[0].alone:
            yield flights[0].index, _failed(flights[0], MeasureErrorNo.RUNTIME_DEVICE, CRASH)
        else:
            run.suspects.extend(flight.index for flight in flights)

    def _late(self, run: _Run) -> Iterator[tuple[int, Result]]:
        if self._patience is None:
            return
        now = time.monotonic()
        late = {f: x for f, x in run.flying.items() if now - x.start >= self._patience}
        for future, flight in late.items():
            if not future.done():
                del run.flying[future]
                run.hung = True
                yield flight.index, _failed(flight, MeasureErrorNo.RUN_TIMEOUT, self._cause)

    # -- the executor

    def _started(self) -> Executor:
        if self._executor is None:
            assert self._make is not None
            self._executor = self._make()
            _warm_up(self._executor, self.parallel)
        return self._executor

    def _restart(self) -> None:
        if self._make is None:
            raise MeasureError(
                "the executor is broken and was not made here; give a callable that makes one, "
                "so that it can be made again"
            )
        self.close()


@dataclass(frozen=True)
class _Flight:
    index: int
    start: float
    alone: bool


class _Run:
    """One batch: what waits, what may have crashed the workers, what is under way.

    ``hung`` when a worker is still busy with a measurement that was given up.  ``function`` takes
    the argument of a number, which is what waits.
    """

    def __init__(
        self,
        waiting: deque[int],
        function: Callable[[Any], float | Result],
        arguments: Mapping[int, Any],
    ) -> None:
        self.waiting = waiting
        self.function, self.arguments = function, arguments
        self.suspects: deque[int] = deque()
        self.flying: dict[Future[Result], _Flight] = {}
        self.hung = False


def _ready(seconds: float) -> None:
    time.sleep(seconds)


def _warm_up(executor: Executor, jobs: int) -> None:
    """Start the workers before any clock runs."""
    try:
        done, late = wait([executor.submit(_ready, 0.05) for _ in range(jobs)], timeout=_START)
        for future in done:
            future.result()
    except BrokenExecutor as failure:
        raise MeasureError(
            "the worker processes do not start; a script that measures in processes must guard "
            'its start with `if __name__ == "__main__":`'
        ) from failure
    if late:
        raise MeasureError(f"the workers did not start within {_START:g} s")


def _watched(
    timeout: float, cause: str, function: Callable[[Any], float | Result], what: Any
) -> Result:
    """The result of one call, or a run timeout; on the worker, where its start is known."""
    results: SimpleQueue[Result] = SimpleQueue()
    context, start = copy_context(), time.monotonic()
    threading.Thread(
        target=lambda: results.put(context.run(measured, function, what)), daemon=True
    ).start()
    try:
        return results.get(timeout=timeout)
    except Empty:
        late = time.monotonic() - start
        return Result(error=MeasureErrorNo.RUN_TIMEOUT, all_cost=late, cause=cause)


def _failed(flight: _Flight, error: MeasureErrorNo, cause: str) -> Result:
    return Result(error=error, all_cost=time.monotonic() - flight.start, cause=cause)


def _text(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}"
