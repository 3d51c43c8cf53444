"""What a network takes: the best configuration of every distinct layer, and the totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from vtacsp.errors import SpaceError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.value import Network, NetworkLayer
from vtacsp.space.feasible import FeasibleSpace, compile
from vtacsp.space.statistics import SpaceStatistics, statistics
from vtacsp.timing.breakdown import TimingResult
from vtacsp.timing.exhaustive import simulate_all
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.robust import robust
from vtacsp.timing.simulator import Simulator
from vtacsp.tune.task import Task

__all__ = ["LayerAnswer", "NetworkAnswer", "answers", "solve", "tasks"]


@dataclass(frozen=True)
class LayerAnswer:
    """A distinct layer on a machine: its space, and the configuration that it runs with.

    ``space`` is None when the machine cannot pack the layer (``refused`` says why); ``result`` is
    None then, and when nothing is feasible.  ``alone`` are the cycles of the layer's own best
    configuration.  It runs with another one when ``shared`` names other layers of the same AutoTVM
    task, which differ in their epilogue: a log has one record for all of them.

    >>> layer = load_network("resnet18.C11").layers[0]
    >>> (answer,) = answers([layer], VTAConfig())
    >>> answer.index, answer.cycles, answer.total_cycles
    (219, 465099, 1395297)
    """

    layer: NetworkLayer
    space: FeasibleSpace | None = field(default=None, repr=False)
    refused: str = ""
    index: int | None = None
    result: TimingResult | None = field(default=None, repr=False)
    alone: int | None = None
    shared: tuple[str, ...] = ()

    @property
    def cycles(self) -> int | None:
        """Cycles of one run of the layer."""
        return None if self.result is None else self.result.cycles

    @property
    def total_cycles(self) -> int | None:
        """Cycles of all its runs."""
        return None if self.cycles is None else self.cycles * self.layer.count

    @property
    def bytes(self) -> int | None:
        """Bytes that one run moves, instructions included."""
        return None if self.result is None else sum(self.result.bytes.values())

    @property
    def idle(self) -> int:
        """Cycles of all its runs in which the GEMM core does not multiply."""
        if self.result is None:
            return 0
        return self.layer.count * (self.result.cycles - self.result.counters["gemm_counter"])

    @cached_property
    def statistics(self) -> SpaceStatistics | None:
        """Counts of its space."""
        return None if self.space is None else statistics(self.space)

    def to_dict(self) -> dict[str, Any]:
        """A row: numbers of one run, and of all runs ``total_cycles`` and ``macs``."""
        work, counts, run = self.layer.workload, self.statistics, self.result
        return {
            "layer": self.layer.name,
            "count": self.layer.count,
            "cycles": self.cycles,
            "total_cycles": self.total_cycles,
            "ms": None if run is None else run.seconds * 1e3,
            "index": self.index,
            "config": None if run is None else dict(run.program.config),
            "bound": None if run is None else run.bound,
            "gemm_utilisation": None if run is None else run.gemm_utilisation,
            "bytes": self.bytes,
            "macs": self.layer.macs,
            "waste": self.layer.waste,
            "configurations": None if counts is None else counts.size,
            "feasible": None if counts is None else counts.feasible,
            "share": None if counts is None else counts.share,
            "causes": None if counts is None else dict(counts.first),
            "alone": self.alone,
            "shared": list(self.shared),
            "cut_short": run.cut_short[0] if run is not None and run.cut_short else None,
            "refused": self.refused or None,
            "nodes": list(self.layer.nodes),
            "remarks": list(self.layer.remarks),
            "workload": {k: v for k, v in work.to_dict().items() if k != "count"},
        }


@dataclass(frozen=True)
class NetworkAnswer:
    """The answers of some or all layers of a network, on one machine.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> node = Node(name="conv", op="Conv", place=VTA, workload=layer, count=3)
    >>> answer = solve(Network("tiny", (node,)))
    >>> total = answer.total()
    >>> total["cycles"], round(total["gemm_utilisation"], 2), total["missing"]
    (1395297, 0.97, [])
    """

    network: Network
    hardware: VTAConfig
    timing: TimingModel
    layers: tuple[LayerAnswer, ...]

    @property
    def answered(self) -> tuple[LayerAnswer, ...]:
        """Layers that have a configuration."""
        return tuple(layer for layer in self.layers if layer.result is not None)

    @property
    def cycles(self) -> int:
        """Cycles of the network's layers on VTA together."""
        return sum(layer.total_cycles or 0 for layer in self.layers)

    @property
    def first(self) -> tuple[LayerAnswer, ...]:
        """The three layers to look at first: most cycles in which the GEMM core waits."""
        ranked = sorted(self.answered, key=lambda layer: -layer.idle)
        return tuple(ranked[:3])

    def total(self) -> dict[str, Any]:
        """Sums over all runs of all layers; ``missing`` names the layers without a number."""
        ran = self.answered
        counted = [layer.statistics for layer in self.layers if layer.statistics is not None]
        size, feasible = sum(c.size for c in counted), sum(c.feasible for c in counted)
        runs = [(layer.layer.count, layer) for layer in ran]
        multiplied = sum(n * x.result.counters["gemm_counter"] for n, x in runs if x.result)
        padded = sum(n * x.layer.workload.macs for n, x in runs)
        macs = sum(x.layer.macs for x in ran)
        seconds = self.timing.seconds_of(self.cycles)
        return {
            "layers": len(self.layers),
            "count": sum(layer.layer.count for layer in self.layers),
            "cycles": self.cycles,
            "ms": seconds * 1e3,
            "clock_hz": self.timing.clock_hz,
            "bytes": sum(n * (x.bytes or 0) for n, x in runs),
            "gemm_utilisation": multiplied / self.cycles if self.cycles else None,
            "macs": macs,
            "gops": 2 * macs / seconds / 1e9 if self.cycles else None,
            "waste": 1 - min(macs, padded) / padded if padded else None,
            "configurations": size,
            "feasible": feasible,
            "share": feasible / size if size else None,
            "host": sum(node.count for node in self.network.host),
            "missing": [layer.layer.name for layer in self.layers if layer.result is None],
        }

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON: ``layers``, ``total``, ``host``, the network and its remarks."""
        return {
            "network": self.network.name,
            "hardware": str(self.hardware),
            "timing": self.timing.note,
            "layers": [layer.to_dict() for layer in self.layers],
            "total": self.total(),
            "host": self.network.host_rows(),
            "first": [layer.layer.name for layer in self.first],
            "remarks": list(self.network.remarks),
        }


def tasks(layers: Iterable[NetworkLayer], hardware: VTAConfig) -> list[list[NetworkLayer]]:
    """Layers by AutoTVM task: those of one list differ in their epilogue, which it does not see.

    A layer that cannot be packed is one by itself.
    """
    groups: dict[Any, list[NetworkLayer]] = {}
    for layer in layers:
        try:
            key: Any = Task.of(layer.workload, hardware).key
        except WorkloadError:
            key = layer.name
        groups.setdefault(key, []).append(layer)
    return list(groups.values())


def answers(
    layers: Sequence[NetworkLayer],
    hardware: VTAConfig,
    timing: TimingModel = RTL,
    executor: Executor | None = None,
) -> list[LayerAnswer]:
    """The answers of layers that are one AutoTVM task: one configuration for all of them.

    It is the one with fewest cycles over all runs of all of them; when none runs under every
    epilogue, each has its own, and ``shared`` still names the others.

    The same convolution with and without a bias is one AutoTVM task, so both get one configuration:

    >>> from dataclasses import replace
    >>> plain = vtacsp.suite("resnet18")[9]
    >>> biased = replace(plain, name="biased", bias=True)
    >>> layers = [NetworkLayer(w, count=1, macs=w.macs, nodes=(w.name,)) for w in (plain, biased)]
    >>> first, second = answers(layers, VTAConfig())
    >>> first.index == second.index, first.shared
    (True, ('biased',))
    """
    found = [_alone(layer, hardware, timing, executor) for layer in layers]
    names = [layer.name for layer in layers]
    if len(layers) == 1:
        return found
    for place, answer in enumerate(found):
        others = tuple(name for name in names if name != answer.layer.name)
        found[place] = replace(answer, shared=others)
    if any(answer.result is None for answer in found):
        return found
    counts = [layer.count for layer in layers]
    try:
        choice = robust([x.workload for x in layers], hardware, counts=counts, timing=timing,
                        executor=executor)  # fmt: skip
    except SpaceError:
        return found
    return [
        replace(answer, index=choice.best, result=simulator.run(choice.best))
        for answer, simulator in zip(found, choice.simulators, strict=True)
    ]


def _alone(
    layer: NetworkLayer, hardware: VTAConfig, timing: TimingModel, executor: Executor | None
) -> LayerAnswer:
    """A layer with the best configuration of its own."""
    try:
        space = compile(layer.workload, hardware)
    except WorkloadError as refusal:
        return LayerAnswer(layer, refused=str(refusal).removeprefix(f"{layer.name}: "))
    if not len(space):
        return LayerAnswer(layer, space)
    simulator = Simulator(space, timing=timing)
    every = simulate_all(simulator, executor)
    index = int(space.indices[np.intp(every.best)])
    return LayerAnswer(
        layer, space, "", index, simulator.run(index), alone=int(every.cycles[every.best])
    )


def solve(
    network: Network,
    hardware: VTAConfig | None = None,
    timing: TimingModel = RTL,
    executor: Executor | None = None,
    progress: Callable[[Sequence[LayerAnswer]], None] | None = None,
) -> NetworkAnswer:
    """The best configuration of every distinct layer, by simulating every feasible one.

    ``progress`` is called with the answers of each AutoTVM task.  Layers are in network order.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> node = Node(name="conv", op="Conv", place=VTA, workload=layer, count=3)
    >>> answer = solve(Network("tiny", (node,)))
    >>> answer.cycles, answer.layers[0].result.bound
    (1395297, 'compute')
    """
    machine = hardware or VTAConfig()
    done: dict[str, LayerAnswer] = {}
    for group in tasks(network.layers, machine):
        mine = answers(group, machine, timing, executor)
        done |= {answer.layer.name: answer for answer in mine}
        if progress is not None:
            progress(mine)
    ordered = tuple(done[layer.name] for layer in network.layers)
    return NetworkAnswer(network, machine, timing, ordered)
