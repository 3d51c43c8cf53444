"""The sums of a convolution, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.operands import Operands
from vtacsp.operators.spatial import Spatial

__all__ = ["convolve", "exact_type"]


def exact_type(hardware: VTAConfig) -> Any:
    """A type that holds every sum of products exactly.

    64-bit floats do for bytes, and numpy multiplies them fast.
    """
    narrow = hardware.log_inp_width == hardware.log_wgt_width == 3
    return np.float64 if narrow else np.int64


def convolve(
    workload: Spatial,
    hardware: VTAConfig,
    operands: Operands,
    stride: tuple[int, int],
    pad: tuple[int, int],
) -> Integers:
    """The sums, packed like the output."""
    s = workload.symbols(hardware)
    data, weight = operands.data, operands.weights.astype(exact_type(hardware))
    (sh, sw), (ph, pw) = stride, pad
    padded = np.pad(data, ((0, 0), (0, 0), (ph, ph), (pw, pw), (0, 0), (0, 0)))
    padded = padded.astype(weight.dtype)
    n, groups, oh, ow = s["N"], s["G"], s["OH"], s["OW"]
    ci, co = s["CI"], s["CO"] // groups
    batch, block = hardware.batch, hardware.block
    total = np.zeros((groups, n * oh * ow * batch, co * block), dtype=weight.dtype)
    for i in range(s["KH"]):
        for j in range(s["KW"]):
            window = padded[:, :, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw]
            for g in range(groups):
                part = window[:, g * ci : (g + 1) * ci].transpose(0, 2, 3, 4, 1, 5)
                taps = weight[g * co : (g + 1) * co, :, i, j].transpose(1, 3, 0, 2)
                total[g] += part.reshape(-1, ci * block) @ taps.reshape(ci * block, -1)
    spatial = total.reshape(groups, n, oh, ow, batch, co, block).transpose(1, 0, 5, 2, 3, 4, 6)
    packed: Integers = spatial.reshape(n, groups * co, oh, ow, batch, block)
    return packed
