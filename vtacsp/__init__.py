"""vtacsp: exact feasible schedule spaces for the VTA tensor accelerator.

A tuner for a tensor accelerator must never spend a measurement on a schedule that cannot run.
A VTA hardware description and a workload become a space that holds exactly the configurations
the TVM VTA stack builds, runs and computes right: counted, enumerated, sampled, explained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vtacsp.errors import (
    ConfigError,
    DeadlockError,
    HardwareError,
    LogError,
    MeasureError,
    ProgramError,
    RaceError,
    RuleError,
    SearchError,
    SimulationError,
    SpaceError,
    StudyError,
    TimingError,
    UnwrittenError,
    VtacspError,
    WorkloadError,
)
from vtacsp.moved import accept_old_names

if TYPE_CHECKING:
    from vtacsp.functional.reference import Operands, random_operands, reference
    from vtacsp.functional.simulation import SimulationResult, verdict
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.operators.catalogue import catalogue, quantity
    from vtacsp.operators.conv2d.workload import Conv2D
    from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
    from vtacsp.operators.dense.workload import Dense
    from vtacsp.operators.group_conv2d.workload import GroupConv2D
    from vtacsp.operators.knobs import Config, Knob, KnobSpace
    from vtacsp.operators.loading import load_workloads, workload_from_dict
    from vtacsp.operators.programs import build
    from vtacsp.operators.suites import SUITES, find_workloads, suite
    from vtacsp.operators.workload import Workload
    from vtacsp.program.program import Program
    from vtacsp.rules.rule import Check, Rule, Stage
    from vtacsp.space.advice import Advice, advise
    from vtacsp.space.explanation import Explanation, Violation
    from vtacsp.space.feasible import FeasibleSpace, compile
    from vtacsp.space.network import HardwareSpace, JointPoint, JointSpace, compile_network
    from vtacsp.space.problem import Problem
    from vtacsp.space.statistics import SpaceStatistics, statistics
    from vtacsp.timing.breakdown import TimingResult
    from vtacsp.timing.model import PYNQ, RTL, TimingModel
    from vtacsp.timing.simulator import Simulator

__version__ = "0.1.0"

__all__ = [
    "PYNQ",
    "RTL",
    "SUITES",
    "Advice",
    "Check",
    "Config",
    "ConfigError",
    "Conv2D",
    "Conv2DTranspose",
    "DeadlockError",
    "Dense",
    "Explanation",
    "FeasibleSpace",
    "GroupConv2D",
    "HardwareError",
    "HardwareSpace",
    "JointPoint",
    "JointSpace",
    "Knob",
    "KnobSpace",
    "LogError",
    "MeasureError",
    "Operands",
    "Problem",
    "Program",
    "ProgramError",
    "RaceError",
    "Rule",
    "RuleError",
    "SearchError",
    "SimulationError",
    "SimulationResult",
    "Simulator",
    "SpaceError",
    "SpaceStatistics",
    "Stage",
    "StudyError",
    "TimingError",
    "TimingModel",
    "TimingResult",
    "UnwrittenError",
    "VTAConfig",
    "Violation",
    "VtacspError",
    "Workload",
    "WorkloadError",
    "advise",
    "build",
    "catalogue",
    "compile",
    "compile_network",
    "find_workloads",
    "load_workloads",
    "quantity",
    "random_operands",
    "reference",
    "statistics",
    "suite",
    "verdict",
    "workload_from_dict",
]

# the module of each public name; imported when the name is first used, so that importing the
# package costs nothing of the solver
_HOME = {
    "vtacsp.machine.configuration": ["VTAConfig"],
    "vtacsp.operators.knobs": ["Config", "Knob", "KnobSpace"],
    "vtacsp.operators.programs": ["build"],
    "vtacsp.program.program": ["Program"],
    "vtacsp.operators.catalogue": ["catalogue", "quantity"],
    "vtacsp.rules.rule": ["Check", "Rule", "Stage"],
    "vtacsp.functional.simulation": ["SimulationResult", "verdict"],
    "vtacsp.functional.reference": ["Operands", "random_operands", "reference"],
    "vtacsp.timing.breakdown": ["TimingResult"],
    "vtacsp.timing.simulator": ["Simulator"],
    "vtacsp.timing.model": ["PYNQ", "RTL", "TimingModel"],
    "vtacsp.space.advice": ["Advice", "advise"],
    "vtacsp.space.explanation": ["Explanation", "Violation"],
    "vtacsp.space.feasible": ["FeasibleSpace", "compile"],
    "vtacsp.space.network": ["HardwareSpace", "JointPoint", "JointSpace", "compile_network"],
    "vtacsp.space.problem": ["Problem"],
    "vtacsp.space.statistics": ["SpaceStatistics", "statistics"],
    "vtacsp.operators.suites": ["SUITES", "find_workloads", "suite"],
    "vtacsp.operators.workload": [
        "Conv2D",
        "Conv2DTranspose",
        "Dense",
        "GroupConv2D",
        "Workload",
        "load_workloads",
        "workload_from_dict",
    ],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'vtacsp' has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


accept_old_names()
