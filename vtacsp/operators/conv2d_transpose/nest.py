"""The loop nest of the transposed convolution template, as expressions over the symbols.

The input is dilated in DRAM by the CPU and padded by KH-1-PH (KW-1-PW) by the DMA; no tap is
skipped.  GEMM nest, outer to inner: ci1, columns by 2, co1, rows by 4, then unrolled: the inner
columns, kw, kh, the inner rows.  Source: ``vta_conv2d_transpose.py`` and
``InjectConv2DTransposeSkip`` of TVM 0.17.
"""

from __future__ import annotations

from vtacsp.expr import Int, const, minimum, named
from vtacsp.operators.conv2d.nest import ci0, co0, h0, taps, threads, w0
from vtacsp.operators.conv2d_transpose.overflow import COL_SPLIT, ROW_SPLIT
from vtacsp.operators.nest import Reads, spatial_nest
from vtacsp.rules.eviction import program_micro_ops
from vtacsp.rules.kernels import MicroOpLoop, micro_ops
from vtacsp.rules.patterns import Copy2D, PaddedCopy, SpatialAxis
from vtacsp.rules.symbols import (
    BATCH,
    KH,
    KW,
    PH,
    PW,
    SH,
    SW,
    H,
    W,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)

__all__ = ["NEST"]

# the dilated input in DRAM, and the padding around it
dilated_h = named("dilated_h", (H - 1) * SH + 1)
dilated_w = named("dilated_w", (W - 1) * SW + 1)
pad_h = named("pad_h", KH - 1 - PH)
pad_w = named("pad_w", KW - 1 - PW)
padded = named("padded", (pad_h > 0) | (pad_w > 0))
rows = named("rows", tile_h + KH - 1)
cols = named("cols", tile_w + KW - 1)
inp_tile = named("inp_tile", tile_ci * rows * cols)


def _ceil_div(a: Int, b: Int) -> Int:
    return (a + b - 1) // b


inner_h = named("inner_h", minimum(tile_h, ROW_SPLIT))
inner_w = named("inner_w", minimum(tile_w, COL_SPLIT))
outer_h = named("outer_h", _ceil_div(tile_h, inner_h))
outer_w = named("outer_w", _ceil_div(tile_w, inner_w))
overflows = named("overflows", (tile_h % inner_h > 0) | (tile_w % inner_w > 0))

padded_inp = PaddedCopy(
    channels=tile_ci,
    y=SpatialAxis("rows", extent=rows, step=tile_h, count=h0, size=dilated_h, pad=pad_h),
    x=SpatialAxis("cols", extent=cols, step=tile_w, count=w0, size=dilated_w, pad=pad_w),
    batch=BATCH,
)
plain_inp = Copy2D("inp", tile_ci, rows, cols, dilated_h, dilated_w)
_none, _one = const(0), const(1)
_plane = tile_h * tile_w
reset_loops = [
    MicroOpLoop(outer_w, (inner_w, _none, _none)),
    MicroOpLoop(tile_co, (_plane, _none, _none)),
    MicroOpLoop(outer_h, (inner_h * tile_w, _none, _none)),
]
gemm_loops = [
    MicroOpLoop(tile_ci, (_none, rows * cols, taps)),
    MicroOpLoop(outer_w, (inner_w, inner_w, _none)),
    MicroOpLoop(tile_co, (_plane, _none, tile_ci * taps)),
    MicroOpLoop(outer_h, (inner_h * tile_w, inner_h * cols, _none)),
]
reset_unrolled = [
    MicroOpLoop(inner_w, (_one, _none, _none)),
    MicroOpLoop(inner_h, (tile_w, _none, _none)),
]
gemm_unrolled = [
    MicroOpLoop(inner_w, (_one, _one, _none)),
    MicroOpLoop(KW, (_none, _one, _one)),
    MicroOpLoop(KH, (_none, cols, KW)),
    MicroOpLoop(inner_h, (tile_w, cols, _none)),
]
reset_ops = named("reset_uops", micro_ops(reset_loops) * inner_h * inner_w)
gemm_ops = named("gemm_uops", micro_ops(gemm_loops) * inner_h * inner_w * taps)
kernel_total = named("program_uops", program_micro_ops(reset_ops, gemm_ops, threads, const(1)))

NEST = spatial_nest(
    rows=Reads(step=tile_h, extent=rows, size=dilated_h, pad=pad_h),
    cols=Reads(step=tile_w, extent=cols, size=dilated_w, pad=pad_w),
    channels=tile_ci,
    outer=(h0, w0, co0, ci0),
    micro_ops=kernel_total,
)
