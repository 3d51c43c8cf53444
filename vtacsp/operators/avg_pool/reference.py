"""What a pool computes before its epilogue, in numpy: the sums of its windows.

Independent of the rules on purpose: what programs compute is compared with it.
"""

from __future__ import annotations

from vtacsp.alu.windows import as_loaded, windows
from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.avg_pool.workload import AvgPool
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: AvgPool, hardware: VTAConfig, operands: Operands) -> Integers:
    """The sums, packed like the output."""
    del hardware
    found: Integers = windows(workload, operands.data).sum(axis=(-2, -1))
    return found
