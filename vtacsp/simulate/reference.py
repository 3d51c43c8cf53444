"""What the operators compute, in numpy, and random operands to compute it from.

Operands are packed: data (N/BATCH, CI/BLOCK, H, W, BATCH, BLOCK), weights (CO/BLOCK,
CI/BLOCK, KH, KW, BLOCK_OUT, BLOCK_IN), bias (N/BATCH, CO/BLOCK, 1, 1, BATCH, BLOCK), output
like data; dense without the spatial axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.hardware import VTAConfig
from vtacsp.program.epilogue import CLIP_HIGH, CLIP_LOW, SHIFT
from vtacsp.workload import Conv2DTranspose, Dense, Workload

__all__ = ["Operands", "dilate", "random_operands", "reference", "value_type"]

IntArray = NDArray[Any]

BIAS_RANGE = 150  # of the order of what is left after the shift: errors show through the clip


@dataclass(frozen=True)
class Operands:
    """Packed operands of a workload; ``bias`` is None for a workload without one."""

    data: IntArray
    weight: IntArray
    bias: IntArray | None = None


def value_type(log_width: int) -> np.dtype[Any]:
    """Integer type of ``2 ** log_width`` bits."""
    return np.dtype(f"i{(1 << log_width) // 8}")


def random_operands(workload: Workload, hardware: VTAConfig, seed: int = 0) -> Operands:
    """Uniform 8-bit data and weights (also where the hardware's values are wider)."""
    shapes = workload.pack(hardware)
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...], log_width: int) -> IntArray:
        return rng.integers(-128, 128, shape).astype(value_type(log_width))

    data = draw(shapes.data, hardware.log_inp_width)
    weight = draw(shapes.weight, hardware.log_wgt_width)
    bias = None
    if shapes.bias is not None:
        # one value per output channel, the same for every batch row
        channels = rng.integers(-BIAS_RANGE, BIAS_RANGE, (shapes.bias[1], shapes.bias[-1]))
        spread = channels.reshape(1, shapes.bias[1], *(1,) * (len(shapes.bias) - 3), -1)
        bias = np.broadcast_to(spread, shapes.bias).astype(np.int32)
    return Operands(data, weight, bias)


def dilate(workload: Conv2DTranspose, data: IntArray) -> IntArray:
    """Packed data with ``stride - 1`` zeros between its rows and columns.

    Upstream the CPU does this before the accelerator starts.
    """
    n, c, height, width, *element = data.shape
    sh, sw = workload.stride
    shape = (n, c, (height - 1) * sh + 1, (width - 1) * sw + 1, *element)
    result = np.zeros(shape, dtype=data.dtype)
    result[:, :, ::sh, ::sw] = data
    return result


def reference(workload: Workload, hardware: VTAConfig, operands: Operands) -> IntArray:
    """Packed output: accumulate in 32 bits, shift right by 8, add bias, min 127, max 0, cut."""
    total = _accumulate(workload, hardware, operands)
    result = total.astype(np.int64).astype(np.int32) >> SHIFT
    if operands.bias is not None:
        result = result + operands.bias
    result = np.maximum(np.minimum(result, CLIP_HIGH), CLIP_LOW)
    output: IntArray = result.astype(value_type(hardware.log_inp_width))
    return output


def _accumulate(workload: Workload, hardware: VTAConfig, operands: Operands) -> IntArray:
    narrow = hardware.log_inp_width == hardware.log_wgt_width == 3
    # 64-bit floats hold every sum of products of bytes exactly, and numpy multiplies them fast
    exact = np.float64 if narrow else np.int64
    weight = operands.weight.astype(exact)
    if isinstance(workload, Dense):
        data = operands.data.astype(exact)
        product: IntArray = np.einsum("ncbi,ocji->nobj", data, weight, optimize=True)
        return product
    return _convolve(workload, hardware, operands.data, weight)


def _convolve(
    workload: Workload, hardware: VTAConfig, data: IntArray, weight: IntArray
) -> IntArray:
    s = workload.symbols(hardware)
    if isinstance(workload, Conv2DTranspose):
        data = dilate(workload, data)
        stride, pad = (1, 1), (s["KH"] - 1 - s["PH"], s["KW"] - 1 - s["PW"])
    else:
        stride, pad = (s["SH"], s["SW"]), (s["PH"], s["PW"])
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
    packed: IntArray = spatial.reshape(n, groups * co, oh, ow, batch, block)
    return packed
