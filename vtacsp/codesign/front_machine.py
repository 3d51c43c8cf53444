"""A machine of the front in detail: what bounds each layer, what runs, what a size is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vtacsp.codesign.cycle_table import FAR
from vtacsp.codesign.evaluator import Evaluator
from vtacsp.codesign.machines import BUS, MachineSpace
from vtacsp.codesign.pareto import Front, Point
from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import BUFFER_FIELDS, VTAConfig
from vtacsp.operators.builder import build
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import TimingModel
from vtacsp.timing.simulator import simulate_timing

__all__ = ["Detail", "bound_by", "details", "sensitivity"]

UOP = BUFFER_FIELDS["uop"]


@dataclass(frozen=True)
class Detail:
    """A point: what bounds each layer (``compute``, ``load``, ``store``, ``latency``), programs
    that run of those that the grid has, and cycles of the neighbours by key: one step smaller and
    one larger, None where that is no machine or the network does not run there.
    """

    point: Point
    bound: dict[str, str]
    runs: dict[str, tuple[int, int]]
    neighbours: dict[str, tuple[int | None, int | None]]

    @property
    def share(self) -> float:
        """Programs that run of all, over the layers."""
        grid = sum(size for _, size in self.runs.values())
        return sum(feasible for feasible, _ in self.runs.values()) / grid


def bound_by(workload: Workload, hardware: VTAConfig, timing: TimingModel, index: int) -> str:
    """What bounds a configuration: see :attr:`vtacsp.TimingResult.bound`."""
    return simulate_timing(build(workload, hardware, index), timing).bound


def details(front: Front, points: Iterable[Point] | None = None) -> list[Detail]:
    """The points of a front in detail, all of them when not given."""
    chosen = front.points if points is None else tuple(points)
    e = front.evaluator
    near = sensitivity(e, [point.machine for point in chosen])
    known: dict[tuple[object, ...], str] = {}
    found = []
    for point, neighbours in zip(chosen, near, strict=True):
        feasible = e.feasible_programs(point.machine)
        bound, runs = {}, {}
        for best in point.layers:
            # other scratchpads than that of the micro-ops change no cycle
            nameless = replace(best.workload, name="layer")
            sizes = tuple(point.sizes[key] for key in ("LOG_BATCH", "LOG_BLOCK", BUS, UOP))
            key = (nameless, best.index, *sizes)
            if key not in known:
                known[key] = bound_by(best.workload, point.hardware, point.timing, best.index)
            bound[best.layer.name] = known[key]
            grid = KnobSpace.of(best.workload, point.hardware).programs()
            runs[best.layer.name] = (feasible[best.layer.name], grid)
        found.append(Detail(point, bound, runs, neighbours))
    return found


def sensitivity(
    evaluator: Evaluator, machines: Sequence[int]
) -> list[dict[str, tuple[int | None, int | None]]]:
    """Cycles one step below and one above each free key, for machines of the space."""
    space = evaluator.space
    asked: list[dict[str, list[int | None]]] = []
    for machine in machines:
        sizes = space.sizes(machine)
        mine: dict[str, list[int | None]] = {}
        for key, values in space.free.items():
            place = values.index(sizes[key])
            steps = [values[i] if 0 <= i < len(values) else None for i in (place - 1, place + 1)]
            mine[key] = [None if v is None else _number(space, {**sizes, key: v}) for v in steps]
        asked.append(mine)
    numbers = {n for mine in asked for pair in mine.values() for n in pair if n is not None}
    wanted = np.array(sorted(numbers), dtype=np.int64)
    cycles = dict(zip(wanted.tolist(), evaluator.prove(wanted).tolist(), strict=True))

    def of(number: int | None) -> int | None:
        found = FAR if number is None else cycles[number]
        return None if found >= FAR else found

    return [{key: (of(pair[0]), of(pair[1])) for key, pair in mine.items()} for mine in asked]


def _number(space: MachineSpace, sizes: dict[str, int]) -> int | None:
    try:
        return space.find(sizes)
    except SpaceError:  # it cannot be built
        return None
