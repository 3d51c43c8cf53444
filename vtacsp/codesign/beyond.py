"""Points of a front with schedules beyond the template: the best known, and the limit.

The front stays that of the template, which is exact.  For its machines, each layer is searched for
a faster schedule; what is found is the best *known*, and no program needs fewer cycles than the
limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from vtacsp.codesign.pareto import Point
from vtacsp.errors import SpaceError
from vtacsp.free import limit, search
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import TimingModel

__all__ = ["Beyond", "beyond"]


@dataclass(frozen=True)
class Beyond:
    """Cycles of a network on a machine: the best known (``cycles``), and what no program beats."""

    cycles: int
    limit: int


def beyond(
    points: Sequence[Point], simulations: int, seed: int = 0, executor: Executor | None = None
) -> list[Beyond]:
    """The best known of every point, after so many ``simulations`` per layer and machine.

    A layer whose best schedule is that of the template keeps it.
    """
    tasks = list(
        dict.fromkeys(
            (replace(best.workload, name="layer"), point.hardware, point.timing)
            for point in points
            for best in point.layers
        )
    )
    run = map if executor is None else executor.map
    columns = ([*column] for column in zip(*tasks, strict=True))
    numbers = ([simulations] * len(tasks), [seed] * len(tasks))
    found = dict(zip(tasks, run(_search, *columns, *numbers), strict=True))
    result = []
    for point in points:
        cycles = least = 0
        for best in point.layers:
            task = replace(best.workload, name="layer"), point.hardware, point.timing
            faster, bound = found[task]
            cycles += best.layer.count * min(best.cycles, faster or best.cycles)
            least += best.layer.count * bound
        result.append(Beyond(cycles, least))
    return result


def _search(
    workload: Workload, hardware: VTAConfig, timing: TimingModel, simulations: int, seed: int
) -> tuple[int | None, int]:
    """Cycles of the fastest schedule found, None when none runs, and the limit."""
    bound = limit(workload, hardware, timing).cycles
    try:
        return search(workload, hardware, timing, simulations=simulations, seed=seed).cycles, bound
    except SpaceError:
        return None, bound
