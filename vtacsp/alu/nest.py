"""Tiles of the operators of the ALU, as expressions over the symbols.

Outer to inner: [virtual threads] batch, h0, co0, w0; per output tile: load the data into ACC; of a
pool, reset the output tile and execute one ALU instruction per value of the window; the epilogue;
the store.
"""

from __future__ import annotations

from vtacsp.epilogue.rules import slots
from vtacsp.expr import const, named
from vtacsp.rules.kernels import MicroOpLoop, micro_ops
from vtacsp.rules.patterns import Copy2D
from vtacsp.rules.symbols import (
    CO,
    KH,
    KW,
    OH,
    OW,
    PASSES,
    PH,
    PW,
    SH,
    SW,
    H,
    N,
    W,
    h_nthread,
    oc_nthread,
    tile_co,
    tile_h,
    tile_w,
)

__all__ = ["co0", "h0", "threads", "tiles"]

h0 = named("h0", OH // tile_h)
co0 = named("co0", CO // tile_co)
w0 = named("w0", OW // tile_w)
threads = named("threads", oc_nthread * h_nthread)
tiles = named("tiles", N * h0 * co0 * w0)
out_tile = named("out_tile", tile_co * tile_h * tile_w)
out_copy = Copy2D("out", tile_co, tile_h, tile_w, OH, OW)
operands = named("operands", slots(out_tile, tile_co, tile_h * tile_w))

# the data of a window: a tile of its own, behind the output tile and the operands
rows = named("rows", (tile_h - 1) * SH + KH)
cols = named("cols", (tile_w - 1) * SW + KW)
taps = named("taps", KH * KW)
window_tile = named("window_tile", tile_co * rows * cols)
window_copy = Copy2D("data", tile_co, rows, cols, H + 2 * PH, W + 2 * PW)

_none = const(0)
window_loops = [
    MicroOpLoop(tile_h, (tile_w, SH * cols, _none)),
    MicroOpLoop(tile_w, (const(1), SW, _none)),
    MicroOpLoop(tile_co, (tile_h * tile_w, rows * cols, _none)),
]
add_uops = named("program_uops", threads * PASSES)
pool_uops = named("program_uops", threads * (1 + taps * micro_ops(window_loops) + PASSES))
