"""What a pool computes before its epilogue, in numpy.

Independent of the rules on purpose: what programs compute is compared with it.
"""

from __future__ import annotations

import numpy as np

from vtacsp.alu.windows import padded_image, windows
from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.max_pool.workload import MaxPool
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: MaxPool, hardware: VTAConfig, operands: Operands) -> Integers:
    """The largest values of the windows, packed like the output."""
    del hardware
    padded = as_loaded(workload, operands.data).astype(np.int64)
    found: Integers = windows(workload, padded).max(axis=(-2, -1))
    return found


def as_loaded(workload: MaxPool, data: Integers) -> Integers:
    """The data as they lie in DRAM, with their padding."""
    return padded_image(workload, data, -(1 << 31))
