"""Simulation of programs: what they compute, and how long they take."""

from vtacsp.simulate.exhaustive import Exhaustive, simulate_all
from vtacsp.simulate.functional import SimulationResult, simulate, verdict
from vtacsp.simulate.reference import Operands, random_operands, reference
from vtacsp.simulate.result import ModuleTime, TimingResult
from vtacsp.simulate.robust import Robust, robust
from vtacsp.simulate.simulator import Simulator, simulate_timing
from vtacsp.simulate.timing import PYNQ, RTL, TimingModel
from vtacsp.simulate.trace import trace, write_trace

__all__ = [
    "PYNQ",
    "RTL",
    "Exhaustive",
    "ModuleTime",
    "Operands",
    "Robust",
    "SimulationResult",
    "Simulator",
    "TimingModel",
    "TimingResult",
    "random_operands",
    "reference",
    "robust",
    "simulate",
    "simulate_all",
    "simulate_timing",
    "trace",
    "verdict",
    "write_trace",
]
