"""The loop nest of the dense template, as expressions over the symbols.

The published reorder leaves the inner output loop inside the tensorized region, so only tiles
of one output block tensorize.  Splitting the output loop for a virtual thread splits the loop
that the compute stage is attached to: the whole batch moves under it, and only two output
blocks leave an extent of 1 to tensorize.  Source: ``vta_dense.py`` of TVM 0.17.
"""

from __future__ import annotations

from vtacsp.expr import const, if_else, named
from vtacsp.operators.nest import LoopNest, Mean
from vtacsp.rules.symbols import CI, CO, PASSES, N, oc_nthread, tile_b, tile_ci

__all__ = ["NEST"]

threaded = oc_nthread == 2
rows = named("batch_rows", if_else(threaded, N, tile_b))
"""Batch rows of the accumulator tile."""

# a reset and a GEMM kernel of one micro-op per batch row and thread, one per ALU operation
kernel_total = named("program_uops", oc_nthread * (2 * rows + PASSES))

NEST = LoopNest(
    tiles=N * CO // rows,
    threads=oc_nthread,
    rows=rows,
    reductions=CI // tile_ci,
    reset=const(1),
    gemm=tile_ci,
    first=(tile_ci, tile_ci),
    inp=(Mean(tile_ci, const(1)),) * 2,
    inp_tile=tile_ci,
    wgt=tile_ci,
    out=rows,
    store_rows=rows,
    channel=rows,
    micro_ops=kernel_total,
)
