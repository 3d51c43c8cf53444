"""What a fully connected layer computes, in numpy."""

from __future__ import annotations

import numpy as np

from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.convolve import exact_type
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: Dense, hardware: VTAConfig, operands: Operands) -> Integers:
    """The sums, packed like the output."""
    del workload
    exact = exact_type(hardware)
    data, weight = operands.data.astype(exact), operands.weights.astype(exact)
    product: Integers = np.einsum("ncbi,ocji->nobj", data, weight, optimize=True)
    return product


def as_loaded(workload: Dense, data: Integers) -> Integers:
    """The data as they lie in DRAM: as they are."""
    del workload
    return data
