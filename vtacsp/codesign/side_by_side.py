"""Two machines side by side, layer by layer: what runs, what is best, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vtacsp.codesign.workloads import CountedLayer, counted
from vtacsp.errors import TimingError
from vtacsp.machine.configuration import BUFFERS, VTAConfig
from vtacsp.operators.builder import build
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace, compile
from vtacsp.space.occupancy import occupancy
from vtacsp.timing.breakdown import TimingResult
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import Simulator, simulate_timing
from vtacsp.tune.bound import cycle_bounds

__all__ = [
    "BUS_ANNOTATION",
    "Machine",
    "MachineComparison",
    "Side",
    "compare",
    "described_machine",
    "total",
]

BUS_ANNOTATION = "bus_bytes"
"""Annotation of a ``vta_config.json``: bytes of a beat of the memory bus."""


@dataclass(frozen=True)
class Machine:
    """A machine: its description and its timing model."""

    hardware: VTAConfig
    timing: TimingModel


def described_machine(hardware: VTAConfig, timing: TimingModel = RTL) -> Machine:
    """A machine from its description, whose annotation ``bus_bytes`` says what bus it has.

    Without the annotation it has that of ``timing``.
    Raises :class:`~vtacsp.errors.TimingError` for a width that is none.
    """
    if BUS_ANNOTATION not in hardware.extra:
        return Machine(hardware, timing)
    try:
        return Machine(hardware, replace(timing, bus_bytes=hardware.extra[BUS_ANNOTATION]))
    except TimingError as error:
        raise TimingError(f"{BUS_ANNOTATION} of the hardware description: {error}") from None


@dataclass(frozen=True)
class Side:
    """A layer on one machine.

    ``workload`` is the layer in whole tensors; ``index``, ``config`` and what follows are of its
    best configuration, None when nothing is ``feasible``.  ``used`` are the shares of the
    scratchpads that it takes, ``moved`` the bytes that it moves to and from memory.
    """

    workload: Workload
    grid: int
    feasible: int
    index: int | None = None
    config: Config | None = None
    cycles: int | None = None
    bound: str | None = None
    used: dict[str, float] | None = None
    moved: int | None = None


@dataclass(frozen=True)
class MachineComparison:
    """A layer on two machines; ``both`` counts the configurations that run on both, None where the
    grids differ, as they do when the blocks do.
    """

    layer: CountedLayer
    a: Side
    b: Side
    both: int | None

    @property
    def faster(self) -> float | None:
        """How much faster the second is: 0.25 when it needs four fifths of the cycles."""
        if self.a.cycles is None or self.b.cycles is None:
            return None
        return self.a.cycles / self.b.cycles - 1


def compare(
    network: Iterable[CountedLayer | Workload | tuple[Workload, int]], a: Machine, b: Machine
) -> list[MachineComparison]:
    """Every layer of a network on two machines.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that a machine cannot pack.
    """
    found = []
    for layer in counted(network):
        spaces = [
            compile(fill_blocks(layer.workload, m.hardware).workload, m.hardware) for m in (a, b)
        ]
        first, second = (_side(space, m) for space, m in zip(spaces, (a, b), strict=True))
        both = None
        if spaces[0].knob_space == spaces[1].knob_space:
            both = len(np.intersect1d(spaces[0].indices, spaces[1].indices))
        found.append(MachineComparison(layer, first, second, both))
    return found


def total(comparisons: Sequence[MachineComparison], side: str) -> int | None:
    """Cycles of the network on side ``a`` or ``b``, None when a layer does not run."""
    found = 0
    for comparison in comparisons:
        cycles = (comparison.a if side == "a" else comparison.b).cycles
        if cycles is None:
            return None
        found += comparison.layer.count * cycles
    return found


def _side(space: FeasibleSpace, machine: Machine) -> Side:
    grid, feasible = len(space.knob_space), len(space)
    if not feasible:
        return Side(space.workload, grid, feasible)
    rank, result = best_of(space, machine.timing)
    used = {part.buffer: float(part.shares[rank]) for part in occupancy(space)}
    return Side(
        space.workload,
        grid,
        feasible,
        index=int(space.indices[rank]),
        config=space[rank],
        cycles=result.cycles,
        bound=result.bound,
        used={name: used[name] for name in BUFFERS if name in used},
        moved=sum(n for name, n in result.bytes.items() if name != "instructions"),
    )


def best_of(space: FeasibleSpace, timing: TimingModel) -> tuple[int, TimingResult]:
    """Rank and timing of the fastest configuration: of equals the one with the lowest index.

    Those whose bound is above the best that is known are not simulated.
    """
    simulator = Simulator(space, timing=timing)
    bounds = cycle_bounds(space.problem, space.indices, timing)
    best, found = -1, 0
    for rank in np.argsort(bounds, kind="stable").tolist():
        if best >= 0 and bounds[rank] > found:
            break
        cycles = simulator.cycles(int(space.indices[rank]))
        if best < 0 or (cycles, rank) < (found, best):
            best, found = rank, cycles
    program = build(space.workload, space.hardware, int(space.indices[best]))
    return best, simulate_timing(program, timing)
