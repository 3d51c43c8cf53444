"""How long a program takes: cycles of the RTL, and where they go."""

from vtacsp.timing.breakdown import ModuleTime, TimingResult
from vtacsp.timing.exhaustive import Exhaustive, simulate_all
from vtacsp.timing.model import PYNQ, RTL, TimingModel
from vtacsp.timing.robust import Robust, robust
from vtacsp.timing.simulator import Simulator, simulate_timing
from vtacsp.timing.trace import trace, write_trace

__all__ = [
    "PYNQ",
    "RTL",
    "Exhaustive",
    "ModuleTime",
    "Robust",
    "Simulator",
    "TimingModel",
    "TimingResult",
    "robust",
    "simulate_all",
    "simulate_timing",
    "trace",
    "write_trace",
]
