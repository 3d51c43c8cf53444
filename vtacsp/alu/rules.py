"""Rules of the operators of the ALU: ours, since upstream has no template for them."""

from __future__ import annotations

from vtacsp import causes
from vtacsp.alu.nest import (
    add_uops,
    co0,
    h0,
    operands,
    out_copy,
    out_tile,
    pool_uops,
    threads,
    window_copy,
    window_loops,
    window_tile,
)
from vtacsp.epilogue.rules import IMMEDIATE, NO_CAST, SUBTRACTION, WIDTH, in_place
from vtacsp.expr import Int, all_of, truth
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.rules.dma import instruction_fields, store_pattern
from vtacsp.rules.kernels import LOOP_LIMIT, loop_fields_fit
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.scratchpads import capacity
from vtacsp.rules.symbols import depth, h_nthread, oc_nthread, tile_co
from vtacsp.rules.variables import one_variable

__all__ = ["ADD", "POOL"]

VTHREAD = Rule(
    name=causes.VTHREAD_SPLIT,
    checks=(
        Check(
            Stage.INP_GUARD,
            ((oc_nthread == 1) | (co0 % 2 == 0)) & ((h_nthread == 1) | (h0 % 2 == 0)),
        ),
    ),
    title="virtual threads divide the loops they split",
    message=(
        "oc_nthread {oc} must divide {co0} channel tiles and h_nthread {hn} must divide {h0} row "
        "tiles"
    ),
    mechanism="The tiles are shared evenly: each thread has its own accumulators.",
    quantities={"oc": oc_nthread, "co0": co0, "hn": h_nthread, "h0": h0},
)

SIGNATURE = one_variable(
    "both virtual threads are in use (oc_nthread {oc}, h_nthread {hn}): the runtime tells kernels "
    "apart by one variable",
    {"oc": oc_nthread, "hn": h_nthread},
    threads <= 2,
)

WINDOW_2D = Rule(
    name="dma_2d:window",
    cause=causes.DMA_2D_ACC,
    checks=(Check(Stage.INP_2D, window_copy.is_2d),),
    title="the load of the windows is a 2-D pattern",
    message=(
        "the windows of a tile are {channels} channel blocks x {rows} x {cols} of a padded image "
        "of {height} x {width}: what is left after merging contiguous axes has more than two "
        "dimensions"
    ),
    mechanism="A DMA moves rows of contiguous elements with one stride; a tile is one DMA.",
    quantities={
        "channels": tile_co,
        "rows": window_copy.rows,
        "cols": window_copy.cols,
        "height": window_copy.height,
        "width": window_copy.width,
    },
)

STORE_2D = store_pattern(out_copy, truth(False), truth(False))


def _micro_ops(total: Int) -> Rule:
    return Rule(
        name=causes.SRAM_UOP,
        checks=(Check(Stage.UOP_SIZE, total <= depth("uop")),),
        title="all kernels of the program fit the micro-op scratchpad together",
        message="all kernels have {need:,} micro-ops, scratchpad holds {depth:,}",
        mechanism=(
            "Our program loads every kernel once and keeps it: nothing is evicted, which "
            "upstream's runtime does wrong."
        ),
        quantities={"need": total, "depth": depth("uop")},
        grows="LOG_UOP_BUFF_SIZE",
    )


def _rules(accumulators: Int, micro_ops: Int, *more: Rule) -> tuple[Rule, ...]:
    return (
        capacity("acc", out_tile, threads * accumulators),
        VTHREAD,
        NO_CAST,
        STORE_2D,
        in_place(),
        SUBTRACTION,
        SIGNATURE,
        _micro_ops(micro_ops),
        IMMEDIATE,
        WIDTH,
        *more,
    )


ADD = _rules(
    out_tile + operands,
    add_uops,
    instruction_fields(out_copy.fits_fields, out_tile < LOOP_LIMIT),
    ISA_WIDTH,
)

POOL = _rules(
    out_tile + operands + window_tile,
    pool_uops,
    WINDOW_2D,
    instruction_fields(
        out_copy.fits_fields,
        window_copy.fits_fields,
        all_of(loop_fields_fit(window_loops), out_tile < LOOP_LIMIT),
    ),
    ISA_WIDTH,
)
