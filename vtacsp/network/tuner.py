"""Tuning a network: every distinct layer once, one configuration per AutoTVM task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np

from vtacsp.errors import SearchError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.answer import LayerAnswer, NetworkAnswer, tasks
from vtacsp.network.free_tuner import FreeTuning, tune_free
from vtacsp.network.lanes import Lanes, LayerJob, Watch, in_order
from vtacsp.network.layer_search import LayerSearch
from vtacsp.network.value import Network, NetworkLayer
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import Simulator
from vtacsp.tune.loop import TuningResult
from vtacsp.tune.measured_schedules import MeasuredSchedules
from vtacsp.tune.records import Record, TuningLog
from vtacsp.tune.search_space import FeasibleGrid
from vtacsp.tune.task import Task, device_of

__all__ = ["CROSSED", "LayerSearch", "TunedNetwork", "tune_network"]

CROSSED = 4
"""How many of the best of each epilogue are measured under the others."""


@dataclass(frozen=True)
class TunedNetwork:
    """What the searches of a network found.

    ``results`` are the searches by layer, with the simulator of each; ``records`` one per AutoTVM
    task, what a log for TVM needs.  ``free`` is what was measured beyond the template, by layer,
    where that was asked for.

    >>> node = Node(name="conv", op="Conv", place=VTA, workload=vtacsp.suite("resnet18")[9])
    >>> tuned = tune_network(Network("tiny", (node,)), search=LayerSearch(trials=4))
    >>> simulator, result = tuned.results["conv"]
    >>> len(result.trials), [record.index for record in tuned.records]
    (4, [219])
    """

    answer: NetworkAnswer
    results: dict[str, tuple[Simulator, TuningResult]] = field(repr=False)
    records: tuple[Record, ...] = field(repr=False)
    interrupted: bool = False
    free: dict[str, MeasuredSchedules] = field(default_factory=dict, repr=False)


def tune_network(
    network: Network,
    hardware: VTAConfig | None = None,
    timing: TimingModel = RTL,
    *,
    search: LayerSearch | None = None,
    log: str | Path | TuningLog | None = None,
    done: Callable[[Simulator, TuningResult], None] | None = None,
    lanes: Lanes | None = None,
    watch: Watch | None = None,
    free: FreeTuning | None = None,
) -> TunedNetwork:
    """Search every distinct layer; what is in the log is not measured again.

    Layers that differ in their epilogue alone are one AutoTVM task: each is searched among the
    configurations that run under all of its epilogues, the best :data:`CROSSED` of each are
    measured under the others, and the one with least time over all runs is the task's.  ``done``
    sees the result of each layer.  Ctrl-C ends the run and keeps what is done.

    With ``lanes`` the layers are searched side by side on their workers, and ``watch`` looks on.
    What is found is the same, and so are the records of a layer in the log, in the same order;
    those of several layers alternate.

    ``free`` then searches schedules beyond the template and measures the fastest of each layer with
    the same measurer.

    Raises :class:`~vtacsp.errors.SearchError` for a network without a layer that can run, and as
    :func:`vtacsp.tune.tune`.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> node = Node(name="conv", op="Conv", place=VTA, workload=layer, count=3)
    >>> network = Network("tiny", (node,))
    >>> tune_network(network, search=LayerSearch(trials=8)).answer.cycles, solve(network).cycles
    (1395297, 1395297)
    """
    machine, search = hardware or VTAConfig(), search or LayerSearch()
    groups = [
        _TaskSearch.of(layers, machine, timing, search) for layers in tasks(network.layers, machine)
    ]
    if not any(group.searched for group in groups):
        raise SearchError(f"{network.name}: no layer has a feasible configuration")
    with ExitStack() as stack:
        book = stack.enter_context(TuningLog(log)) if isinstance(log, (str, Path)) else log
        if lanes is None:
            whole = in_order(groups, book, done)
        else:
            whole = lanes.search(groups, book, done, watch)
    known = {answer.layer.name: answer for group in groups for answer in group.answers()}
    ordered = tuple(known[layer.name] for layer in network.layers)
    found = {name: result for group in groups for name, result in group.results.items()}
    results = {layer.name: found[layer.name] for layer in network.layers if layer.name in found}
    records = tuple(record for group in groups if (record := group.record()) is not None)
    answer = NetworkAnswer(network, machine, timing, ordered)
    beyond: dict[str, MeasuredSchedules] = {}
    if free is not None and whole:
        tuned = [simulator for simulator, _ in results.values()]
        beyond, interrupted = tune_free(tuned, search, free)
        whole = not interrupted
    return TunedNetwork(answer, results, records, not whole, beyond)


@dataclass
class _TaskSearch:
    """The layers of an AutoTVM task, and what their searches found, by name.

    ``simulators`` have all of each layer's own space, ``shared`` what runs under every epilogue.
    """

    layers: list[NetworkLayer]
    simulators: list[Simulator]
    shared: list[Simulator]
    search: LayerSearch
    results: dict[str, tuple[Simulator, TuningResult]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        layers: list[NetworkLayer],
        machine: VTAConfig,
        timing: TimingModel,
        search: LayerSearch,
    ) -> _TaskSearch:
        simulators = [Simulator(layer.workload, machine, timing) for layer in layers]
        return cls(layers, simulators, _common_spaces(simulators), search)

    @property
    def searched(self) -> list[Simulator]:
        """The layers that have anything to search, with what is searched."""
        return [simulator for simulator in self.shared if len(simulator.space)]

    def stages(self) -> Iterator[list[LayerJob]]:
        """Search all of them, then measure the best of each epilogue under the others."""
        yield [LayerJob(simulator, self.search) for simulator in self.searched]
        if len(self.results) > 1:
            yield list(self._crossed())

    def keep(self, job: LayerJob, result: TuningResult) -> None:
        """Take the result of a job."""
        name = job.simulator.workload.name
        if not job.listed:
            if result.trials:
                mine = next(x for x in self.simulators if x.workload.name == name)
                self.results[name] = mine, result
            return
        before = self.results[name][1]
        own = before.trials[: job.before]
        measured = {trial.index for trial in own}
        more = [trial for trial in result.trials if trial.index not in measured]
        numbered = (replace(t, number=len(own) + n) for n, t in enumerate(more, 1))
        self.results[name] = job.simulator, replace(before, trials=(*own, *numbered))

    def _crossed(self) -> Iterator[LayerJob]:
        names = [simulator.workload.name for simulator in self.simulators]
        known = [self.results[name] for name in names if name in self.results]
        wanted = _candidates([result for _, result in known], self.search.trials)
        for simulator, before in known:
            space = FeasibleGrid(simulator.space)
            measured = {trial.index for trial in before.trials}
            new = tuple(index for index in wanted if index in space and index not in measured)
            if new:
                yield LayerJob(simulator, self.search, new, len(before.trials))

    @property
    def index(self) -> int | None:
        """The configuration for all of them; None when they have none in common."""
        if len(self.results) < len(self.layers):
            return None
        found = [self.results[layer.name][1] for layer in self.layers]
        return _pick(found, [layer.count for layer in self.layers])

    def answers(self) -> Iterator[LayerAnswer]:
        """What each layer runs with."""
        names, shared = [layer.name for layer in self.layers], self.index
        for layer, simulator in zip(self.layers, self.simulators, strict=True):
            others = tuple(name for name in names if name != layer.name)
            answer = LayerAnswer(layer, simulator.space, shared=others)
            found = self.results.get(layer.name)
            best = None if found is None else found[1].best
            if best is not None:
                index = best.index if shared is None else shared
                alone = best.result.cycles(simulator.timing)
                answer = replace(answer, index=index, result=simulator.run(index), alone=alone)
            yield answer

    def record(self) -> Record | None:
        """The one record of the task; None when nothing ran."""
        index = self.index
        for layer in self.layers:
            simulator, result = self.results.get(layer.name, (None, None))
            if simulator is None or result is None or result.best is None:
                continue
            best = result.best.index if index is None else index
            trial = next(t for t in result.trials if t.index == best and t.result.ok)
            device = device_of(simulator.timing)
            space = simulator.space
            task = Task.of(layer.workload, space.hardware, device)
            config = space.knob_space.config(best)
            return Record(task, best, config, trial.result, layer.name, device)
        return None


def _common_spaces(simulators: Sequence[Simulator]) -> list[Simulator]:
    """The same layers on the configurations that run under the epilogue of each.

    When there are none, or one layer is alone, each keeps its own space.
    """
    indices = reduce(np.intersect1d, (simulator.space.indices for simulator in simulators))
    if len(simulators) == 1 or not len(indices):
        return list(simulators)
    return [simulator.among(indices) for simulator in simulators]


def _candidates(results: Sequence[TuningResult], trials: int) -> list[int]:
    """The best :data:`CROSSED` configurations of each search.

    Of the first ``trials`` results only, those of the search itself: a run that goes on from a log
    finds the same ones.
    """
    found: dict[int, None] = {}
    for result in results:
        own = (trial for trial in result.trials[:trials] if trial.result.ok)
        good = sorted(own, key=lambda trial: trial.result.seconds)
        found |= dict.fromkeys(trial.index for trial in good[:CROSSED])
    return list(found)


def _pick(results: Sequence[TuningResult], counts: Sequence[int]) -> int | None:
    """The configuration with least time over all runs of all epilogues, the lowest of equals.

    Only what was measured, and runs, under each counts; None when there is none.
    """
    seconds = [{t.index: t.result.seconds for t in r.trials if t.result.ok} for r in results]
    shared = set.intersection(*({*mine} for mine in seconds))

    def total(index: int) -> tuple[float, int]:
        parts = zip(seconds, counts, strict=True)
        return sum(count * mine[index] for mine, count in parts), index

    return min(shared, key=total, default=None)
