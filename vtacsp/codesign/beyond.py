"""The front when layers may leave the template: the best known machines, and what none can beat.

The template's front is exact.  Beyond the template nobody knows the fastest program of a layer:
only the best that a search found, and a limit below which no program gets.  So a machine is on the
front of the best known; or *cut*, because a machine of the front that costs no more reaches its
limit; or was searched, and what is known of it is beaten; or is *undecided*.

A schedule that fits a machine fits all that have no smaller scratchpad, and takes the same cycles
there.  What the front rests on is compiled and simulated on its own machine all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.codesign.costs import preferred, within
from vtacsp.codesign.cycle_table import FAR
from vtacsp.codesign.evaluator import Level
from vtacsp.codesign.machines import KEYS, SCRATCHPADS
from vtacsp.codesign.pareto import Front, non_dominated
from vtacsp.codesign.workloads import CountedLayer
from vtacsp.errors import SearchError, SpaceError, VtacspError, WorkloadError
from vtacsp.free import Schedule, emit, limit, search
from vtacsp.free.search import compile_search
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import TimingModel
from vtacsp.timing.simulator import simulate_timing

__all__ = ["GAP", "FreeFront", "FreeLayer", "FreePoint", "FreeProof", "beyond"]

GAP = 0.005
"""A machine or a layer that could be faster by so much at most is not searched."""

BATCH = 8
"""Machines that are searched at a time when the front itself is."""

_GROUP = slice(0, 3)  # of KEYS: batch, block, bus
_PADS = slice(3, 7)  # of KEYS: SCRATCHPADS
_LIMITED_BY = [0, 1, 2, KEYS.index("LOG_ACC_BUFF_SIZE")]  # keys that a limit depends on


@dataclass(frozen=True)
class FreeLayer:
    """A layer at the best known: the template's configuration ``index``, or a ``schedule``.

    ``workload`` is the layer in whole tensors; no program of it needs fewer cycles than ``limit``.
    """

    layer: CountedLayer
    workload: Workload
    cycles: int
    limit: int
    index: int | None
    schedule: Schedule | None


@dataclass(frozen=True)
class FreePoint:
    """A machine of the front of the best known.

    No program needs fewer cycles there than ``limit``; ``floor`` is the least limit of all
    machines that cost no more.  ``template_cycles`` is None where the template does not run.
    ``proven``: no machine that costs no more can be faster, whatever program it runs.
    """

    machine: int
    sizes: dict[str, int]
    hardware: VTAConfig
    timing: TimingModel
    costs: dict[str, int]
    cycles: int
    limit: int
    floor: int
    template_cycles: int | None
    proven: bool
    layers: tuple[FreeLayer, ...] = field(repr=False)

    def layer_rows(self) -> list[dict[str, Any]]:
        """The layers as JSON, each with its configuration or its schedule."""
        return [
            {
                "layer": best.layer.name,
                "count": best.layer.count,
                "index": best.index,
                "schedule": None if best.schedule is None else best.schedule.to_dict(),
                "cycles": best.cycles,
                "limit": best.limit,
            }
            for best in self.layers
        ]


@dataclass(frozen=True)
class FreeProof:
    """What became of the ``machines`` that are within budget and can pack every layer.

    ``cut``: a machine of the front that costs no more reaches their limit.  ``near``: it comes so
    close that they could be faster by :data:`GAP` at most.  ``beaten`` were
    searched, and a better program would change the front; ``undecided`` were not.  ``front`` is
    the rest, of which ``proven``.  ``searched`` machines took ``programs`` simulations.
    """

    machines: int
    cut: int
    near: int
    beaten: int
    undecided: int
    front: int
    proven: int
    searched: int
    programs: int

    def __str__(self) -> str:
        return (
            f"beyond the template: {self.searched:,} machines searched, {self.programs:,} "
            f"programs simulated\n{self.machines:,} machines: {self.cut:,} cut by their limit, "
            f"{self.near:,} could be {GAP:.1%} faster than the front at most,\n"
            f"{self.beaten:,} searched and beaten by what is known, {self.undecided:,} undecided: "
            f"not searched, their limit is below the front\non the front: {self.front:,}, of which "
            f"{self.proven:,} proven: no machine that costs no more can be faster"
        )


@dataclass(frozen=True)
class FreeFront:
    """The front of the best known; points in the order of the template's front."""

    points: tuple[FreePoint, ...]
    proof: FreeProof


