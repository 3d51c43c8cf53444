"""How full the scratchpads are: need over depth of the feasible configurations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtacsp.space.feasible import FeasibleSpace

__all__ = ["Occupancy", "occupancy"]

BUFFERS = {"inp": "input", "wgt": "weights", "acc": "accumulator"}


@dataclass(frozen=True)
class Occupancy:
    """Share of one scratchpad that each feasible configuration needs, aligned with its rank."""

    buffer: str
    depth: int
    shares: NDArray[np.float64]

    @property
    def name(self) -> str:
        """What the scratchpad holds."""
        return BUFFERS[self.buffer]

    def histogram(self, bins: int = 20) -> list[int]:
        """Configurations per bin of equal width from empty to full."""
        counts, _ = np.histogram(self.shares, bins=bins, range=(0.0, 1.0))
        return [int(n) for n in counts]


def occupancy(space: FeasibleSpace) -> list[Occupancy]:
    """Occupancy of each scratchpad by the feasible configurations; empty if there are none."""
    if not len(space):
        return []
    env = space.problem.at(space.indices)
    rules = {rule.name: rule for rule in space.problem.rules}
    found = []
    for buffer in BUFFERS:
        quantities = rules[f"sram:{buffer}"].quantities
        need = np.broadcast_to(np.asarray(env.evaluate(quantities["need"])), (len(space),))
        depth = int(env.evaluate(quantities["depth"]))
        found.append(Occupancy(buffer, depth, need.astype(np.float64) / depth))
    return found
