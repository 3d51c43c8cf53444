"""Builder and runner on vtacsp's own program builder and simulator; no VTA toolchain."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from vtacsp.errors import VtacspError
from vtacsp.hardware import VTAConfig
from vtacsp.knobs import Config
from vtacsp.metaschedule.compute import problem_of
from vtacsp.metaschedule.schedule import config_of
from vtacsp.program.build import build
from vtacsp.space.problem import OK, Problem
from vtacsp.workload import Workload, workload_from_dict

__all__ = ["FREQUENCY", "Cycles", "SimulatorBuilder", "SimulatorRunner", "simulated_cycles"]

FREQUENCY = 100e6  # Hz, of the cycles that are reported as seconds

Cycles = Callable[[Workload, VTAConfig, Config], int]
"""What a configuration costs, in cycles; what it raises is the error of the measurement."""


def simulated_cycles(workload: Workload, hardware: VTAConfig, config: Config) -> int:
    """Cycles on the timing simulator."""
    from vtacsp.simulate import Simulator  # type: ignore[attr-defined]

    return int(Simulator(workload, hardware).cycles(config))


@derived_object
class SimulatorBuilder(ms.builder.PyBuilder):
    """Builds VTA's program of a scheduled module; the error is the one of the stack.

    The artifact is a JSON file with workload, hardware and configuration.
    """

    def build(self, build_inputs: list[Any]) -> list[Any]:
        """One result per input; ``error_msg`` holds the cause where no program can be built."""
        return [self._build(item.mod) for item in build_inputs]

    def _build(self, mod: Any) -> Any:
        try:
            workload, hardware = problem_of(mod)
            config = config_of(mod)
            build(workload, hardware, config)
        except VtacspError as error:
            return ms.builder.BuilderResult(None, str(error))
        # a folder of its own: MetaSchedule removes the folder of an artifact
        path = Path(tempfile.mkdtemp(prefix="vtacsp-")) / "configuration.json"
        content = (workload.to_dict(), hardware.to_dict(), config)
        path.write_text(json.dumps(content), encoding="utf-8")
        return ms.builder.BuilderResult(str(path), None)


@derived_object
class SimulatorRunner(ms.runner.PyRunner):
    """Seconds of an artifact of :class:`SimulatorBuilder`: simulated cycles at 100 MHz.

    ``cycles`` replaces the simulator, for instance by a board.
    """

    def __init__(self, cycles: Cycles = simulated_cycles) -> None:
        super().__init__()
        self.cycles = cycles

    def run(self, runner_inputs: list[Any]) -> list[Any]:
        """One future per input; a program that computes wrong numbers is an error."""
        return [_Done(self._run(Path(item.artifact_path))) for item in runner_inputs]

    def _run(self, path: Path) -> Any:
        layer, machine, config = json.loads(path.read_text(encoding="utf-8"))
        workload, hardware = workload_from_dict(layer), VTAConfig.from_dict(machine)
        problem = Problem(workload, hardware)
        (cause,) = problem.causes([problem.knob_space.index(config)])
        if cause != OK:  # what builds and computes wrong numbers
            return ms.runner.RunnerResult(None, cause)
        try:
            seconds = self.cycles(workload, hardware, config) / FREQUENCY
        except Exception as error:  # a measurement that fails costs one result, not the run
            return ms.runner.RunnerResult(None, f"{type(error).__name__}: {error}")
        return ms.runner.RunnerResult([seconds], None)


@derived_object
class _Done(ms.runner.PyRunnerFuture):
    def __init__(self, outcome: Any) -> None:
        super().__init__()
        self.outcome = outcome

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.outcome