def beyond(
    front: Front,
    simulations: int,
    machines: int | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> FreeFront:
    """The front of the best known, from the template's.

    At most so many ``machines`` are searched, twice as many as the template's front has when it is
    not said: first those of the front, until all of them are, then those that the template makes
    the closest to it.  A search takes so many ``simulations`` of every layer that is not within
    :data:`GAP` of its limit already.  ``progress`` is told how many machines
    are undecided.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that has no schedules beyond the
    template.
    """
    if executor is not None:
        compile_search()
    known = _Known(front, simulations, seed, executor)
    room = 2 * max(len(front.points), 1) if machines is None else machines
    while batch := known.next(room - int(known.searched.sum())):
        known.search(batch)
        if progress is not None:
            progress(known.proof().undecided)
    return known.result()


@dataclass(frozen=True)
class _Fit:
    """A schedule that was found, and the smallest scratchpads (log2, :data:`SCRATCHPADS`)."""

    schedule: Schedule
    cycles: int
    need: tuple[int, ...]


class _Known:
    """Machines within budget whose limit does not exclude them: what is known of their layers.

    Arrays have a row per machine, ``best`` and ``limits`` a column per layer; ``best`` is
    :data:`FAR` where no program is known, ``source`` the number of its schedule, or -1 for the
    template.
    """

    def __init__(
        self, front: Front, simulations: int, seed: int, executor: Executor | None
    ) -> None:
        self.front, self.evaluator, self.space = front, front.evaluator, front.space
        self.simulations, self.seed, self.executor = simulations, seed, executor
        self.programs = 0
        self.counts = np.array([layer.count for layer in front.network])
        self.fits: list[_Fit] = []
        self._workloads: dict[tuple[int, int], list[Workload]] = {}
        allowed, _ = within(self.space, front.budgets)
        ids = np.flatnonzero(allowed)
        limits = self._limits(ids)
        ids, limits = ids[limits[:, 0] < FAR], limits[limits[:, 0] < FAR]
        self.total = len(ids)
        self.rank = preferred(self.space)
        costs = np.stack([cost.of(self.space) for cost in front.objectives], axis=1)
        points = np.array([point.machine for point in front.points], dtype=np.int64)
        cycles = np.array([point.cycles for point in front.points], dtype=np.int64)
        # what a machine of the template's front makes pointless stays so: the front only sinks
        reached = _reached(costs[ids], costs[points], cycles)
        open_ = (reached > limits @ self.counts) | np.isin(ids, points)
        self.ids, self.limits = ids[open_], limits[open_]
        self.costs, self.table = costs[self.ids], self.space.table[self.ids]
        self.limit: IntArray = self.limits @ self.counts
        self.best = np.full(self.limits.shape, FAR, dtype=np.int64)
        self.source = np.full(self.limits.shape, -1, dtype=np.int64)
        self.template = np.full(len(self.ids), FAR, dtype=np.int64)
        self.searched = np.zeros(len(self.ids), dtype=np.bool_)
        self._asked = np.zeros(len(self.ids), dtype=np.bool_)
        proven = self.evaluator.level[self.ids] == Level.PROVEN
        self._by_template(np.flatnonzero(proven))

    # -- layers

    def workloads(self, machine: int) -> list[Workload]:
        """The layers in whole tensors, without names: equal ones are searched once."""
        sizes = self.space.sizes(machine)
        head = sizes["LOG_BATCH"], sizes["LOG_BLOCK"]
        if head not in self._workloads:
            hardware = self.space.hardware(machine)
            self._workloads[head] = [
                replace(fill_blocks(layer.workload, hardware).workload, name="layer", extra={})
                for layer in self.front.network
            ]
        return self._workloads[head]

    def _limits(self, ids: IntArray) -> IntArray:
        """Limits of every layer on machines, :data:`FAR` where one cannot be packed."""
        keys = self.space.table[ids][:, _LIMITED_BY]
        _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        rows = [self._limits_on(int(ids[i])) for i in first]
        found = np.array(rows, dtype=np.int64).reshape(-1, len(self.counts))
        return np.asarray(found[which.reshape(-1)])

    def _limits_on(self, machine: int) -> list[int]:
        hardware, timing = self.space.hardware(machine), self.space.timing_of(machine)
        workloads = self.workloads(machine)
        try:
            for workload in workloads:
                workload.symbols(hardware)
        except WorkloadError:
            return [FAR] * len(workloads)
        return [limit(workload, hardware, timing).cycles for workload in workloads]

    # -- what is known

    @property
    def cycles(self) -> IntArray:
        """Of the network, :data:`FAR` where no program of a layer is known."""
        known: BoolArray = self.best < FAR
        total: IntArray = np.where(known, self.best, 0) @ self.counts
        return np.where(known.all(axis=1), total, FAR)

    def on_front(self) -> IntArray:
        """Rows that nothing known beats."""
        cycles = self.cycles
        rows = np.flatnonzero(cycles < FAR)
        return rows[non_dominated(cycles[rows], self.costs[rows], self.rank[self.ids[rows]])]

    def reached(self, rows: IntArray) -> IntArray:
        """Known cycles at no higher cost, of machines in ``rows``; :data:`FAR` where there is none.

        By machine.
        """
        return _reached(self.costs, self.costs[rows], self.cycles[rows])

    def _by_template(self, rows: IntArray) -> None:
        """Prove the cycles of the template on machines."""
        self._asked[rows] = True
        self.template[rows] = self.evaluator.prove(self.ids[rows])
        for row in rows[self.template[rows] < FAR].tolist():
            cycles = np.array([b.cycles for b in self.evaluator.best(int(self.ids[row]))])
            better = cycles <= self.best[row]
            self.best[row, better], self.source[row, better] = cycles[better], -1

    def _done(self) -> BoolArray:
        """Machines that were searched, or whose layers are all so close to their limits already."""
        settled = (self.best <= self.limits * (1 + GAP)).all(axis=1)
        return np.asarray(self.searched | settled)

    # -- more of it

    def next(self, room: int) -> list[int]:
        """Rows to search next, at most so many."""
        front = self.on_front()
        while not self._asked[front].all():
            self._by_template(front[~self._asked[front]])
            front = self.on_front()
        done: BoolArray = self._done()
        wanted = front[~done[front]]
        if not len(wanted):
            reached = self.reached(front)
            left = np.flatnonzero(~done & (reached > self.limit * (1 + GAP)))
            # a lower bound of the template's cycles says well enough who is close; where nothing
            # is known, the largest machines come first
            near = np.minimum(self.cycles, self.evaluator.lower[self.ids])[left]
            ratio = np.where(near < FAR, near / reached[left], np.inf)
            wanted = left[np.lexsort((-self.rank[self.ids[left]], ratio))][:BATCH]
        batch: list[int] = wanted[: max(room, 0)].tolist()
        return batch

    def search(self, rows: Sequence[int]) -> None:
        """Search every layer of machines that is not close to its limit."""
        self._by_template(np.array([row for row in rows if not self._asked[row]], dtype=np.int64))
        tasks: dict[tuple[Workload, int], None] = {}
        for row in rows:
            machine = int(self.ids[row])
            open_ = self.best[row] > self.limits[row] * (1 + GAP)
            for workload, todo in zip(self.workloads(machine), open_.tolist(), strict=True):
                if todo:
                    tasks[workload, machine] = None
        least = {key: self.space.values[key][0] for key in SCRATCHPADS}
        run = map if self.executor is None else self.executor.map
        found = run(
            _search_layer,
            [workload for workload, _ in tasks],
            [self.space.hardware(machine) for _, machine in tasks],
            [self.space.timing_of(machine) for _, machine in tasks],
            [self.simulations] * len(tasks),
            [self.seed] * len(tasks),
            [least] * len(tasks),
        )
        for (workload, machine), (fit, simulated) in zip(tasks, found, strict=True):
            self.programs += simulated
            if fit is not None:
                self._share(workload, machine, fit)
        self.searched[list(rows)] = True

    def _share(self, workload: Workload, machine: int, fit: _Fit) -> None:
        """A schedule, on every machine that it fits."""
        group = self.space.table[machine][_GROUP]
        mine = (self.table[:, _GROUP] == group).all(axis=1)
        mine &= (self.table[:, _PADS] >= np.array(fit.need)).all(axis=1)
        for number, other in enumerate(self.workloads(machine)):
            if other == workload:
                better = mine & (self.best[:, number] > fit.cycles)
                self.best[better, number] = fit.cycles
                self.source[better, number] = len(self.fits)
        self.fits.append(fit)

    # -- the answer

    def proof(self) -> FreeProof:
        """What is known now."""
        front = self.on_front()
        others = np.ones(len(self.ids), dtype=np.bool_)
        others[front] = False
        reached = self.reached(front)
        cut = others & (reached <= self.limit)
        near = others & ~cut & (reached <= self.limit * (1 + GAP))
        beaten = others & ~cut & ~near & self._done()
        return FreeProof(
            machines=self.total,
            cut=self.total - len(self.ids) + int(cut.sum()),
            near=int(near.sum()),
            beaten=int(beaten.sum()),
            undecided=int((others & ~cut & ~near & ~beaten).sum()),
            front=len(front),
            proven=sum(self._floor(int(row))[1] for row in front),
            searched=int(self.searched.sum()),
            programs=self.programs,
        )

    def _floor(self, row: int) -> tuple[int, bool]:
        """The least limit of machines that cost no more, and whether no other is below a row."""
        cheap = (self.costs <= self.costs[row]).all(axis=1)
        floor = int(self.limit[cheap].min())
        cheap[row] = False
        return floor, not (self.limit[cheap] < self.cycles[row]).any()

    def result(self) -> FreeFront:
        """The front; every program of it is made and simulated on its own machine once more."""
        points = [self._point(int(row)) for row in self.on_front()]
        objectives = self.front.objectives
        first = objectives[0].name if len(objectives) == 1 else "kib"
        points.sort(
            key=lambda p: (p.costs[first], p.cycles, *(p.costs[c.name] for c in objectives))
        )
        return FreeFront(tuple(points), self.proof())

    def _point(self, row: int) -> FreePoint:
        machine = int(self.ids[row])
        hardware, timing = self.space.hardware(machine), self.space.timing_of(machine)
        floor, proven = self._floor(row)
        template = int(self.template[row])
        one = np.array([machine])
        return FreePoint(
            machine=machine,
            sizes=self.space.sizes(machine),
            hardware=hardware,
            timing=timing,
            costs={cost.name: int(cost.of(self.space, one)[0]) for cost in self.front.costs},
            cycles=int(self.cycles[row]),
            limit=int(self.limit[row]),
            floor=floor,
            template_cycles=None if template >= FAR else template,
            proven=proven,
            layers=tuple(self._layers(row, machine, hardware, timing)),
        )

    def _layers(
        self, row: int, machine: int, hardware: VTAConfig, timing: TimingModel
    ) -> list[FreeLayer]:
        sources = self.source[row].tolist()
        indices: list[int | None] = [None] * len(sources)
        if -1 in sources:
            indices = [best.index for best in self.evaluator.best(machine)]
        found = []
        for number, layer in enumerate(self.front.network):
            workload = replace(self.workloads(machine)[number], name=layer.name)
            cycles, source = int(self.best[row, number]), sources[number]
            schedule = None
            if source >= 0:
                schedule = self.fits[source].schedule
                again = simulate_timing(emit(schedule, workload, hardware), timing).cycles
                if again != cycles:
                    raise SearchError(
                        f"{layer.name} on {hardware}: {again:,} cycles, on another machine with "
                        f"the same program {cycles:,}; please report this"
                    )
            index = None if schedule is not None else indices[number]
            at_least = int(self.limits[row, number])
            found.append(FreeLayer(layer, workload, cycles, at_least, index, schedule))
        return found


def _reached(costs: IntArray, points: IntArray, cycles: IntArray) -> IntArray:
    """The fewest ``cycles`` of points that cost no more than each machine, shape (machines,)."""
    found = np.full(len(costs), FAR, dtype=np.int64)
    for cost, n in zip(points, cycles.tolist(), strict=True):
        no_cheaper = (costs >= cost).all(axis=1)
        found[no_cheaper] = np.minimum(found[no_cheaper], n)
    return found


def _search_layer(
    workload: Workload,
    hardware: VTAConfig,
    timing: TimingModel,
    simulations: int,
    seed: int,
    least: Mapping[str, int],
) -> tuple[_Fit | None, int]:
    """The best schedule found, None when none can run, and how many were simulated."""
    try:
        found = search(workload, hardware, timing, simulations=simulations, seed=seed, gap=GAP)
    except SpaceError:
        return None, 0
    need = tuple(_need(found.schedule, workload, hardware, key, least[key]) for key in SCRATCHPADS)
    return _Fit(found.schedule, found.cycles, need), found.simulated


def _need(schedule: Schedule, workload: Workload, hardware: VTAConfig, key: str, least: int) -> int:
    """The smallest size of a scratchpad, not below ``least``, with which a schedule runs."""
    size = hardware.symbols[key]
    while size > least:
        try:
            emit(schedule, workload, hardware.replace(**{key: size - 1}))
        except VtacspError:
            break
        size -= 1
    return size
