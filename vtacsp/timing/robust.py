"""One configuration for a layer that a network uses with several epilogues.

AutoTVM's task does not hold the epilogue, so a log has one record for all of them: what is best
with one may not even build with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.errors import SpaceError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import Simulator

__all__ = ["Robust", "robust"]


@dataclass(frozen=True)
class Robust:
    """The configurations of a layer that run under each of its epilogues.

    ``indices`` are AutoTVM's, shape (n,), ascending; ``cycles`` has shape (n, epilogues), in the
    order of ``simulators``; ``counts`` tells how often the network has each of them.

    >>> from dataclasses import replace
    >>> layer = vtacsp.suite("resnet18")[9]
    >>> robust([layer, replace(layer, bias=True)]).cycles.shape
    (40, 2)
    """

    simulators: tuple[Simulator, ...]
    counts: tuple[int, ...]
    indices: IntArray = field(repr=False)
    cycles: IntArray = field(repr=False)

    @property
    def total(self) -> IntArray:
        """Cycles of the network's uses of the layer together, shape (n,)."""
        total: IntArray = self.cycles @ np.array(self.counts, dtype=np.int64)
        return total

    @property
    def best(self) -> int:
        """AutoTVM index of the configuration with fewest cycles in total, the lowest of equals."""
        return int(self.indices[np.argmin(self.total)])

    @property
    def best_config(self) -> Config:
        """The same as knob values."""
        return self.simulators[0].space.knob_space.config(self.best)

    @property
    def price(self) -> float:
        """How much slower that is than the best of each epilogue by itself would be, a share."""
        own = [int(s.cycles_many(s.space.indices.tolist()).min()) for s in self.simulators]
        return float(self.total.min() / np.dot(own, self.counts) - 1)


def robust(
    workloads: Sequence[Workload],
    hardware: VTAConfig | None = None,
    *,
    counts: Sequence[int] | None = None,
    timing: TimingModel = RTL,
    executor: Executor | None = None,
) -> Robust:
    """What runs under every epilogue of a layer; ``workloads`` differ in nothing else.

    ``counts`` (1 each when not given) weigh the epilogues.  Raises
    :class:`~vtacsp.errors.SpaceError` for workloads of different layers, for counts that are not
    one positive number each, and when no configuration runs under all of them.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> from dataclasses import replace
    >>> both = robust([layer, replace(layer, bias=True)])
    >>> len(both.indices)
    40
    """
    if not workloads:
        raise SpaceError("no workloads were given")
    layers = {_layer(workload) for workload in workloads}
    if len(layers) > 1:
        names = ", ".join(workload.name for workload in workloads)
        raise SpaceError(f"{names} are different layers, they may differ in their epilogues only")
    counts = tuple(counts) if counts is not None else (1,) * len(workloads)
    if len(counts) != len(workloads) or min(counts) < 1:
        raise SpaceError(
            f"counts are {shortened(list(counts))}, wanted is a positive one per workload"
        )
    machine = hardware or VTAConfig()
    simulators = tuple(Simulator(workload, machine, timing) for workload in workloads)
    indices = reduce(np.intersect1d, (simulator.space.indices for simulator in simulators))
    if not len(indices):
        shares = ", ".join(f"{s.workload.name} {len(s.space)}" for s in simulators)
        raise SpaceError(f"no configuration runs under every epilogue; each has ({shares})")
    cycles = [simulator.cycles_many(indices.tolist(), executor) for simulator in simulators]
    return Robust(simulators, counts, indices, np.stack(cycles, axis=1))


def _layer(workload: Workload) -> Workload:
    return replace(workload, name="layer", bias=False, epilogue=None, extra={})
