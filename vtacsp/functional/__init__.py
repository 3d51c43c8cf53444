"""What a program computes: the functional simulator, and the reference that it is held to.

It executes instructions and knows no rule: independent on purpose, so that the two can be compared.
"""

from vtacsp.functional.reference import Operands, random_operands, reference
from vtacsp.functional.simulation import SimulationResult, simulate, verdict

__all__ = [
    "Operands",
    "SimulationResult",
    "random_operands",
    "reference",
    "simulate",
    "verdict",
]
