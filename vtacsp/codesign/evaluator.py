"""Cycles of a network on machines: bounded for all of them, proven for those that are asked for.

A machine's layers are independent: its cycles are the sum of the best cycles of its layers, each
times its count.  What is known of a machine grows in three steps: the work that no program avoids;
when its layers are compiled, the least bound of what runs there; when those programs are simulated
that are needed for it, the cycles.  Layers that are equal on a machine are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.codesign.cycle_table import FAR, CycleTable, compile_table, prove, work_bound
from vtacsp.codesign.machines import BUS, SCRATCHPADS, MachineSpace
from vtacsp.codesign.store import Key, Store
from vtacsp.codesign.workloads import CountedLayer
from vtacsp.errors import SpaceError, WorkloadError
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.workload import Workload
from vtacsp.timing.simulator import compile_simulator

__all__ = ["Best", "Evaluator", "Evidence", "Level"]

A = TypeVar("A")

Group = tuple[int, int, int]
"""LOG_BATCH, LOG_BLOCK, LOG_BUS_WIDTH."""


class Level(IntEnum):
    """How well the cycles of a machine are known."""

    WORK = 0
    """At least the products, resets and ALU operations that no program of the template avoids."""
    SCHEDULE = 1
    """At least the bounds of the configurations that run, some of them simulated."""
    PROVEN = 2
    """The cycles."""


@dataclass(frozen=True)
class Best:
    """A layer on a machine: its best configuration, or the least bound of those that run.

    ``index`` is the AutoTVM index of ``workload``, which is the layer in whole tensors.

    >>> front = codesign(vtacsp.suite("resnet18")[9:], MachineSpace())
    >>> best = front.points[0].layers[0]
    >>> best.index, best.cycles == Simulator(best.workload).cycles(best.index)
    (219, True)
    """

    layer: CountedLayer
    workload: Workload
    index: int
    cycles: int
    simulated: bool


@dataclass(frozen=True)
class Evidence:
    """A program whose cycles are known: of a group's layer (its number), the row of its table."""

    group: Group
    layer: int
    table: CycleTable
    row: int
    cycles: int


@dataclass
class _State:
    """A table on one bus: cycles where known, else bounds."""

    table: CycleTable
    values: IntArray
    known: BoolArray


