"""The loop nest of the convolution templates (plain and grouped), as expressions over the symbols.

Outer to inner: [virtual threads] batch, h0, co0, w0; per output tile: reset, for ci0 { load
data, load weights, GEMM over ci1, w1, kw, kh, co1, h1 }, epilogue, store.
Source: ``vta_conv2d.py`` and ``vta_group_conv2d.py`` of TVM 0.17.
"""

from __future__ import annotations

from vtacsp.expr import Bool, all_of, any_of, const, if_else, maximum, minimum, named
from vtacsp.operators.nest import Reads, spatial_nest
from vtacsp.rules.eviction import program_micro_ops
from vtacsp.rules.kernels import MicroOpLoop, micro_ops, unrolled
from vtacsp.rules.patterns import Copy2D, PaddedCopy, SpatialAxis
from vtacsp.rules.symbols import (
    BATCH,
    CI,
    CO,
    KH,
    KW,
    OH,
    OW,
    PH,
    PW,
    SH,
    SW,
    G,
    H,
    N,
    W,
    h_nthread,
    oc_nthread,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)

__all__ = ["NEST"]

# the outer loops, the threads and the tile
h0 = named("h0", OH // tile_h)
w0 = named("w0", OW // tile_w)
co0 = named("co0", CO // tile_co)
ci0 = named("ci0", CI // tile_ci)
threads = named("threads", oc_nthread * h_nthread)
both_threads = named("both_threads", (oc_nthread == 2) & (h_nthread == 2))
rows = named("rows", (tile_h - 1) * SH + KH)
cols = named("cols", (tile_w - 1) * SW + KW)
taps = named("taps", KH * KW)
out_tile = named("out_tile", tile_co * tile_h * tile_w)
wgt_tile = named("wgt_tile", tile_co * tile_ci * taps)
padded = named("padded", PH > 0)

# groups under a tile of output channels: a tile starts at block tile_co * (oc_nthread * i + t)
per_group = named("per_group", CO // G)
groups_reached = named("groups_reached", (tile_co - 1) // per_group + 1)
channels = named("channels", (groups_reached - 1) * CI + tile_ci)
inp_tile = named("inp_tile", channels * rows * cols)

_outer_co = co0 // oc_nthread
_step = (oc_nthread * tile_co) % per_group
_thread_step = if_else(oc_nthread == 2, tile_co % per_group, 0)
_top = if_else(
    any_of(_outer_co <= 1, _step == 0),
    _thread_step,
    if_else(
        (per_group % maximum(_step, 1) == 0) & (_thread_step < _step),
        per_group - _step + _thread_step,
        per_group - 1,
    ),
)
_top = named("top_remainder", minimum(_top, per_group - 1))
one_span: Bool = named("one_span", (_top + tile_co - 1) // per_group == (tile_co - 1) // per_group)
"""Every tile provably reaches the same number of groups: the simplifier knows the remainder of
the tile's first block only as an interval, or as a multiple where the coefficients nest."""

straddles: Bool = named(
    "straddles",
    all_of(tile_co % per_group > 0, per_group % tile_co > 0, _outer_co > 1, _step > 0),
)
"""The first group of a tile depends on the outer loop, and with it the kernel."""

padded_inp = PaddedCopy(
    channels=channels,
    y=SpatialAxis("rows", extent=rows, step=tile_h * SH, count=h0, size=H, pad=PH),
    x=SpatialAxis("cols", extent=cols, step=tile_w * SW, count=w0, size=W, pad=PW),
    batch=BATCH,
)
plain_inp = Copy2D("inp", channels, rows, cols, H, W)
wgt_copy = Copy2D("wgt", tile_co, const(1), tile_ci * taps, const(1), CI * taps)
out_copy = Copy2D("out", tile_co, tile_h, tile_w, OH, OW)

# with one output block per group the input index moves by whole groups: linear again
_linear = (groups_reached == 1) | (per_group == 1)
_group_step = if_else(per_group == 1, CI * rows * cols, 0)
_none = const(0)
_plane = tile_h * tile_w
reset_loops = [
    MicroOpLoop(tile_w, (const(1), _none, _none)),
    MicroOpLoop(tile_co, (_plane, _none, _none)),
    MicroOpLoop(tile_h, (tile_w, _none, _none)),
]
gemm_loops = [
    MicroOpLoop(tile_ci, (_none, rows * cols, taps)),
    MicroOpLoop(tile_w, (const(1), SW, _none)),
    MicroOpLoop(KW, (_none, const(1), const(1))),
    MicroOpLoop(KH, (_none, cols, KW)),
    MicroOpLoop(tile_co, (_plane, _group_step, tile_ci * taps), _linear & ~straddles),
    MicroOpLoop(tile_h, (tile_w, SH * cols, _none)),
]
_, _, kw_listed, kh_listed, _, _ = unrolled(gemm_loops)
reset_ops = named("reset_uops", micro_ops(reset_loops))
gemm_ops = named("gemm_uops", micro_ops(gemm_loops))

variants = if_else(straddles, co0, 1)
kernel_total = named("program_uops", program_micro_ops(reset_ops, gemm_ops, threads, variants))
rounds = N * h0 * w0 * co0 // threads

NEST = spatial_nest(
    rows=Reads(step=tile_h * SH, extent=rows, size=H, pad=PH),
    cols=Reads(step=tile_w * SW, extent=cols, size=W, pad=PW),
    channels=channels,
    outer=(h0, w0, co0, ci0),
    micro_ops=kernel_total,
)
