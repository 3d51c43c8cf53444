"""What a program computes: the functional simulator, and the reference that it is held to.

It executes instructions and knows no rule: independent on purpose, so that the two can be compared.
"""

from vtacsp.functional.program_execution import ExecutionResult, execute, verdict
from vtacsp.functional.reference import random_operands, reference
from vtacsp.moved import keep_old_names
from vtacsp.operators.operands import Operands

__all__ = [
    "ExecutionResult",
    "Operands",
    "execute",
    "random_operands",
    "reference",
    "verdict",
]

keep_old_names(__name__)
