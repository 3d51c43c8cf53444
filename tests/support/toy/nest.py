"""The loop nest: tiles of rows and columns; per tile: reset, for ci0 {load, load, GEMM}, store."""

from __future__ import annotations

from vtacsp.expr import const, named
from vtacsp.operators.nest import LoopNest, Mean
from vtacsp.rules.eviction import program_micro_ops
from vtacsp.rules.kernels import MicroOpLoop, micro_ops
from vtacsp.rules.symbols import CI, CO, N, tile_b, tile_ci, tile_co

__all__ = ["NEST"]

ONE, NONE = const(1), const(0)
out_tile = named("out_tile", tile_b * tile_co)
inp_tile = named("inp_tile", tile_b * tile_ci)
wgt_tile = named("wgt_tile", tile_co * tile_ci)
tiles = named("tiles", N * CO // out_tile)
reductions = named("reductions", CI // tile_ci)
reset_loops = [MicroOpLoop(tile_b, (tile_co, NONE, NONE)), MicroOpLoop(tile_co, (ONE, NONE, NONE))]
gemm_loops = [
    MicroOpLoop(tile_ci, (NONE, ONE, ONE)),
    MicroOpLoop(tile_b, (tile_co, tile_ci, NONE)),
    MicroOpLoop(tile_co, (ONE, NONE, tile_ci)),
]
gemm_ops = named("gemm_uops", micro_ops(gemm_loops))
kernel_total = named("program_uops", program_micro_ops(ONE, gemm_ops, ONE, ONE))

NEST = LoopNest(
    tiles=tiles,
    threads=ONE,
    rows=ONE,
    reductions=reductions,
    reset=out_tile,
    gemm=out_tile * tile_ci,
    first=(inp_tile, inp_tile),
    inp=(Mean(inp_tile, ONE),) * 2,
    inp_tile=inp_tile,
    wgt=wgt_tile,
    out=out_tile,
    store_rows=tile_b,
    channel=out_tile,
    micro_ops=kernel_total,
)
