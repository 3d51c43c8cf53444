"""The simulator as a measuring device: configurations in, cycles out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.errors import ProgramError, SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.builder import build
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.knobs import ConfigLike
from vtacsp.operators.workload import Workload
from vtacsp.program import Program
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import Problem, Space, layer_and_machine
from vtacsp.timing.breakdown import TimingResult
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["Simulator", "compile_simulator", "simulate_timing"]

CHUNK = 32  # configurations per task of an executor


def simulate_timing(program: Program, timing: TimingModel = RTL) -> TimingResult:
    """Cycles of a program, without data.

    Raises :class:`~vtacsp.errors.DeadlockError` for a program whose modules wait for each other.

    >>> simulate_timing(build(vtacsp.suite("resnet18")[9], VTAConfig(), 0)).cycles
    18471932
    """
    result = TimingResult(program, timing)
    result.cycles  # noqa: B018 raises
    return result


def compile_simulator() -> None:
    """Have builder and cycle engine compiled before workers start: once, and not in each."""
    block = VTAConfig().block
    layer = Dense(name="ready", batch=1, in_features=block, out_features=block)
    _measure(layer, VTAConfig(), RTL, [0])


@dataclass(frozen=True, init=False)
class Simulator:
    """Measures configurations of one layer on the cycle simulator.

    ``workload`` is a space, whose machine and rules hold (``Simulator(space)``), or a bare
    workload on ``hardware``, the default machine when not given.  A configuration (knob values,
    or its AutoTVM index) that the stack refuses is not measured:
    :class:`~vtacsp.errors.ProgramError` carries the cause.

    Raises :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one.

    >>> simulator = Simulator(vtacsp.compile(vtacsp.suite("resnet18")[9]))
    >>> simulator.cycles(simulator.space[0])
    18471932
    """

    workload: Workload
    hardware: VTAConfig
    timing: TimingModel
    _layer: Workload | Space = field(repr=False)

    def __init__(
        self,
        workload: Workload | Space,
        hardware: VTAConfig | None = None,
        timing: TimingModel = RTL,
    ) -> None:
        layer, machine = layer_and_machine(workload, hardware)
        values = {"workload": layer, "hardware": machine, "timing": timing, "_layer": workload}
        self.__dict__.update(values)  # frozen: what is made of one machine stays on it

    @cached_property
    def space(self) -> FeasibleSpace:
        """What can run, all of it; raises as :func:`vtacsp.compile`."""
        return FeasibleSpace.of(Problem.of(self._layer, self.hardware))

    def among(self, indices: IntArray) -> Simulator:
        """The same layer with nothing in its space but these of its configurations.

        ``indices`` are AutoTVM's, ascending, shape (n,).  Others it refuses, as if they could not
        run.  A search of several layers that have to get one configuration needs that.

        >>> simulator = Simulator(vtacsp.suite("resnet18")[9])
        >>> len(simulator.space), len(simulator.among(simulator.space.indices[:3]).space)
        (40, 3)
        """
        fewer = Simulator(self.space.problem, timing=self.timing)
        fewer.__dict__["space"] = FeasibleSpace(self.space.problem, indices.copy())
        return fewer

    def program(self, config: ConfigLike, *, waits: bool = False) -> Program:
        """The program of a feasible configuration; see :func:`vtacsp.operators.builder`.

        Raises :class:`~vtacsp.errors.ProgramError` for one that is not feasible and
        :class:`~vtacsp.errors.ConfigError` for one that is not of the space.
        """
        index = self.space.knob_space.index(config)
        if index not in self.space:
            cause = self.space.problem.causes([index])[0]
            raise ProgramError(cause, f"{self.workload.name} index {index} cannot run")
        return build(self.workload, self.hardware, index, waits=waits)

    def run(self, config: ConfigLike) -> TimingResult:
        """Cycles of a configuration and where they went; raises as :meth:`program`."""
        return simulate_timing(self.program(config), self.timing)

    def cycles(self, config: ConfigLike) -> int:
        """Cycles of a configuration; raises as :meth:`program`."""
        return simulate_timing(self.program(config), self.timing).cycles

    def fastest(self, executor: Executor | None = None) -> tuple[int, TimingResult]:
        """AutoTVM index and simulation of the fastest feasible configuration.

        The lowest index among equals.  Without ``executor`` (see :meth:`cycles_many`) every program
        is built once; with one the fastest is built here again, since programs are larger than
        cycles.  Raises :class:`~vtacsp.errors.SpaceError` when nothing is feasible.

        >>> index, result = Simulator(vtacsp.suite("resnet18")[9]).fastest()
        >>> index, result.cycles
        (219, 465099)
        """
        indices = self.space.collapsed().indices.tolist()
        if not indices:
            raise SpaceError(f"{self.workload.name}: nothing is feasible, so nothing is fastest")
        if executor is not None:
            index = indices[int(self.cycles_many(indices, executor).argmin())]
            return index, self.run(index)
        results = ((index, self.run(index)) for index in indices)
        return min(results, key=lambda found: found[1].cycles)

    def cycles_many(
        self,
        configs: Iterable[ConfigLike],
        executor: Executor | None = None,
    ) -> IntArray:
        """Cycles of feasible configurations, int64 of shape (n,), in their order.

        Configurations that are one program are simulated once.  ``executor`` is any executor
        of :mod:`concurrent.futures`; without one everything runs here.  Raises as
        :meth:`program`, before anything is simulated.
        """
        knobs = self.space.knob_space
        indices = np.array([knobs.index(config) for config in configs], dtype=np.int64)
        for index in indices[~np.isin(indices, self.space.indices)][:1].tolist():
            self.program(index)  # raises with the cause
        programs, place = np.unique(knobs.program(indices), return_inverse=True)
        chunks = [programs[i : i + CHUNK].tolist() for i in range(0, len(programs), CHUNK)]
        task = (repeat(self.workload), repeat(self.hardware), repeat(self.timing), chunks)
        if executor is not None:
            compile_simulator()
        results = map(_measure, *task) if executor is None else executor.map(_measure, *task)
        found = [cycles for part in results for cycles in part]
        return np.array(found, dtype=np.int64)[place]

    def sequence(self, configs: Iterable[ConfigLike]) -> IntArray:
        """Cycles of feasible programs that run one after the other in one process, shape (n,).

        Upstream, a program may leave a token that the next one pops first
        (:attr:`~vtacsp.program.Program.leaves`); the recorded RTL cycles (``vtacsp/data/rtl``)
        were measured like this.
        """
        found, waits = [], False
        for config in configs:
            program = self.program(config, waits=waits)
            found.append(simulate_timing(program, self.timing).cycles)
            waits = program.leaves
        return np.array(found, dtype=np.int64)


def _measure(
    workload: Workload, hardware: VTAConfig, timing: TimingModel, indices: Sequence[int]
) -> list[int]:
    """A task of :meth:`Simulator.cycles_many`."""
    return [simulate_timing(build(workload, hardware, i), timing).cycles for i in indices]
