"""A simulated board: AutoTVM's builder and runner on vtacsp's simulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from tvm import autotvm
from tvm.autotvm.measure import MeasureErrorNo, MeasureResult
from tvm.autotvm.measure.measure import Builder, Runner
from tvm.autotvm.measure.measure_methods import BuildResult

from vtacsp.autotvm.tvm_task import check_knobs, config_of, problem_of
from vtacsp.causes import OK
from vtacsp.errors import MeasureError, ProgramError, SimulationError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.space.explanation import explain
from vtacsp.space.problem import Space
from vtacsp.timing import RTL, Simulator, TimingModel
from vtacsp.tune.result import error_of
from vtacsp.tune.task import RTL_DEVICE, Task, device_of

__all__ = ["CycleModel", "SimulatorBuilder", "SimulatorRunner", "measure_option"]


class CycleModel(Protocol):
    """What tells the cycles of a configuration, such as :class:`vtacsp.Simulator`.

    >>> model: CycleModel = vtacsp.Simulator(vtacsp.suite("resnet18")[9])
    >>> model.cycles(0)
    18471932
    """

    def cycles(self, config: int, /) -> int:
        """Cycles of the configuration with this AutoTVM index."""


MakeModel = Callable[[Workload, VTAConfig], CycleModel]


def measure_option(
    hardware: VTAConfig | None = None,
    *,
    workload: Workload | Space | None = None,
    simulator: MakeModel | None = None,
) -> Any:
    """``autotvm.measure_option`` with a :class:`SimulatorBuilder` and a :class:`SimulatorRunner`.

    With it ``tuner.tune(n_trial, measure_option(...))`` needs no board and no VTA toolchain.
    The machine is the one that the target of the task names, as in
    :func:`vtacsp.autotvm.prune`, whose ``hardware`` and ``workload`` these are.

    >>> sorted(measure_option())
    ['builder', 'runner']
    """
    return autotvm.measure_option(
        builder=SimulatorBuilder(hardware, workload=workload),
        runner=SimulatorRunner(hardware, workload=workload, simulator=simulator),
    )


class _Task:
    """What builder and runner share: the problem behind a task, and the verdict on an input."""

    def __init__(
        self, task: Any, hardware: VTAConfig | None, workload: Workload | Space | None
    ) -> None:
        self.problem = problem_of(task, hardware, workload)
        check_knobs(task, self.problem.knob_space)

    def index(self, measure_input: Any) -> int:
        """AutoTVM's index, from the knobs: the ``index`` of an entity may be a rank."""
        return self.problem.knob_space.index(config_of(measure_input.config))

    def failure(self, index: int) -> ProgramError | None:
        """The error that the stack stops with, and every reason for it."""
        cause = self.problem.causes([index])[0]
        if cause == OK:
            return None
        config = self.problem.knob_space.config(index)
        return ProgramError(cause, str(explain(self.problem, config)))


def _refuse_another_device(task: Any, device: str) -> None:
    said = Task(str(task.target), task.name, ()).device or RTL_DEVICE
    if device != said:
        raise MeasureError(
            f"the target of task {task.name} is of the device {said!r}, this simulator is "
            f"{device!r}: its log would be taken for the other's; make the task with "
            "create_task(space, device=...), or set task.target to vtacsp.tune.target_of(...)"
        )


def _failed(error: ProgramError | SimulationError, seconds: float) -> MeasureResult:
    # costs are (traceback, error), as from AutoTVM's own builder and runner
    number = MeasureErrorNo(error_of(error.cause))
    return MeasureResult((str(error), error), number, seconds, time.time())


