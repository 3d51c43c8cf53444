"""What a sum computes, in numpy: the chain adds the second tensor to the data.

Independent of the rules on purpose: what programs compute is compared with it.
"""

from __future__ import annotations

from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.add.workload import Add
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: Add, hardware: VTAConfig, operands: Operands) -> Integers:
    """The data."""
    del workload, hardware
    return operands.data


def as_loaded(workload: Add, data: Integers) -> Integers:
    """The data as they lie in DRAM: as they are."""
    del workload
    return data
