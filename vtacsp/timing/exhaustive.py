"""The best configuration of a layer, by simulating every one that can run."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.errors import SpaceError
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.occupancy import occupancy
from vtacsp.timing.simulator import Simulator

__all__ = ["Exhaustive", "simulate_all"]


@dataclass(frozen=True)
class Exhaustive:
    """Cycles and scratchpad bytes of every feasible configuration, (n,) in order of rank.

    >>> everything = simulate_all(Simulator(vtacsp.suite("resnet18")[9]))
    >>> len(everything.cycles)
    40
    """

    simulator: Simulator
    cycles: IntArray = field(repr=False)
    scratchpad_bytes: IntArray = field(repr=False)

    @property
    def space(self) -> FeasibleSpace:
        """The feasible configurations."""
        return self.simulator.space

    @property
    def best(self) -> int:
        """Rank of the fastest; among equals the one that needs least scratchpad."""
        return self.pareto[0]

    @property
    def margin(self) -> float | None:
        """How much slower the fastest of the other programs is; None when there is none."""
        programs = self.space.knob_space.program(self.space.indices)
        others = self.cycles[programs != programs[self.best]]
        return float(others.min() / self.cycles[self.best] - 1) if len(others) else None

    @property
    def pareto(self) -> list[int]:
        """Ranks that nothing beats in both cycles and scratchpad bytes, fastest first."""
        order = np.lexsort((np.arange(len(self.cycles)), self.scratchpad_bytes, self.cycles))
        front: list[int] = []
        for rank in order.tolist():
            if not front or self.scratchpad_bytes[rank] < self.scratchpad_bytes[front[-1]]:
                front.append(rank)
        return front


def simulate_all(simulator: Simulator, executor: Executor | None = None) -> Exhaustive:
    """Simulate every feasible configuration of a layer.

    Raises :class:`~vtacsp.errors.SpaceError` when nothing is feasible.

    >>> everything = simulate_all(Simulator(vtacsp.suite("resnet18")[9]))
    >>> int(everything.cycles.min())
    465099
    """
    space = simulator.space
    if not len(space):
        raise SpaceError(f"{space.workload.name}: nothing is feasible, so nothing is best")
    need = np.zeros(len(space))
    for part in occupancy(space):
        need += part.shares * space.hardware.bytes(part.buffer)
    cycles = simulator.cycles_many(space.indices.tolist(), executor)
    return Exhaustive(simulator, cycles, np.rint(need).astype(np.int64))
