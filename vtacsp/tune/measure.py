"""Measurers: a batch of configurations in, results out, each as soon as it is there."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from vtacsp.errors import MeasureError, ProgramError, SimulationError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.knobs import ConfigLike
from vtacsp.operators.workload import Workload
from vtacsp.program import Program
from vtacsp.space.problem import OfProblem, Problem, Space
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.tune.result import MeasureErrorNo, Result, error_of
from vtacsp.tune.task import Task, device_of
from vtacsp.tune.task_knobs import knobs_of

__all__ = ["FunctionMeasurer", "Measurer", "SimulatorMeasurer", "TableMeasurer"]


class Measurer(ABC):
    """What measures; a context manager that frees what it holds.

    ``parallel`` is how many configurations it can measure at the same time.  ``device`` names
    what measures, in a word or two: results that a log has from another device are no results
    of this one.  ``task`` is the layer and the machine that it can measure, None when any:
    :func:`~vtacsp.tune.tune` refuses the space of another one.

    >>> class Flat(Measurer):
    ...     def measure(self, indices):
    ...         for index in indices:
    ...             yield index, Result((1e-3,))
    ...
    >>> [(index, result.seconds) for index, result in Flat().measure([7])]
    [(7, 0.001)]
    """

    parallel: int = 1
    device: str = ""
    task: Task | None = None

    @abstractmethod
    def measure(self, indices: Sequence[int]) -> Iterator[tuple[int, Result]]:
        """Results by AutoTVM index, in any order, each as soon as it is there.

        A configuration that fails is a result with an error.  Raises
        :class:`~vtacsp.errors.MeasureError` when nothing can be measured any more.
        """

    def measure_programs(
        self,
        programs: Sequence[Program],  # noqa: ARG002 - of those that can
    ) -> Iterator[tuple[int, Result]]:
        """Results of programs by their place, in any order: of free schedules, which have no index.

        As :meth:`measure` otherwise.  Raises :class:`~vtacsp.errors.MeasureError` in a measurer of
        configurations only.
        """
        raise MeasureError(f"{type(self).__name__} measures configurations, and no programs")

    def close(self) -> None:  # noqa: B027 - optional
        """Stop what is under way."""

    def _indices(self, configs: Iterable[ConfigLike]) -> list[int]:
        """AutoTVM indices of what is to be measured: configurations are of :attr:`task`."""
        return [self._index(c) if isinstance(c, Mapping) else c for c in configs]

    def _index(self, config: ConfigLike) -> int:
        knobs = None if self.task is None else knobs_of(self.task)
        if knobs is None:
            raise MeasureError("this measurer knows of no layer: give it the configuration's index")
        return knobs.index(config)

    def __enter__(self) -> Measurer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FunctionMeasurer(Measurer):
    """Measures by calling ``function(index)``: seconds, a result, or an exception.

    An exception of the stack (:class:`~vtacsp.errors.ProgramError`,
    :class:`~vtacsp.errors.SimulationError`) is the error that AutoTVM has for its cause, a
    ``TimeoutError`` a run timeout, any other (``sys.exit`` too) an unknown error with its message;
    so are seconds that are no positive finite number.  ``of_program(program)`` does the same for a
    :class:`~vtacsp.program.Program`: without it free schedules are not measured.

    >>> measurer = FunctionMeasurer(lambda index: 1e-3)  # seconds, from your board
    >>> [result.seconds for _, result in measurer.measure([0])]
    [0.001]
    """

    of_program: Callable[[Program], float | Result] | None = None

    def __init__(
        self,
        function: Callable[[int], float | Result],
        of_program: Callable[[Program], float | Result] | None = None,
    ) -> None:
        self.function = function
        if of_program is not None:
            self.of_program = of_program

    def __call__(self, index: int) -> Result:
        """Measure one configuration."""
        return measured(self.function, index)

    def measure(self, indices: Iterable[ConfigLike]) -> Iterator[tuple[int, Result]]:
        """One after the other, in this process: indices, or configurations of :attr:`task`."""
        for index in self._indices(indices):
            yield index, self(index)

    def measure_programs(self, programs: Sequence[Program]) -> Iterator[tuple[int, Result]]:
        """One after the other, by ``of_program``."""
        if self.of_program is None:
            yield from super().measure_programs(programs)
            return
        for place, program in enumerate(programs):
            yield place, measured(self.of_program, program)


class SimulatorMeasurer(OfProblem, FunctionMeasurer):
    """Measures on the timing simulator, in process; seconds are cycles at the model's clock.

    ``workload`` is a space (compiled, or to be searched), whose machine and rules hold, or a bare
    workload on ``hardware``, the default machine when not given.  Raises
    :class:`~vtacsp.errors.WorkloadError` when it cannot be packed and
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one.

    >>> measurer = SimulatorMeasurer(vtacsp.suite("resnet18")[9])
    >>> [result.seconds for _, result in measurer.measure([0])]
    [0.18471932]
    """

    def __init__(
        self,
        workload: Workload | Space,
        hardware: VTAConfig | None = None,
        timing: TimingModel = RTL,
    ) -> None:
        super().__init__(self.cycles)
        self.problem = Problem.of(workload, hardware)
        self.timing = timing
        self.device = device_of(timing)
        self.task = Task.of(self.workload, self.hardware, self.device)
        self._simulator: Any = None

    def cycles(self, index: int) -> Result:
        """Cycles of one configuration; raises the error that the stack has."""
        start = time.time()
        if self._simulator is None:  # compiled code, loaded when something is measured
            from vtacsp.timing.simulator import Simulator

            self._simulator = Simulator(self.problem, timing=self.timing)
        return self._counted(self._simulator.cycles(index), start)

    def seconds(self, index: int) -> float:
        """Seconds of one configuration; raises the error that the stack has."""
        return self.cycles(index).seconds

    def of_program(self, program: Program) -> Result:
        """Cycles of a program."""
        from vtacsp.timing.simulator import simulate_timing

        start = time.time()
        return self._counted(simulate_timing(program, self.timing).cycles, start)

    def _counted(self, cycles: int, start: float) -> Result:
        end = time.time()
        seconds = self.timing.seconds_of(cycles)
        return Result((seconds,), all_cost=end - start, timestamp=end, counted=cycles)

    def __getstate__(self) -> dict[str, Any]:
        # processes make a simulator of their own
        return {**self.__dict__, "_simulator": None}


class TableMeasurer(Measurer):
    """Answers from recorded results; what is not in the table is an error of the caller.

    ``results`` are by AutoTVM index.  With the ``task`` that they are of it takes configurations
    too.

    >>> measurer = TableMeasurer({7: Result((2e-3,))})
    >>> [result.seconds for _, result in measurer.measure([7])]
    [0.002]
    """

    def __init__(
        self, results: Mapping[int, Result], parallel: int = 1, task: Task | None = None
    ) -> None:
        self.results = results
        self.parallel = parallel
        self.task = task

    @classmethod
    def of(
        cls, cycles: Mapping[int, int], causes: Mapping[int, str], clock: float = RTL.clock_hz
    ) -> TableMeasurer:
        """From cycles of what runs and causes of what does not, by AutoTVM index."""
        good = {i: Result(costs=(c / clock,), timestamp=0.0) for i, c in cycles.items()}
        bad = {i: Result(error=error_of(c), timestamp=0.0, cause=c) for i, c in causes.items()}
        return cls({**bad, **good})

    def measure(self, indices: Iterable[ConfigLike]) -> Iterator[tuple[int, Result]]:
        """Look up; raises :class:`~vtacsp.errors.MeasureError` for what was not recorded."""
        for index in self._indices(indices):
            if index not in self.results:
                raise MeasureError(f"index {index} is not among the {len(self.results)} recorded")
            yield index, self.results[index]


Measured = TypeVar("Measured")


def measured(function: Callable[[Measured], float | Result], what: Measured) -> Result:
    """The result of one call; see :class:`FunctionMeasurer`.  This is what executors run."""
    start = time.time()
    error, cause = MeasureErrorNo.NO_ERROR, ""
    costs: tuple[float, ...] = ()
    try:
        value = function(what)
        if isinstance(value, Result):
            return value
        costs = (float(value),)
    except (ProgramError, SimulationError) as failure:
        error, cause = error_of(failure.cause), failure.cause
    except TimeoutError as failure:
        error, cause = MeasureErrorNo.RUN_TIMEOUT, str(failure) or "timeout"
    except (Exception, SystemExit) as failure:  # the user's function: its failure is this result's
        error, cause = MeasureErrorNo.UNKNOWN_ERROR, f"{type(failure).__name__}: {failure}"
    end = time.time()
    return Result(costs=costs, error=error, all_cost=end - start, timestamp=end, cause=cause)
