"""Simulation of programs: what they compute."""

from vtacsp.simulate.functional import SimulationResult, simulate, verdict
from vtacsp.simulate.reference import Operands, random_operands, reference

__all__ = [
    "Operands",
    "SimulationResult",
    "random_operands",
    "reference",
    "simulate",
    "verdict",
]
