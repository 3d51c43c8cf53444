"""The front: machines that no other one beats in cycles and in every cost, with the proof.

A machine is refined only while nothing that is known beats its lower bound.  What is left when all
of those are proven is the front: any other machine has a bound, and with it cycles, that one of
them reaches at no higher cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.codesign.costs import COSTS, Budget, Cost, known_costs, preferred, within
from vtacsp.codesign.evaluator import Best, Evaluator, Level
from vtacsp.codesign.machines import MachineSpace
from vtacsp.codesign.store import Store
from vtacsp.codesign.workloads import CountedLayer, counted
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import TimingModel

__all__ = ["Front", "Point", "Proof", "codesign", "non_dominated", "objectives_of"]


@dataclass(frozen=True)
class Point:
    """A machine of the front: its number, its sizes by key, costs, and its layers at their best.

    >>> front = codesign(vtacsp.suite("resnet18")[9:], MachineSpace())
    >>> (point,) = front.points
    >>> str(point.hardware), point.costs, point.cycles
    ('1x16, LOG_*_BUFF_SIZE 15/15/18/17 (uop/inp/wgt/acc)', {'kib': 448}, 1395297)
    """

    machine: int
    sizes: dict[str, int]
    hardware: VTAConfig
    timing: TimingModel
    costs: dict[str, int]
    cycles: int
    layers: tuple[Best, ...] = field(repr=False)


@dataclass(frozen=True)
class Proof:
    """What became of every machine of the ranges; the numbers add up to ``machines``.

    ``illegal``, ``over_budget`` and ``infeasible`` count by the first rule, budget or layer.
    ``cut_by_work`` and ``cut_by_schedule`` are beaten by a machine of the front although only a
    bound of their cycles is known; ``beaten`` are those whose cycles were computed, ``front`` is
    what is left.  ``tables`` are layers that were compiled, ``programs`` those that were
    simulated, ``recalled`` those that were known from an earlier run.

    >>> space = MachineSpace(free={"LOG_WGT_BUFF_SIZE": range(14, 19)})
    >>> print(codesign(vtacsp.suite("resnet18")[9:], space, ["kib<=300"]).proof)
    5 machines: 0 cannot be built, 2 are over budget, 0 cannot run every layer
    cut by a bound: 0 by the work that no tiling avoids, 0 by the schedules that fit
    proven: 3 machines, of which 3 are the front; 3 programs simulated
    """

    machines: int
    illegal: dict[str, int]
    over_budget: dict[str, int]
    infeasible: dict[str, int]
    cut_by_work: int
    cut_by_schedule: int
    beaten: int
    front: int
    tables: int = 0
    programs: int = 0
    recalled: int = 0
    rounds: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        bounds = (
            f"{self.machines:,} machines: {sum(self.illegal.values()):,} cannot be built, "
            f"{sum(self.over_budget.values()):,} are over budget, "
            f"{sum(self.infeasible.values()):,} cannot run every layer"
        )
        return (
            f"{bounds}\ncut by a bound: {self.cut_by_work:,} by the work that no tiling avoids, "
            f"{self.cut_by_schedule:,} by the schedules that fit"
            f"\nproven: {self.beaten + self.front:,} machines, of which {self.front:,} are the "
            f"front; {self.programs:,} programs simulated"
            + (f", {self.recalled:,} known before" if self.recalled else "")
        )


@dataclass(frozen=True)
class Front:
    """The answer: points by their first cost, cheapest first.

    ``objectives`` are the costs that are compared besides the cycles, ``costs`` what every point
    is listed with.

    >>> space = MachineSpace(free={"LOG_WGT_BUFF_SIZE": range(14, 19)})
    >>> front = codesign(vtacsp.suite("resnet18")[9:], space, ["kib<=300"])
    >>> [cost.name for cost in front.objectives], len(front.points), front.proof.machines
    (['kib'], 3, 5)
    """

    network: tuple[CountedLayer, ...]
    space: MachineSpace
    objectives: tuple[Cost, ...]
    costs: tuple[Cost, ...]
    budgets: tuple[Budget, ...]
    points: tuple[Point, ...]
    proof: Proof
    evaluator: Evaluator = field(repr=False)


def objectives_of(budgets: Sequence[Budget], costs: Iterable[Cost] = ()) -> tuple[Cost, ...]:
    """The costs of the budgets, then those of ``costs``; ``kib`` when there is none."""
    found = {cost.name: cost for cost in (*(b.cost for b in budgets), *costs)}
    return tuple(found.values()) or (COSTS["kib"],)


def codesign(
    network: Iterable[CountedLayer | Workload | tuple[Workload, int]],
    space: MachineSpace,
    budgets: Sequence[Budget | str] = (),
    costs: Iterable[Cost] = (),
    *,
    executor: Executor | None = None,
    store: Store | None = None,
    progress: Callable[[int], None] | None = None,
) -> Front:
    """The exact Pareto front of a network's cycles against costs, on the machines of a space.

    Compared are the cycles, the costs of the ``budgets`` and those in ``costs``; ``kib`` when
    there is none.  Every layer runs its best configuration of the template.  Of machines that are
    equal in all of it the one with the fewest bytes is listed, then the one with the smallest
    sizes.  ``executor`` is any of :mod:`concurrent.futures`, or Dask's; ``progress`` is told how
    many machines are left.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that no machine can pack.

    >>> space = MachineSpace(free={"LOG_WGT_BUFF_SIZE": range(14, 19)})
    >>> front = codesign(vtacsp.suite("resnet18")[9:], space)
    >>> [(point.costs["kib"], point.cycles) for point in front.points]
    [(208, 1404954), (224, 1397445), (256, 1395297)]
    """
    begun = time.monotonic()
    layers = counted(network)
    own = tuple(costs)
    known = {**COSTS, **{cost.name: cost for cost in own}}
    known_costs(cost for cost in own if COSTS.get(cost.name) is not cost)
    limits = tuple(Budget.parse(b, known) if isinstance(b, str) else b for b in budgets)
    objectives = objectives_of(limits, own)
    evaluator = Evaluator(layers, space, executor, store)
    search = _Search(evaluator, objectives, limits)
    while search.step():
        if progress is not None:
            progress(len(search.open))
    proof = search.proof(time.monotonic() - begun)
    listed = tuple({c.name: c for c in (*objectives, COSTS["kib"])}.values())
    points = [_point(evaluator, machine, listed) for machine in search.front.tolist()]
    first = objectives[0].name if len(objectives) == 1 else "kib"
    points.sort(key=lambda p: (p.costs[first], p.cycles, *(p.costs[c.name] for c in objectives)))
    return Front(tuple(layers), space, objectives, listed, limits, tuple(points), proof, evaluator)


def _point(evaluator: Evaluator, machine: int, costs: Sequence[Cost]) -> Point:
    space = evaluator.space
    one = np.array([machine])
    return Point(
        machine=machine,
        sizes=space.sizes(machine),
        hardware=space.hardware(machine),
        timing=space.timing_of(machine),
        costs={cost.name: int(cost.of(space, one)[0]) for cost in costs},
        cycles=int(evaluator.lower[machine]),
        layers=tuple(evaluator.best(machine)),
    )


class _Search:
    def __init__(
        self, evaluator: Evaluator, objectives: Sequence[Cost], budgets: Sequence[Budget]
    ) -> None:
        self.evaluator = evaluator
        space = evaluator.space
        self.costs = np.stack([cost.of(space) for cost in objectives], axis=1)
        self.within, self.over = within(space, budgets)
        self.open: IntArray = np.flatnonzero(self.within)
        self.cut = dict.fromkeys(Level, 0)
        self.rounds = 0
        self.front: IntArray = np.zeros(0, dtype=np.int64)
        self.rank = preferred(space)

    def step(self) -> bool:
        """Refine what may be on the front; False when that is proven."""
        e = self.evaluator
        self.open = self.open[e.feasible[self.open]]
        self._drop()
        front = self._lowest(self.open)
        doubtful = front[e.level[front] < Level.PROVEN]
        if not len(doubtful):
            self.front = front
            others = np.setdiff1d(self.open, front)
            for level in Level:
                self.cut[level] += int((e.level[others] == level).sum())
            return False
        self.rounds += 1
        e.refine(doubtful)
        return True

    def _drop(self) -> None:
        """Machines that a proven one beats are not looked at again."""
        e = self.evaluator
        proven = self.open[e.level[self.open] == Level.PROVEN]
        beaten = np.zeros(len(self.open), dtype=np.bool_)
        for best in self._lowest(proven).tolist():
            low, cost = e.lower[best], self.costs[best]
            no_better = (self.costs[self.open] >= cost).all(axis=1) & (e.lower[self.open] >= low)
            equal = (self.costs[self.open] == cost).all(axis=1) & (e.lower[self.open] == low)
            beaten |= no_better & ~(equal & (self.rank[self.open] <= self.rank[best]))
        for level in Level:
            self.cut[level] += int((beaten & (e.level[self.open] == level)).sum())
        self.open = self.open[~beaten]

    def _lowest(self, machines: IntArray) -> IntArray:
        return machines[
            non_dominated(self.evaluator.lower[machines], self.costs[machines], self.rank[machines])
        ]

    def proof(self, seconds: float) -> Proof:
        e = self.evaluator
        return Proof(
            machines=e.space.total,
            illegal=dict(e.space.illegal),
            over_budget=self.over,
            infeasible=e.short_of(self.within),
            cut_by_work=self.cut[Level.WORK],
            cut_by_schedule=self.cut[Level.SCHEDULE],
            beaten=self.cut[Level.PROVEN],
            front=len(self.front),
            tables=e.compiled,
            programs=e.simulated,
            recalled=e.recalled,
            rounds=self.rounds,
            seconds=seconds,
        )


def non_dominated(cycles: IntArray, costs: IntArray, rank: IntArray | None = None) -> IntArray:
    """Positions that nothing beats in ``cycles``, shape (n,), and ``costs``, shape (n, costs).

    Of equal ones the one with the least ``rank``, or the first.  In the order of cycles.
    """
    rank = np.arange(len(cycles)) if rank is None else rank
    order = np.lexsort((rank, *costs.T[::-1], cycles))
    found = []
    while len(order):
        best = order[0]
        found.append(int(best))
        cheaper: BoolArray = (costs[order] < costs[best]).any(axis=1)
        order = order[cheaper]
    return np.array(found, dtype=np.int64)
