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
    NetworkError,
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

if TYPE_CHECKING:
    from vtacsp.hardware import VTAConfig
    from vtacsp.knobs import Config, Knob, KnobSpace
    from vtacsp.network.load import load_network
    from vtacsp.network.value import Network
    from vtacsp.program.build import build
    from vtacsp.program.program import Program
    from vtacsp.rules.catalogue import catalogue, quantity
    from vtacsp.rules.rule import Check, Rule, Stage
    from vtacsp.simulate.functional import SimulationResult, verdict
    from vtacsp.simulate.reference import Operands, random_operands, reference
    from vtacsp.simulate.result import TimingResult
    from vtacsp.simulate.simulator import Simulator
    from vtacsp.simulate.timing import PYNQ, RTL, TimingModel
    from vtacsp.space.advice import Advice, advise
    from vtacsp.space.explanation import Explanation, Violation
    from vtacsp.space.feasible import FeasibleSpace, compile
    from vtacsp.space.network import HardwareSpace, JointPoint, JointSpace, compile_network
    from vtacsp.space.problem import Problem
    from vtacsp.space.statistics import SpaceStatistics, statistics
    from vtacsp.suites import SUITES, find_workloads, suite
    from vtacsp.workload import (
        Conv2D,
        Conv2DTranspose,
        Dense,
        GroupConv2D,
        Workload,
        load_workloads,
        workload_from_dict,
    )

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
    "Network",
    "NetworkError",
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
    "load_network",
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
    "vtacsp.hardware": ["VTAConfig"],
    "vtacsp.knobs": ["Config", "Knob", "KnobSpace"],
    "vtacsp.network.load": ["load_network"],
    "vtacsp.network.value": ["Network"],
    "vtacsp.program.build": ["build"],
    "vtacsp.program.program": ["Program"],
    "vtacsp.rules.catalogue": ["catalogue", "quantity"],
    "vtacsp.rules.rule": ["Check", "Rule", "Stage"],
    "vtacsp.simulate.functional": ["SimulationResult", "verdict"],
    "vtacsp.simulate.reference": ["Operands", "random_operands", "reference"],
    "vtacsp.simulate.result": ["TimingResult"],
    "vtacsp.simulate.simulator": ["Simulator"],
    "vtacsp.simulate.timing": ["PYNQ", "RTL", "TimingModel"],
    "vtacsp.space.advice": ["Advice", "advise"],
    "vtacsp.space.explanation": ["Explanation", "Violation"],
    "vtacsp.space.feasible": ["FeasibleSpace", "compile"],
    "vtacsp.space.network": ["HardwareSpace", "JointPoint", "JointSpace", "compile_network"],
    "vtacsp.space.problem": ["Problem"],
    "vtacsp.space.statistics": ["SpaceStatistics", "statistics"],
    "vtacsp.suites": ["SUITES", "find_workloads", "suite"],
    "vtacsp.workload": [
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
