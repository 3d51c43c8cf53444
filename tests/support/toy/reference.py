"""What a matrix product computes, in numpy."""

from __future__ import annotations

import numpy as np

from tests.support.toy.workload import MatMul
from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: MatMul, hardware: VTAConfig, operands: Operands) -> Integers:
    """The sums, packed like the output."""
    del workload, hardware
    data, weight = operands.data.astype(np.int64), operands.weight.astype(np.int64)
    product: Integers = np.einsum("ncbi,ocji->nobj", data, weight)
    return product


def as_loaded(workload: MatMul, data: Integers) -> Integers:
    """The data as they lie in DRAM: as they are."""
    del workload
    return data
