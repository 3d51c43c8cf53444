"""What a transposed convolution computes, in numpy: a convolution of the dilated input.

Written from the definition: independent of rules and program on purpose.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.convolve import convolve
from vtacsp.operators.operands import Operands

__all__ = ["accumulate", "as_loaded"]


def accumulate(workload: Conv2DTranspose, hardware: VTAConfig, operands: Operands) -> Integers:
    """The sums, packed like the output."""
    dilated = replace(operands, data=as_loaded(workload, operands.data))
    pad = (
        workload.kernel[0] - 1 - workload.padding[0],
        workload.kernel[1] - 1 - workload.padding[1],
    )
    return convolve(workload, hardware, dilated, (1, 1), pad)


def as_loaded(workload: Conv2DTranspose, data: Integers) -> Integers:
    """Packed data with ``stride - 1`` zeros between its rows and columns.

    Upstream the CPU does this before the accelerator starts.
    """
    n, c, height, width, *element = data.shape
    sh, sw = workload.stride
    shape = (n, c, (height - 1) * sh + 1, (width - 1) * sw + 1, *element)
    result = np.zeros(shape, dtype=data.dtype)
    result[:, :, ::sh, ::sw] = data
    return result
