"""What the operators compute, in numpy, and random operands to compute it from.

Operands are packed: data (N/BATCH, CI/BLOCK, H, W, BATCH, BLOCK), weights (CO/BLOCK,
CI/BLOCK, KH, KW, BLOCK_OUT, BLOCK_IN), bias (N/BATCH, CO/BLOCK, 1, 1, BATCH, BLOCK), output
like data; dense without the spatial axes.  Operands of an epilogue have the shape of the bias or
of the output.

Independent of rules and programs on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from vtacsp.arrays import Integers
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
from vtacsp.operators.operands import Operands
from vtacsp.operators.registry import part
from vtacsp.operators.workload import Workload

__all__ = ["Operands", "random_operands", "reference", "value_type"]

BIAS_RANGE = 150  # of the order of what is left after the shift: errors show through the clip
FACTOR_RANGE = 4
VALUE_RANGE = 128


def value_type(log_width: int) -> np.dtype[Any]:
    """Integer type of ``2 ** log_width`` bits."""
    return np.dtype(f"i{(1 << log_width) // 8}")


def random_operands(workload: Workload, hardware: VTAConfig, seed: int = 0) -> Operands:
    """Uniform 8-bit data and weights (also where the hardware's values are wider).

    Data of an operator that the ALU runs by itself are 32-bit, large enough to show behind a shift.

    >>> layer = Dense(in_features=32, out_features=16)
    >>> random_operands(layer, VTAConfig()).weight.shape
    (1, 2, 16, 16)
    """
    shapes = workload.pack(hardware)
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...], log_width: int) -> Integers:
        return rng.integers(-128, 128, shape).astype(value_type(log_width))

    weight: Integers | None = None
    if shapes.weight is None:
        joined = workload.operations // prod(shapes.output)  # values that meet in one
        reach = max((VALUE_RANGE << min(_shifted(workload.chain), 16)) // joined, VALUE_RANGE)
        data = rng.integers(-reach, reach, shapes.data).astype(np.int32)
    else:
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
) -> Integers:
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


def _shifted(chain: Epilogue) -> int:
    """Bits by which a chain shifts to the right, at least 0."""
    shift = 0
    for step in chain.steps:
        if isinstance(step, Shift):
            shift += step.by if step.op == "shift_right" else -step.by
    return max(shift, 0)


def reference(workload: Workload, hardware: VTAConfig, operands: Operands) -> Integers:
    """Packed output: accumulate in 32 bits, then the epilogue step by step, cut to the type.

    Everything wraps at 32 bits.

    >>> layer = Dense(in_features=32, out_features=16)
    >>> reference(layer, VTAConfig(), random_operands(layer, VTAConfig())).shape
    (1, 1, 1, 16)
    """
    total = part(workload.op, "reference").accumulate(workload, hardware, operands)
    value: Integers = total.astype(np.int64).astype(np.int32)
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
    step: Step, value: Integers, loaded: Iterator[Integers], narrow: np.dtype[Any]
) -> Integers:
    result: Integers
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