class Evaluator:
    """Bounds and cycles of a network on the machines of a space.

    ``lower`` and ``level``, of shape (machines,), say what is known; ``lower`` is
    :data:`~.cycle_table.FAR` where a layer has nothing that runs.  ``executor`` is any of
    :mod:`concurrent.futures`; ``store`` keeps what was simulated, also between runs.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that no machine of the space can pack.

    >>> space = MachineSpace(free={"LOG_WGT_BUFF_SIZE": [17, 18]})
    >>> evaluator = Evaluator(counted(vtacsp.suite("resnet18")[9:]), space)
    >>> evaluator.lower.tolist()  # the work that no program avoids
    [1373568, 1373568]
    >>> evaluator.refine(np.array([0, 1]))
    >>> evaluator.lower.tolist()
    [1393878, 1393878]
    """

    def __init__(
        self,
        network: Sequence[CountedLayer],
        space: MachineSpace,
        executor: Executor | None = None,
        store: Store | None = None,
    ) -> None:
        self.network = tuple(network)
        self.space = space
        self.store = store if store is not None else Store()
        self.compiled = 0
        """Tables that were made."""
        self.simulated = 0
        """Programs that were simulated."""
        self.recalled = 0
        """Programs whose cycles the store knew."""
        self._short = np.full(len(space), -1, dtype=np.int16)  # the first layer that nothing runs
        self.lower: IntArray = np.zeros(len(space), dtype=np.int64)
        self.level = np.zeros(len(space), dtype=np.int8)
        self._executor = executor
        self._layers: dict[tuple[int, int], list[tuple[Workload, int]]] = {}
        self._twin: dict[tuple[int, int], dict[str, int]] = {}
        self._states: dict[Group, list[_State]] = {}
        if executor is not None:
            compile_simulator()
        self._start()

    # -- what is known

    def _start(self) -> None:
        refused: dict[str, WorkloadError] = {}
        packed: set[str] = set()
        for group, machines in self.space.groups.items():
            head = group[:2]
            hardware = self.space.hardware(machines.start)
            timing = self.space.timing_on(group[2])
            try:
                if head not in self._layers:
                    self._layers[head], self._twin[head] = self._distinct(machines.start)
                total = sum(n * work_bound(w, hardware, timing) for w, n in self._layers[head])
            except WorkloadError:
                total = FAR
                for number, layer in enumerate(self.network):
                    try:
                        fill_blocks(layer.workload, hardware).workload.symbols(hardware)
                        packed.add(layer.name)
                    except WorkloadError as error:
                        refused.setdefault(layer.name, error)
                        self._short[machines.start : machines.stop] = number
                        break
            else:
                packed.update(layer.name for layer in self.network)
            self.lower[machines.start : machines.stop] = total
        for name, refusal in refused.items():
            if name not in packed:
                raise refusal

    def _distinct(self, machine: int) -> tuple[list[tuple[Workload, int]], dict[str, int]]:
        """The different layers on a machine with their counts, and the number of each by name."""
        hardware = self.space.hardware(machine)
        found: dict[Workload, int] = {}
        twin = {}
        for layer in self.network:
            workload = replace(
                fill_blocks(layer.workload, hardware).workload, name="layer", extra={}
            )
            workload.symbols(hardware)  # raises
            found[workload] = found.get(workload, 0) + layer.count
            twin[layer.name] = list(found).index(workload)
        return list(found.items()), twin

    @property
    def feasible(self) -> BoolArray:
        """Where nothing says that a layer has no configuration."""
        return self.lower < FAR

    def short_of(self, machines: BoolArray) -> dict[str, int]:
        """How many of these cannot run a layer, by the first such layer."""
        numbers, counts = np.unique(self._short[machines & ~self.feasible], return_counts=True)
        names = [layer.name for layer in self.network]
        return {names[i]: int(n) for i, n in zip(numbers.tolist(), counts.tolist(), strict=True)}

    # -- more of it

    def refine(self, machines: IntArray) -> None:
        """Know more: compile the layers of machines at the first level, prove the others."""
        machines = machines[self.feasible[machines]]
        fresh = machines[self.level[machines] == Level.WORK]
        if len(fresh):
            self._compile(fresh)
        rest = machines[self.level[machines] == Level.SCHEDULE]
        rest = np.setdiff1d(rest, fresh)
        if len(rest):
            self._prove(rest)

    def prove(self, machines: IntArray) -> IntArray:
        """Cycles of machines, (n,): :data:`~.cycle_table.FAR` where the network cannot run."""
        for _ in Level:
            self.refine(machines)
        return self.lower[machines]

    def bound(self, machines: IntArray) -> IntArray:
        """What :attr:`lower` says when the layers of these machines are compiled."""
        self.refine(machines[self.level[machines] == Level.WORK])
        return self.lower[machines]

    def best(self, machine: int) -> list[Best]:
        """The layers of a machine that is compiled, in the order of the network."""
        group = self._group(machine)
        here = self._scratchpads(range(machine, machine + 1))
        twins = self._twin[group[:2]]
        found = []
        for layer in self.network:
            state = self._states[group][twins[layer.name]]
            values, rows = state.table.least(state.values, here)
            row = int(rows[0])
            if row < 0:
                raise SpaceError(
                    f"{layer.name}: nothing is feasible on {self.space.sizes(machine)}"
                )
            workload = replace(state.table.workload, name=layer.name)
            index = int(state.table.index[row])
            found.append(Best(layer, workload, index, int(values[0]), bool(state.known[row])))
        return found

    def feasible_programs(self, machine: int) -> dict[str, int]:
        """Programs of each layer that run on a machine that is compiled, by name."""
        group = self._group(machine)
        here = self._scratchpads(range(machine, machine + 1))
        counts = [int(s.table.feasible_counts(here)[0]) for s in self._states[group]]
        return {name: counts[number] for name, number in self._twin[group[:2]].items()}

    def evidence(self) -> Iterator[Evidence]:
        """Every program whose cycles are known, simulated now or before."""
        for group, states in sorted(self._states.items()):
            for number, state in enumerate(states):
                for row in np.flatnonzero(state.known).tolist():
                    yield Evidence(group, number, state.table, row, int(state.values[row]))

    def key(self, evidence: Evidence) -> Key:
        """What the store knows it by."""
        return self._key(evidence.group, evidence.layer, evidence.table, evidence.row)

    def _group(self, machine: int) -> Group:
        sizes = self.space.sizes(machine)
        return sizes["LOG_BATCH"], sizes["LOG_BLOCK"], sizes[BUS]

    def _scratchpads(self, machines: range | IntArray) -> dict[str, IntArray]:
        part = slice(machines.start, machines.stop) if isinstance(machines, range) else machines
        columns = self.space.columns(part)
        return {key: columns[key] for key in SCRATCHPADS}

    def _map(self, function: Callable[..., A], *columns: Sequence[Any]) -> Iterator[A]:
        """Results in order, each as soon as it is there."""
        if self._executor is None:
            return map(function, *columns)
        return iter(self._executor.map(function, *columns))

    def _compile(self, machines: IntArray) -> None:
        """Compile the layers of the groups of these machines, for every bus."""
        heads = {self._group(m)[:2] for m in _of_each_group(self.space, machines)}
        tasks = [
            (head, number, workload)
            for head in sorted(heads)
            for number, (workload, _) in enumerate(self._layers[head])
        ]
        sizes = {key: self.space.values[key] for key in SCRATCHPADS}
        timings = [self.space.timing_on(log) for log in self.space.values[BUS]]
        first = {g[:2]: r.start for g, r in reversed(self.space.groups.items())}
        tables = self._map(
            compile_table,
            [workload for *_, workload in tasks],
            [self.space.hardware(first[head]) for head, *_ in tasks],
            [sizes] * len(tasks),
            [timings] * len(tasks),
        )
        self.compiled += len(tasks)
        for (head, number, _), table in zip(tasks, tables, strict=True):
            for log, timing in zip(self.space.values[BUS], timings, strict=True):
                group = (*head, log)
                if group in self.space.groups:
                    values = table.bounds[timing.bus_bytes].copy()
                    state = _State(table, values, np.zeros(len(table), dtype=np.bool_))
                    self._recall(group, number, state)
                    self._states.setdefault(group, []).append(state)
        for group, members in self.space.groups.items():
            if group[:2] in heads:
                self.level[members.start : members.stop] = Level.SCHEDULE
                self._renew(group, np.arange(members.start, members.stop))

    def _recall(self, group: Group, number: int, state: _State) -> None:
        """What the store knows already."""
        if not len(self.store):
            return
        for row in range(len(state.table)):
            cycles = self.store.get(self._key(group, number, state.table, row))
            if cycles is not None:
                state.values[row], state.known[row] = cycles, True
                self.recalled += 1

    def _key(self, group: Group, number: int, table: CycleTable, row: int) -> Key:
        layer = self._layers[group[:2]][number][0]
        return (self.store.layer(layer), *group, int(table.program[row]), int(table.uop[row]))

    def _prove(self, machines: IntArray) -> None:
        groups: dict[Group, list[int]] = {}
        for machine in machines.tolist():
            groups.setdefault(self._group(machine), []).append(machine)
        tasks = [
            (group, number, state)
            for group in groups
            for number, state in enumerate(self._states[group])
        ]
        here = {group: self._scratchpads(np.array(ids)) for group, ids in groups.items()}
        found = self._map(
            prove,
            [state.table for *_, state in tasks],
            [self.space.timing_on(group[2]) for group, *_ in tasks],
            [state.values for *_, state in tasks],
            [state.known for *_, state in tasks],
            [here[group] for group, *_ in tasks],
        )
        for (group, number, state), rows in zip(tasks, found, strict=True):
            for row, cycles in rows:
                state.values[row], state.known[row] = cycles, True
                self.simulated += 1
                self.store.put(self._key(group, number, state.table, row), cycles)
            self.store.flush()  # a run that is killed keeps it
        for group in groups:
            members = self.space.groups[group]
            ids = np.arange(members.start, members.stop)
            self._renew(group, ids[self.feasible[ids]])

    def _renew(self, group: Group, ids: IntArray) -> None:
        """Bound and level of machines of a group, from the tables."""
        if not len(ids):
            return
        here = self._scratchpads(ids)
        total = np.zeros(len(ids), dtype=np.int64)
        known = np.ones(len(ids), dtype=np.bool_)
        runs = np.ones(len(ids), dtype=np.bool_)
        least = []
        layers = self._layers[group[:2]]
        for (_, count), state in zip(layers, self._states[group], strict=True):
            values, rows = state.table.least(state.values, here)
            least.append(rows >= 0)
            total += count * np.where(rows >= 0, values, 0)
            runs &= rows >= 0
            if len(state.known):
                known &= state.known[rows]
        known &= runs
        before = self.lower[ids]
        self.lower[ids] = np.where(runs, np.maximum(total, before), FAR)
        self.level[ids[known]] = Level.PROVEN
        left = (before < FAR) & ~runs
        for number, layer in enumerate(self.network):
            lacks = left & ~least[self._twin[group[:2]][layer.name]]
            self._short[ids[lacks]] = number
            left &= ~lacks


def _of_each_group(space: MachineSpace, machines: IntArray) -> list[int]:
    """One machine per combination of batch, block and bus."""
    _, first = np.unique(space.table[machines][:, :3], axis=0, return_index=True)
    found: list[int] = machines[first].tolist()
    return found
