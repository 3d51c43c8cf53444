"""Rules of the convolution templates (plain and grouped), over their loop nest.

Source: ``vta_conv2d.py`` and ``vta_group_conv2d.py`` of TVM 0.17.
"""

from __future__ import annotations

from vtacsp import causes
from vtacsp.epilogue.footprint import NEVER
from vtacsp.epilogue.rules import IMMEDIATE, NO_CAST, SUBTRACTION, WIDTH, in_place, slots
from vtacsp.expr import Bool, all_of, choose, if_else, maximum, named
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.operators.conv2d.nest import (
    both_threads,
    ci0,
    co0,
    gemm_loops,
    gemm_ops,
    h0,
    inp_tile,
    kernel_total,
    kh_listed,
    kw_listed,
    one_span,
    out_copy,
    out_tile,
    padded,
    padded_inp,
    per_group,
    plain_inp,
    reset_loops,
    reset_ops,
    rounds,
    straddles,
    taps,
    threads,
    variants,
    wgt_copy,
    wgt_tile,
)
from vtacsp.rules.dma import (
    clip_bounds,
    input_pattern,
    instruction_fields,
    padded_axes,
    store_pattern,
)
from vtacsp.rules.eviction import eviction_is_harmless
from vtacsp.rules.kernels import KEY_LIMIT, LOOP_LIMIT, loop_fields_fit
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.scratchpads import capacity, micro_op_capacity
from vtacsp.rules.symbols import (
    CHANNELS,
    KH,
    KW,
    LEFT_CHANNELS,
    LEFT_TENSORS,
    NARROWS,
    PAIR_AT,
    PH,
    PW,
    SH,
    STAGES,
    TENSORS,
    G,
    H,
    h_nthread,
    oc_nthread,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)
from vtacsp.rules.variables import one_variable

__all__ = ["RULES"]

# a virtual thread that does not divide its loop leaves a guard in the copies that see it
h_divides = named("h_divides", (h_nthread == 1) | (h0 % 2 == 0))
co_divides = named("co_divides", (oc_nthread == 1) | (co0 % 2 == 0))
_last_row = named("last_row", ((h0 + h0 % 2) * tile_h - 1) * SH + KH)
_rows_guarded = ~h_divides & (_last_row > H + 2 * PH)

# operands of the epilogue: copies of their own, those on the left before the data's
LEFT_GUARD = Check(
    Stage.LEFT_GUARD,
    all_of(
        (LEFT_TENSORS + LEFT_CHANNELS == 0) | co_divides,
        (LEFT_TENSORS == 0) | h_divides,
    ),
)
OPERAND_GUARD = Check(Stage.OPERAND_GUARD, (TENSORS + NARROWS == 0) | h_divides)

VTHREAD = Rule(
    name=causes.VTHREAD_SPLIT,
    checks=(
        LEFT_GUARD,
        Check(
            Stage.INP_GUARD,
            all_of(~_rows_guarded, (G == 1) | (co_divides & one_span)),
        ),
        Check(Stage.WGT_GUARD, co_divides),
        OPERAND_GUARD,
        Check(Stage.STORE_GUARD, h_divides),
    ),
    title="virtual threads divide the loops they split",
    message=(
        "oc_nthread {oc} must divide {co0} output-channel tiles and h_nthread {hn} must divide "
        "{h0} row tiles; a tile of {co} channel blocks must reach equally many groups of "
        "{per_group} everywhere"
    ),
    mechanism=(
        "A thread count that does not divide co0 (or h0) leaves a guard around the body of a "
        "copy, and `MatchCopyPattern` wants a plain store. The same error appears when a "
        "grouped tile's number of input channels is no constant."
    ),
    quantities={
        "oc": oc_nthread,
        "co0": co0,
        "hn": h_nthread,
        "h0": h0,
        "co": tile_co,
        "per_group": per_group,
    },
)

CLIP = clip_bounds(padded, padded_inp)
PAD = padded_axes(padded, padded_inp)
INP_2D = input_pattern(padded, padded_inp, plain_inp)
OUT_2D = store_pattern(out_copy, LEFT_TENSORS > 0, TENSORS + NARROWS > 0)

