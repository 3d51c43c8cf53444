"""Builder and runner on vtacsp's own program builder and simulator; no VTA toolchain."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from vtacsp.errors import VtacspError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.metaschedule.compute import problem_of
from vtacsp.metaschedule.traces import config_of
from vtacsp.operators.builder import build
from vtacsp.operators.knobs import Config
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload
from vtacsp.timing import RTL, Simulator, TimingModel

__all__ = ["CLOCK_HZ", "Cycles", "SimulatorBuilder", "SimulatorRunner", "simulated_cycles"]

CLOCK_HZ = RTL.clock_hz
"""Cycles are reported to MetaSchedule as seconds of this clock."""

Cycles = Callable[[Workload, VTAConfig, Config], int]
"""What a configuration costs, in cycles; what it raises is the error of the measurement.

A cost of your own, the products of the layer per GEMM micro-op, which asks no simulator:

>>> import tempfile
>>> def products(workload, hardware, config):
...     return workload.macs // hardware.block**2
...
>>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
>>> with tempfile.TemporaryDirectory() as folder:
...     result = tune(layer, work_dir=folder, trials=3, cycles=products)
...
>>> result.cycles
16
"""


def simulated_cycles(
    workload: Workload, hardware: VTAConfig, config: Config, timing: TimingModel = RTL
) -> int:
    """Cycles on the timing simulator; raises as :meth:`vtacsp.Simulator.cycles`.

    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> config = vtacsp.compile(layer)[0]
    >>> cycles = simulated_cycles(layer, vtacsp.VTAConfig(), config)
    >>> cycles == vtacsp.Simulator(layer).cycles(config)
    True
    """
    return _simulator(workload, hardware, timing).cycles(config)


@lru_cache(maxsize=64)
def _simulator(workload: Workload, hardware: VTAConfig, timing: TimingModel) -> Simulator:
    return Simulator(workload, hardware, timing)


@derived_object
class SimulatorBuilder(ms.builder.PyBuilder):
    """Builds VTA's program of a scheduled module; the error is the one of the stack.

    The artifact is a JSON file with workload, hardware and configuration.

    >>> from tvm.s_tir import Schedule
    >>> from tvm.s_tir import meta_schedule as ms
    >>> from tvm.target import Target
    >>> layer = vtacsp.suite("resnet18")[9]
    >>> schedule = Schedule(prim_func(layer))
    >>> apply(schedule, {**vtacsp.compile(layer)[0], "tile_co": 32, "tile_ci": 32})
    >>> (built,) = SimulatorBuilder().build([ms.builder.BuilderInput(schedule.mod, Target(TARGET))])
    >>> print(built.error_msg)
    sram:wgt: 9216 elements, WGT holds 1024
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
    """Seconds of an artifact of :class:`SimulatorBuilder`: cycles at 100 MHz.

    ``cycles`` replaces the simulator, for instance by a board.

    >>> from tvm.s_tir import Schedule
    >>> from tvm.s_tir import meta_schedule as ms
    >>> from tvm.target import Target
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> schedule = Schedule(prim_func(layer))
    >>> apply(schedule, vtacsp.compile(layer)[0])
    >>> (built,) = SimulatorBuilder().build([ms.builder.BuilderInput(schedule.mod, Target(TARGET))])
    >>> artifact = ms.runner.RunnerInput(built.artifact_path, "cpu", [])
    >>> (future,) = SimulatorRunner().run([artifact])
    >>> (seconds,) = future.result().run_secs
    >>> round(float(seconds) * 1e8) == vtacsp.Simulator(layer).cycles(vtacsp.compile(layer)[0])
    True
    >>> ms.utils.remove_build_dir(built.artifact_path)
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
        space = _simulator(workload, hardware, RTL).space
        if config not in space:  # it builds, and computes wrong numbers
            (cause,) = space.problem.causes([space.knob_space.index(config)])
            return ms.runner.RunnerResult(None, cause)
        try:
            seconds = self.cycles(workload, hardware, config) / CLOCK_HZ
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
