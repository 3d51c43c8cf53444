"""What the operators compute, in numpy, and random operands to compute it from.

Operands are packed: data (N/BATCH, CI/BLOCK, H, W, BATCH, BLOCK), weights (CO/BLOCK,
CI/BLOCK, KH, KW, BLOCK_OUT, BLOCK_IN), bias (N/BATCH, CO/BLOCK, 1, 1, BATCH, BLOCK), output
like data; dense without the spatial axes.  Operands of an epilogue have the shape of the bias or
of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.epilogue.steps import (
    CHANNEL,
    NARROW,
    SELF,
    Arithmetic,
    Cast,
    Clip,
    Epilogue,
    Shift,
    Step,
)
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Conv2DTranspose, Dense, Workload

__all__ = ["Operands", "dilate", "random_operands", "reference", "value_type"]

IntArray = NDArray[Any]

BIAS_RANGE = 150  # of the order of what is left after the shift: errors show through the clip
FACTOR_RANGE = 4


@dataclass(frozen=True)
class Operands:
    """Packed operands of a workload; ``bias`` is None for a workload without one.

    ``epilogue`` are what the steps of an epilogue load, in their order.
    """

    data: IntArray
    weight: IntArray
    bias: IntArray | None = None
    epilogue: tuple[IntArray, ...] = ()

    @property
    def loaded(self) -> tuple[IntArray, ...]:
        """What the epilogue loads, the bias included."""
        return self.epilogue if self.bias is None else (self.bias, *self.epilogue)


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
    loaded = tuple(
        _draw_operand(rng, kind, shape, reach)
        for kind, shape, reach in zip(
            workload.chain.operands, shapes.operands, _reaches(workload.chain), strict=True
        )
    )
    if workload.bias:
        return Operands(data, weight, loaded[0])
    return Operands(data, weight, epilogue=loaded)


def _draw_operand(
    rng: np.random.Generator, kind: str, shape: tuple[int, ...], reach: int
) -> IntArray:
    if kind == NARROW:
        return rng.integers(-128, 128, shape).astype(np.int8)
    if kind != CHANNEL:
        return rng.integers(-reach, reach, shape).astype(np.int32)
    # one value per output channel, the same for every batch row
    channels = rng.integers(-reach, reach, (shape[1], shape[-1]))
    spread = channels.reshape(1, shape[1], *(1,) * (len(shape) - 3), -1)
    return np.broadcast_to(spread, shape).astype(np.int32)


def _reaches(chain: Epilogue) -> list[int]:
    """How large the values of each operand may be for the errors to show in the output.

    Those that are added before a shift to the right are as much larger.
    """
    reaches = []
    shift = 0
    for step in reversed(chain.steps):
        if isinstance(step, Shift):
            shift = max(0, shift + (step.by if step.op == "shift_right" else -step.by))
        elif isinstance(step, Arithmetic) and step.operand not in (None, SELF):
            factor = step.op == "mul"
            reaches.append(FACTOR_RANGE if factor else BIAS_RANGE << min(shift, 16))
    return reaches[::-1]


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
    """Packed output: accumulate in 32 bits, then the epilogue step by step, cut to the type.

    Everything wraps at 32 bits.
    """
    total = _accumulate(workload, hardware, operands)
    value: IntArray = total.astype(np.int64).astype(np.int32)
    loaded = iter(operands.loaded)
    with np.errstate(over="ignore"):
        for step in workload.chain.steps:
            value = _apply(step, value, loaded, value_type(hardware.log_inp_width))
    return value


_UFUNCS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def _apply(
    step: Step, value: IntArray, loaded: Iterator[IntArray], narrow: np.dtype[Any]
) -> IntArray:
    result: IntArray
    if isinstance(step, Cast):
        result = value.astype(narrow if step.dtype is None else step.dtype)
    elif isinstance(step, Clip):
        result = np.maximum(np.minimum(value, np.int32(step.max)), np.int32(step.min))
    elif isinstance(step, Shift):
        right = step.op == "shift_right"
        result = value >> np.int32(step.by) if right else value << np.int32(step.by)
    else:
        other = value
        if step.value is not None:
            other = np.int32(step.value)
        elif step.operand != SELF:
            other = next(loaded).astype(np.int32)
        pair = (other, value) if step.left else (value, other)
        result = _UFUNCS[step.op](*pair)
    return result


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