WGT_2D = Rule(
    name=causes.DMA_2D_WGT,
    checks=(Check(Stage.WGT_2D, wgt_copy.is_2d),),
    title="the weight load is a 2-D pattern",
    message="the weight tile is {co} x {x} elements: more than two dimensions",
    mechanism="All axes but the output channels are contiguous, so this never fails upstream.",
    quantities={"co": tile_co, "x": tile_ci * taps},
)

operands = named("operands", slots(out_tile, tile_co, tile_h * tile_w))
# with both threads the epilogue does not work in place, and no buffer is used twice
_apart = (1 + STAGES + TENSORS) * out_tile + CHANNELS * tile_co + NARROWS * ((out_tile + 3) // 4)
acc_total = threads * if_else(both_threads, _apart, out_tile + operands)
ACC = capacity("acc", out_tile, acc_total)
INP = capacity("inp", inp_tile, threads * inp_tile, known=(G == 1) | one_span)
WGT = capacity("wgt", wgt_tile, threads * wgt_tile)

ALU = in_place(both_threads)

one_thread_variable: Bool = ~both_threads | (PAIR_AT < NEVER)
SIGNATURE = one_variable(
    "both virtual threads are in use (oc_nthread {oc}, h_nthread {hn}), or a grouped tile "
    "adds an outer loop of {co0} to the kernel: the runtime takes one variable below 100",
    {"oc": oc_nthread, "hn": h_nthread, "co0": co0},
    one_thread_variable,
    ~straddles | ((threads == 1) & (co0 <= KEY_LIMIT)),
)

HAZARD = Rule(
    name=causes.UOP_HAZARD,
    checks=(Check(Stage.UOP_HAZARD, ~(kw_listed | kh_listed) | (tile_co * tile_h > 2)),),
    title="no micro-op writes an accumulator that one of the two before it wrote",
    message=(
        "kernel taps are unrolled over {period} accumulators (tile_co x tile_h), and the same "
        "one comes back within two micro-ops: at least 3 are needed"
    ),
    mechanism=(
        "The two outermost loops of the GEMM nest that are longer than 1 become hardware loops, "
        "the rest is unrolled; `UopKernel::VerifyDep` compares with the two micro-ops before."
    ),
    quantities={"period": tile_co * tile_h},
)

_largest = maximum(reset_ops, gemm_ops)
UOP, EVICTION = micro_op_capacity(
    _largest,
    kernel_total,
    (variants == 1)
    & eviction_is_harmless(
        _largest,
        reset_loops,
        gemm_loops,
        (out_tile, inp_tile, wgt_tile),
        operands,
        tile_co,
        threads,
        ci0,
        rounds,
    ),
)

PADDING = Rule(
    name="dma_empty",
    cause=causes.WRONG_RESULT,
    checks=(Check(Stage.RESULT, padded.implies(padded_inp.right)),),
    title="no tile lies in the padding",
    message=(
        "padding {ph} x {pw} with a kernel of {kh} x {kw}: a tile loads no column (or a negative "
        "number of rows), or the pads land on another axis, and stale data is used"
    ),
    mechanism=(
        "A load of no columns is a no-operation, so the scratchpad keeps what was there. Only "
        "a padding at least as large as the kernel gets here."
    ),
    quantities={"ph": PH, "pw": PW, "kh": KH, "kw": KW},
)


FIELDS = instruction_fields(
    choose(padded, padded_inp.fits_fields, plain_inp.fits_fields),
    wgt_copy.fits_fields,
    out_copy.fits_fields,
    loop_fields_fit(reset_loops),
    loop_fields_fit(gemm_loops),
    out_tile < LOOP_LIMIT,
)

RULES = (
    ACC,
    INP,
    WGT,
    VTHREAD,
    CLIP,
    PAD,
    INP_2D,
    WGT_2D,
    OUT_2D,
    NO_CAST,
    ALU,
    SUBTRACTION,
    SIGNATURE,
    HAZARD,
    UOP,
    EVICTION,
    PADDING,
    IMMEDIATE,
    WIDTH,
    FIELDS,
    ISA_WIDTH,
)
