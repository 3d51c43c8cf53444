"""Rules of the transposed convolution template, over its loop nest.

Source: ``vta_conv2d_transpose.py`` and ``InjectConv2DTransposeSkip`` of TVM 0.17.
"""

from __future__ import annotations

from vtacsp import causes
from vtacsp.epilogue.rules import IMMEDIATE, NO_CAST, SUBTRACTION, WIDTH
from vtacsp.expr import any_of, choose, const, if_else, maximum, table
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.operators.conv2d.nest import (
    ci0,
    co0,
    h0,
    out_tile,
    rounds,
    taps,
    threads,
    wgt_tile,
)
from vtacsp.operators.conv2d.rules import ACC as CONV_ACC
from vtacsp.operators.conv2d.rules import ALU as CONV_ALU
from vtacsp.operators.conv2d.rules import (
    LEFT_GUARD,
    OPERAND_GUARD,
    acc_total,
    co_divides,
    h_divides,
    one_thread_variable,
    operands,
)
from vtacsp.operators.conv2d.rules import OUT_2D as CONV_OUT_2D
from vtacsp.operators.conv2d.rules import WGT as CONV_WGT
from vtacsp.operators.conv2d_transpose import overflow as effect
from vtacsp.operators.conv2d_transpose.nest import (
    dilated_h,
    dilated_w,
    gemm_loops,
    gemm_ops,
    gemm_unrolled,
    inner_h,
    inner_w,
    inp_tile,
    kernel_total,
    outer_h,
    outer_w,
    overflows,
    pad_h,
    pad_w,
    padded,
    padded_inp,
    plain_inp,
    reset_loops,
    reset_ops,
    reset_unrolled,
)
from vtacsp.rules.dma import input_pattern, instruction_fields, padded_axes
from vtacsp.rules.eviction import eviction_is_harmless
from vtacsp.rules.kernels import LOOP_LIMIT, loop_fields_fit
from vtacsp.rules.patterns import Copy2D
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.scratchpads import capacity, micro_op_capacity
from vtacsp.rules.symbols import (
    CI,
    KH,
    KW,
    LEFT_CHANNELS,
    LEFT_TENSORS,
    LOG_BATCH,
    OH,
    OW,
    SH,
    SW,
    acc_bits,
    depth,
    h_nthread,
    inp_bits,
    oc_nthread,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)
from vtacsp.rules.variables import one_variable

__all__ = ["RULES"]

LOWERING = Rule(
    name=causes.LOWERING,
    checks=(Check(Stage.TENSORIZE, LOG_BATCH == 0),),
    title="the transposed convolution needs BATCH 1",
    message="LOG_BATCH is {batch}: the pass that lowers the transposed GEMM handles 0 only",
    mechanism=(
        "`InjectConv2DTransposeSkip` looks for the store directly under the innermost block "
        "and finds the batch loop. Found by measuring on the real stack."
    ),
    quantities={"batch": LOG_BATCH},
)

VTHREAD = Rule(
    name=causes.VTHREAD_SPLIT,
    checks=(
        LEFT_GUARD,
        Check(Stage.INP_GUARD, h_divides),
        Check(Stage.WGT_GUARD, co_divides),
        OPERAND_GUARD,
    ),
    title="virtual threads divide the loops they split",
    message=(
        "oc_nthread {oc} must divide {co0} output-channel tiles and h_nthread {hn} must divide "
        "{h0} row tiles"
    ),
    mechanism="A thread count that does not divide co0 (or h0) leaves a guard around a copy.",
    quantities={"oc": oc_nthread, "co0": co0, "hn": h_nthread, "h0": h0},
)

PAD = padded_axes(padded, padded_inp)
INP_2D = input_pattern(padded, padded_inp, plain_inp)

INP = capacity("inp", inp_tile, threads * inp_tile)

SIGNATURE = one_variable(
    "both virtual threads are in use (oc_nthread {oc}, h_nthread {hn})",
    {"oc": oc_nthread, "hn": h_nthread},
    one_thread_variable,
)