class SimulatorBuilder(Builder):  # type: ignore[misc]
    """An AutoTVM ``Builder`` that stops where VTA's compiler would, and builds nothing.

    For a :class:`SimulatorRunner`; another runner finds no library to load.  Errors of
    ``set_task`` are those of :func:`vtacsp.autotvm.prune`.

    >>> from tvm import autotvm
    >>> option = autotvm.measure_option(SimulatorBuilder(), SimulatorRunner())
    >>> type(option["builder"]).__name__
    'SimulatorBuilder'
    """

    def __init__(
        self, hardware: VTAConfig | None = None, *, workload: Workload | Space | None = None
    ) -> None:
        super().__init__(n_parallel=1)
        self._hardware, self._workload = hardware, workload

    def set_task(self, task: Any, build_kwargs: Any = None) -> None:
        """Take up a task."""
        super().set_task(task, build_kwargs)
        self._of = _Task(task, self._hardware, self._workload)

    def build(self, measure_inputs: Sequence[Any]) -> list[Any]:
        """A ``BuildResult`` per input, a ``MeasureResult`` for what does not compile."""
        return [self._build(measure_input) for measure_input in measure_inputs]

    def _build(self, measure_input: Any) -> Any:
        start = time.perf_counter()
        error = self._of.failure(self._of.index(measure_input))
        seconds = time.perf_counter() - start
        if error is not None and error_of(error.cause) == MeasureErrorNo.COMPILE_HOST:
            return _failed(error, seconds)
        return BuildResult(None, None, None, seconds)


class SimulatorRunner(Runner):  # type: ignore[misc]
    """An AutoTVM ``Runner`` that asks a simulator for the cycles.

    ``simulator`` makes the model of a workload on a machine, ``vtacsp.Simulator`` when
    not given; ``clock`` is in Hz, when not given that of the model's ``timing``, or of the RTL for
    a model without one.  Works behind a :class:`SimulatorBuilder` and behind the
    builder of a VTA toolchain, whose libraries it does not need.  A configuration that is
    infeasible is reported as the stack would: :func:`vtacsp.tune.error_of` its cause.

    AutoTVM writes the target of the task into its log, and the target says what measured: a model
    with ``timing`` has to be the device of the task (:func:`create_task` makes one for it).
    Errors of ``set_task`` are those of :func:`vtacsp.autotvm.prune`, and
    :class:`~vtacsp.errors.MeasureError` for another device.

    >>> from tvm import autotvm
    >>> option = autotvm.measure_option(SimulatorBuilder(), SimulatorRunner())
    >>> type(option["runner"]).__name__
    'SimulatorRunner'
    """

    def __init__(
        self,
        hardware: VTAConfig | None = None,
        *,
        workload: Workload | Space | None = None,
        simulator: MakeModel | None = None,
        clock: float | None = None,
    ) -> None:
        super().__init__(n_parallel=1)
        self._hardware, self._workload = hardware, workload
        self._simulator = simulator
        self._given_clock = clock

    def set_task(self, task: Any) -> None:
        """Take up a task."""
        super().set_task(task)
        self._of = _Task(task, self._hardware, self._workload)
        problem = self._of.problem
        self._model: CycleModel = (
            Simulator(problem)
            if self._simulator is None
            else self._simulator(problem.workload, problem.hardware)
        )
        timing = getattr(self._model, "timing", None)
        self._clock: float = self._given_clock or (timing or RTL).clock_hz
        if isinstance(timing, TimingModel):
            _refuse_another_device(task, device_of(replace(timing, clock_hz=int(self._clock))))

    def get_build_kwargs(self) -> dict[str, Any]:
        """Nothing that a builder has to know."""
        return {}

    def run(self, measure_inputs: Sequence[Any], build_results: Sequence[Any]) -> list[Any]:
        """A ``MeasureResult`` per input; what did not build is passed on."""
        pairs = zip(measure_inputs, build_results, strict=True)
        return [self._run(measure_input, built) for measure_input, built in pairs]

    def _run(self, measure_input: Any, built: Any) -> Any:
        if isinstance(built, MeasureResult):
            return built
        start = time.perf_counter()
        index = self._of.index(measure_input)
        try:
            error = self._of.failure(index)
            if error is not None:
                raise error
            cycles = self._model.cycles(index)
        except (ProgramError, SimulationError) as failure:
            return _failed(failure, built.time_cost + time.perf_counter() - start)
        seconds = built.time_cost + time.perf_counter() - start
        return MeasureResult((cycles / self._clock,), MeasureErrorNo.NO_ERROR, seconds, time.time())
