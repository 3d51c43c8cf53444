"""What a pool computes before its epilogue, in numpy: the largest values of its windows.

Independent of the rules on purpose: what programs compute is compared with it.
"""

from __future__ import annotations

from vtacsp.alu.windows import as_loaded, windows
from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.max_pool.workload import MaxPool
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: MaxPool, hardware: VTAConfig, operands: Operands) -> Integers:
    """The largest values, packed like the output."""
    del hardware
    found: Integers = windows(workload, operands.data).max(axis=(-2, -1))
    return found
