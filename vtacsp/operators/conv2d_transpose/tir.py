"""The sums of a transposed convolution as a TIR compute: a convolution of the dilated input."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.tir import convolution

__all__ = ["multiply"]


def multiply(workload: Conv2DTranspose, hardware: VTAConfig, data: Any, weight: Any) -> Any:
    """The blocks ``dilate``, ``pad`` and ``gemm``; the last has the shape of the output."""
    dilated = _dilate(data, *workload.stride)
    (kh, kw), (ph, pw) = workload.kernel, workload.padding
    return convolution(workload, hardware, dilated, weight, (1, 1), (kh - 1 - ph, kw - 1 - pw))


def _dilate(data: Any, sh: int, sw: int) -> Any:
    n, c, height, width, *element = (int(size) for size in data.shape)
    shape = (n, c, (height - 1) * sh + 1, (width - 1) * sw + 1, *element)

    def value(n: Any, c: Any, y: Any, x: Any, *rest: Any) -> Any:
        on_grid = tirx.all(tirx.floormod(y, sh) == 0, tirx.floormod(x, sw) == 0)
        source = data(n, c, tirx.floordiv(y, sh), tirx.floordiv(x, sw), *rest)
        return tirx.if_then_else(on_grid, source, tirx.const(0, data.dtype))

    return te.compute(shape, value, name="dilate")