HAZARD = Rule(
    name=causes.UOP_HAZARD,
    checks=(Check(Stage.UOP_HAZARD, (taps == 1) | (tile_h > 2)),),
    title="no micro-op writes an accumulator that one of the two before it wrote",
    message=(
        "kernel taps are unrolled over {rows} rows (tile_h) and the same accumulator comes back "
        "within two micro-ops: tile_h must be at least 3"
    ),
    mechanism=(
        "The innermost unrolled loop runs over min(tile_h, 4) rows; `UopKernel::VerifyDep` "
        "compares with the two micro-ops before."
    ),
    quantities={"rows": tile_h},
)

_largest = maximum(reset_ops, gemm_ops)
UOP, EVICTION = micro_op_capacity(
    _largest,
    kernel_total,
    eviction_is_harmless(
        _largest,
        reset_loops,
        gemm_loops,
        (out_tile, inp_tile, wgt_tile),
        operands,
        tile_co,
        threads,
        ci0,
        rounds,
        unrolled_inside=(reset_unrolled, gemm_unrolled),
    ),
)

left = LEFT_TENSORS * out_tile + LEFT_CHANNELS * tile_co
_effect = table(
    "overflow",
    effect.overflow,
    tile_h, tile_w, tile_ci, tile_co, oc_nthread, h_nthread,
    KH, KW, OH, OW, dilated_h, dilated_w, SH, SW, pad_h, pad_w, operands, left,
    acc_bits, inp_bits, if_else(rounds > 1, 1, 0),
)  # fmt: skip
# nothing is written past the tile, or nothing is built
_settled = any_of(~overflows, acc_total > depth("acc"), threads * inp_tile > depth("inp"))
OVERFLOW = Rule(
    name="transpose_overflow",
    cause=causes.WRONG_RESULT,
    checks=(Check(Stage.RESULT, any_of(_settled, _effect != effect.WRONG)),),
    title="accumulators written past the tile do no harm",
    message=(
        "tile_h {h} is not a multiple of {split_h} or tile_w {w} is odd: rows or columns past "
        "the tile are accumulated into other elements or outside the scratchpad"
    ),
    mechanism=(
        "The nest splits rows by 4 and columns by 2; the guards of a split that does not divide "
        "are lost. Harmless where nothing lives (behind the last tile, in a bias slot) or where "
        "the input is zero in every tile; silently wrong elsewhere. Reads behind the loaded "
        "tiles depend on what earlier programs left and count as wrong."
    ),
    quantities={"h": tile_h, "w": tile_w, "split_h": inner_h},
)

ORDER = Rule(
    name=causes.RACE,
    checks=(Check(Stage.RACE, any_of(_settled, threads == 1, _effect != effect.RACE)),),
    title="the result does not depend on an order that no token fixes",
    message=(
        "the schedule rounds a tile of {h} x {w} up to {up_h} x {up_w}: a virtual thread works on "
        "rows or columns past its tile, which belong to another thread, and does not wait for "
        "that thread's loads and stores"
    ),
    mechanism=(
        "Where the split does not divide, a thread's GEMM reads past its input tile and adds to "
        "the accumulators of the next thread. In upstream's simulator, which runs the modules in "
        "turns, the next tile has landed and is zero there. On the hardware it need not have "
        "landed, and its place holds anything; and a reset may clear an accumulator of the next "
        "thread before that has been stored. Measured on the RTL: wrong numbers, some with a "
        "constant memory latency."
    ),
    quantities={"h": tile_h, "w": tile_w, "up_h": outer_h * inner_h, "up_w": outer_w * inner_w},
)

FIELDS = instruction_fields(
    choose(padded, padded_inp.fits_fields, plain_inp.fits_fields),
    Copy2D("wgt", tile_co, const(1), tile_ci * taps, const(1), CI * taps).fits_fields,
    Copy2D("out", tile_co, tile_h, tile_w, OH, OW).fits_fields,
    loop_fields_fit(reset_loops),
    loop_fields_fit(gemm_loops),
    out_tile < LOOP_LIMIT,
)

RULES = (
    LOWERING,
    CONV_ACC,
    INP,
    CONV_WGT,
    VTHREAD,
    PAD,
    INP_2D,
    CONV_OUT_2D,
    NO_CAST,
    CONV_ALU,
    SUBTRACTION,
    SIGNATURE,
    HAZARD,
    UOP,
    EVICTION,
    OVERFLOW,
    ORDER,
    IMMEDIATE,
    WIDTH,
    FIELDS,
    ISA_WIDTH,
)
