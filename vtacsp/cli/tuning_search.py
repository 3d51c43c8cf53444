"""How ``vtacsp tune`` searches: what the options ask for, who measures, what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vtacsp.cli.budget import TimeBudget
from vtacsp.cli.live import Live
from vtacsp.cli.terminal import say
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.layer_search import BATCH, LayerSearch

if TYPE_CHECKING:
    from vtacsp.network.lanes import Lanes, Watch
    from vtacsp.operators.workload import Workload
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.timing.model import TimingModel
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import Measurer, TuningLog, TuningResult

__all__ = ["AskedSearch", "say_measured", "say_nameless", "shown_on"]


@dataclass(frozen=True)
class AskedSearch:
    """What the options say about how to search a layer."""

    layer: LayerSearch
    jobs: int
    log: str
    assumed: str | None
    budget: TimeBudget
    client: Any = None  # of Dask

    @property
    def executor(self) -> Executor | None:
        """That of the scheduler, None without one."""
        return None if self.client is None else self.client.get_executor()

    def measurer(self, simulator: Simulator) -> Measurer:
        """What measures a layer: this process, others, or the scheduler's workers."""
        from vtacsp.timing.simulator import compile_simulator
        from vtacsp.tune import ExecutorMeasurer, SimulatorMeasurer

        here = SimulatorMeasurer(simulator.space, timing=simulator.timing)
        if self.client is not None:
            return ExecutorMeasurer(here, self.executor, jobs=BATCH)
        if self.jobs == 1:
            return here
        compile_simulator()  # a worker's clock runs while it compiles
        return ExecutorMeasurer(here, jobs=self.jobs)

    def run(
        self,
        simulator: Simulator,
        live: Live,
        log: TuningLog,
        keep: Callable[[TuningResult], None],
    ) -> None:
        """Search a layer; ``keep`` has what was found before workers are stopped."""
        total = min(self.layer.trials, len(self.layer.space_of(simulator)))
        with (
            live.layer(simulator, total) as callback,
            self.measurer(simulator) as measurer,
        ):
            keep(
                self.layer.search(
                    simulator, log, measurer=measurer, stop=self.budget.share(), callback=callback
                )
            )

    @contextmanager
    def lanes(self, layers: int) -> Iterator[Lanes | None]:
        """Workers to search several layers at once; None when they are searched in turn."""
        from vtacsp.network.lanes import Lanes

        if layers < 2 or (self.client is None and self.jobs < 2):
            yield None
        elif self.client is not None:
            yield Lanes.of_dask(self.client)
        else:
            with Lanes.processes(min(self.jobs, layers)) as lanes:
                yield lanes


def shown_on(live: Live, budget: TimeBudget) -> Watch:
    """Progress and time of layers that are searched side by side."""
    from vtacsp.network.lanes import Watch

    class Shown(Watch):
        def layer(self, simulator: Simulator, total: int) -> AbstractContextManager[Any]:
            return live.layer(simulator, total)

        def share(self, lanes: int) -> Callable[[], float] | None:
            return None if budget.minutes is None else budget.share(lanes).left

    return Shown()


def say_nameless(
    log: TuningLog, layers: Iterable[Workload], hardware: VTAConfig, timing: TimingModel
) -> None:
    """What becomes of the records that do not say what measured them: a board may have."""
    from vtacsp.tune import Task, device_of

    tasks = {task.key: task for task in (Task.of(layer, hardware) for layer in layers)}
    count = sum(map(log.nameless, tasks.values()))
    if not count:
        return
    here = device_of(timing)
    named = "records name" if count > 1 else "record names"
    if not log.assume:
        fate = f'left out; --assume DEVICE says which, such as "{here}"'
    elif log.assume == here:
        fate = f'taken as "{here}"'
    else:
        fate = f'taken as "{log.assume}", which is not what measures here ("{here}"): left out'
    say(f"{log.path}: {count:,} {named} no device: {fate}")


def say_measured(tuned: Sequence[TunedLayer], search: AskedSearch) -> None:
    """How much was measured; which layers ended before their trials, and why."""
    from vtacsp.tune.loop import EARLY, STOPPED

    fresh = sum(layer.result.measured for layer in tuned)
    known = sum(len(layer.result.trials) for layer in tuned) - fresh
    say(f"{search.log}: {fresh:,} measured now, {known:,} known from before")
    proven = sum(layer.result.proven for layer in tuned)
    if proven:
        say(
            f"{proven} of {len(tuned)} layers ended early: no configuration is more than "
            f"{search.layer.gap:g}% faster than what was found"
        )
    early = sum(layer.result.ended == EARLY for layer in tuned)
    if early:
        say(
            f"{early} of {len(tuned)} layers ended after {search.layer.early_stopping:,} "
            "measurements without a new best"
        )
    late = sum(layer.result.ended == STOPPED for layer in tuned)
    if late:
        say(
            f"{late} of {len(tuned)} layers were cut short by --minutes "
            f"{search.budget.minutes:g}; the same command goes on from the log"
        )
