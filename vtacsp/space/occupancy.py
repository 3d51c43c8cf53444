"""How full the scratchpads are: need over depth of the feasible configurations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vtacsp.arrays import DoubleArray
from vtacsp.causes import too_large
from vtacsp.expr import Env
from vtacsp.operators.knobs import BLOCK
from vtacsp.space.feasible import FeasibleSpace

__all__ = ["Occupancy", "occupancy"]

BUFFERS = {"inp": "input", "wgt": "weights", "acc": "accumulator"}


@dataclass(frozen=True)
class Occupancy:
    """Share of one scratchpad that each feasible configuration needs, aligned with its rank."""

    buffer: str
    depth: int
    shares: DoubleArray

    @property
    def name(self) -> str:
        """What the scratchpad holds."""
        return BUFFERS[self.buffer]

    def histogram(self, bins: int = 20) -> list[int]:
        """Configurations per bin of equal width from empty to full."""
        counts, _ = np.histogram(self.shares, bins=bins, range=(0.0, 1.0))
        return [int(n) for n in counts]


def occupancy(space: FeasibleSpace) -> list[Occupancy]:
    """Occupancy of each scratchpad in use by the feasible configurations; empty without any."""
    if not len(space):
        return []
    problem = space.problem
    rules = {rule.name: rule for rule in problem.rules}
    # what the ALU runs by itself uses the accumulators alone
    used = [buffer for buffer in BUFFERS if too_large(buffer) in rules]
    quantities = {buffer: rules[too_large(buffer)].quantities for buffer in used}
    needs = {buffer: np.empty(len(space), dtype=np.float64) for buffer in used}
    for begin in range(0, len(space), BLOCK):
        part = slice(begin, begin + BLOCK)
        env = problem.at(space.indices[part])
        for buffer, need in needs.items():
            need[part] = env.evaluate(quantities[buffer]["need"])
    env = Env(problem.constants)
    found = []
    for buffer, need in needs.items():
        depth = int(env.evaluate(quantities[buffer]["depth"]))
        found.append(Occupancy(buffer, depth, need / depth))
    return found
