"""Schedules beyond the template in the tuning of a network: searched, then measured."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from vtacsp.errors import SpaceError, WorkloadError
from vtacsp.free.search import SIMULATIONS, Found, compile_search, search
from vtacsp.network.layer_search import LayerSearch
from vtacsp.stopping import FREE_GAP
from vtacsp.timing.simulator import Simulator
from vtacsp.tune.measured_schedules import MEASURED, MeasuredSchedules, measure_schedules
from vtacsp.tune.schedule_log import ScheduleLog

__all__ = ["FreeTuning", "tune_free"]


@dataclass(frozen=True)
class FreeTuning:
    """How the free schedules of a network are tuned.

    Each layer is searched on the simulator, on ``executor`` (of :mod:`concurrent.futures`, or
    Dask's) when there is one, until it is within ``gap`` of the limit or has spent its
    ``simulations``; the ``candidates`` fastest of each are measured by the
    :meth:`~vtacsp.network.LayerSearch.measurer` of the search.  ``log`` keeps the measurements.

    >>> FreeTuning(candidates=4).candidates
    4
    """

    candidates: int = MEASURED
    gap: float = FREE_GAP
    simulations: int = SIMULATIONS
    log: str | Path | None = None
    executor: Executor | None = None


def tune_free(
    simulators: Sequence[Simulator], layers: LayerSearch, free: FreeTuning
) -> tuple[dict[str, MeasuredSchedules], bool]:
    """What was measured of each layer by its name, and whether Ctrl-C ended it.

    Layers without free schedules, and those of which none can run, are left out.  Raises as
    :func:`~vtacsp.tune.measure_schedules`.

    >>> simulator = Simulator(Dense(name="fc", in_features=64, out_features=64))
    >>> measured, _ = tune_free([simulator], LayerSearch(), FreeTuning(3, simulations=40))
    >>> len(measured["fc"].trials)
    3
    """
    measured: dict[str, MeasuredSchedules] = {}
    tasks: list[Future[Found | None] | None] = [None] * len(simulators)
    try:
        if free.executor is not None:
            compile_search()
            tasks = [free.executor.submit(_search, s, free, layers.seed) for s in simulators]
        with ExitStack() as stack:
            log = None if free.log is None else stack.enter_context(ScheduleLog(free.log))
            for simulator, task in zip(simulators, tasks, strict=True):
                found = _search(simulator, free, layers.seed) if task is None else task.result()
                if found is None:
                    continue
                with layers.measurer(simulator) as measurer:
                    result = measure_schedules(found, measurer, candidates=free.candidates, log=log)
                measured[simulator.workload.name] = result
                if result.interrupted:
                    return measured, True
    except KeyboardInterrupt:
        return measured, True
    finally:
        for task in tasks:
            if task is not None:
                task.cancel()
    return measured, False


def _search(simulator: Simulator, free: FreeTuning, seed: int) -> Found | None:
    """A task of an executor; None for a layer without a free schedule that can run."""
    try:
        return search(
            simulator.workload, simulator.hardware, simulator.timing, gap=free.gap,
            simulations=free.simulations, seed=seed,
        )  # fmt: skip
    except (SpaceError, WorkloadError):
        return None
