"""What a convolution computes, in numpy.

Written from the definition: independent of rules and program on purpose.
"""

from __future__ import annotations

from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.convolve import convolve
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: Conv2D, hardware: VTAConfig, operands: Operands) -> Integers:
    """The sums, packed like the output."""
    return convolve(workload, hardware, operands, workload.stride, workload.padding)


def as_loaded(workload: Conv2D, data: Integers) -> Integers:
    """The data as they lie in DRAM: as they are."""
    del workload
    return data
