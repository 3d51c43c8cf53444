"""The sums of a convolution as a TIR compute."""

from __future__ import annotations

from typing import Any

from tvm import te, tirx

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.spatial import Spatial

__all__ = ["ACCUMULATOR", "convolution"]

ACCUMULATOR = "int32"


def convolution(
    workload: Spatial,
    hardware: VTAConfig,
    data: Any,
    weight: Any,
    stride: tuple[int, int],
    pad: tuple[int, int],
) -> Any:
    """The blocks ``pad``, where there is padding, and ``gemm``, of the shape of the output."""
    shapes, s = workload.pack(hardware), workload.symbols(hardware)
    (sh, sw), (ph, pw) = stride, pad
    if ph or pw:
        data = _pad(data, ph, pw)
    per_group, ci = s["CO"] // s["G"], s["CI"]
    blocks = te.reduce_axis((0, ci), "k_o")
    row, column = te.reduce_axis((0, s["KH"]), "d_i"), te.reduce_axis((0, s["KW"]), "d_j")
    lanes = te.reduce_axis((0, hardware.block), "k_i")

    def product(n: Any, c: Any, y: Any, x: Any, i: Any, o: Any) -> Any:
        block = blocks if s["G"] == 1 else tirx.floordiv(c, per_group) * ci + blocks
        left = data[n, block, y * sh + row, x * sw + column, i, lanes].astype(ACCUMULATOR)
        right = weight[c, blocks, row, column, o, lanes].astype(ACCUMULATOR)
        return te.sum(left * right, [blocks, row, column, lanes])

    return te.compute(shapes.output, product, name="gemm")


def _pad(data: Any, ph: int, pw: int) -> Any:
    n, c, height, width, *element = (int(size) for size in data.shape)
    shape = (n, c, height + 2 * ph, width + 2 * pw, *element)

    def value(n: Any, c: Any, y: Any, x: Any, *rest: Any) -> Any:
        inside = tirx.all(y >= ph, y < height + ph, x >= pw, x < width + pw)
        source = data(n, c, y - ph, x - pw, *rest)
        return tirx.if_then_else(inside, source, tirx.const(0, data.dtype))

    return te.compute(shape, value, name="pad")
