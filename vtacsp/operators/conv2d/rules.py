"""Rules of the convolution templates (plain and grouped), from their loop nest.

Outer to inner: [virtual threads] batch, h0, co0, w0; per output tile: reset, for ci0 { load
data, load weights, GEMM over ci1, w1, kw, kh, co1, h1 }, epilogue, store.
Source: ``vta_conv2d.py`` and ``vta_group_conv2d.py`` of TVM 0.17.
"""

from __future__ import annotations

from vtacsp.epilogue.footprint import NEVER
from vtacsp.epilogue.rules import IMMEDIATE, NO_CAST, SUBTRACTION, WIDTH, in_place, slots
from vtacsp.expr import Bool, all_of, any_of, choose, const, if_else, maximum, minimum, named
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.rules.dma import (
    clip_bounds,
    input_pattern,
    instruction_fields,
    padded_axes,
    store_pattern,
)
from vtacsp.rules.eviction import eviction_is_harmless, program_micro_ops
from vtacsp.rules.kernels import KEY_LIMIT, LOOP_LIMIT, Loop, loop_fields_fit, micro_ops, unrolled
from vtacsp.rules.patterns import Copy2D, PaddedCopy, SpatialAxis
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.scratchpads import capacity, micro_op_capacity
from vtacsp.rules.symbols import (
    BATCH,
    CHANNELS,
    CI,
    CO,
    KH,
    KW,
    LEFT_CHANNELS,
    LEFT_TENSORS,
    NARROWS,
    OH,
    OW,
    PAIR_AT,
    PH,
    PW,
    SH,
    STAGES,
    SW,
    TENSORS,
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
from vtacsp.rules.variables import one_variable

__all__ = ["RULES"]

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
    name="vthread_split",
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

_padded_inp = PaddedCopy(
    channels=channels,
    y=SpatialAxis("rows", extent=rows, step=tile_h * SH, count=h0, size=H, pad=PH),
    x=SpatialAxis("cols", extent=cols, step=tile_w * SW, count=w0, size=W, pad=PW),
    batch=BATCH,
)
_plain_inp = Copy2D("inp", channels, rows, cols, H, W)
_wgt = Copy2D("wgt", tile_co, const(1), tile_ci * taps, const(1), CI * taps)
_out = Copy2D("out", tile_co, tile_h, tile_w, OH, OW)

CLIP = clip_bounds(padded, _padded_inp)
PAD = padded_axes(padded, _padded_inp)
INP_2D = input_pattern(padded, _padded_inp, _plain_inp)
OUT_2D = store_pattern(_out, LEFT_TENSORS > 0, TENSORS + NARROWS > 0)

WGT_2D = Rule(
    name="dma_2d:wgt",
    checks=(Check(Stage.WGT_2D, _wgt.is_2d),),
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

# with one output block per group the input index moves by whole groups: linear again
_linear = (groups_reached == 1) | (per_group == 1)
_group_step = if_else(per_group == 1, CI * rows * cols, 0)
_none = const(0)
_plane = tile_h * tile_w
_reset_loops = [
    Loop(tile_w, (const(1), _none, _none)),
    Loop(tile_co, (_plane, _none, _none)),
    Loop(tile_h, (tile_w, _none, _none)),
]
_gemm_loops = [
    Loop(tile_ci, (_none, rows * cols, taps)),
    Loop(tile_w, (const(1), SW, _none)),
    Loop(KW, (_none, const(1), const(1))),
    Loop(KH, (_none, cols, KW)),
    Loop(tile_co, (_plane, _group_step, tile_ci * taps), _linear & ~straddles),
    Loop(tile_h, (tile_w, SH * cols, _none)),
]
_, _, _kw_listed, _kh_listed, _, _ = unrolled(_gemm_loops)
_reset_ops = named("reset_uops", micro_ops(_reset_loops))
_gemm_ops = named("gemm_uops", micro_ops(_gemm_loops))

HAZARD = Rule(
    name="uop_hazard",
    checks=(Check(Stage.UOP_HAZARD, ~(_kw_listed | _kh_listed) | (tile_co * tile_h > 2)),),
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

_variants = if_else(straddles, co0, 1)
_kernel_total = named("program_uops", program_micro_ops(_reset_ops, _gemm_ops, threads, _variants))
_tiles = N * h0 * w0 * co0 // threads
_largest = maximum(_reset_ops, _gemm_ops)
UOP, EVICTION = micro_op_capacity(
    _largest,
    _kernel_total,
    (_variants == 1)
    & eviction_is_harmless(
        _largest,
        _reset_loops,
        _gemm_loops,
        (out_tile, inp_tile, wgt_tile),
        operands,
        tile_co,
        threads,
        ci0,
        _tiles,
    ),
)

PADDING = Rule(
    name="dma_empty",
    cause="wrong_result",
    checks=(Check(Stage.RESULT, padded.implies(_padded_inp.right)),),
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
    choose(padded, _padded_inp.fits_fields, _plain_inp.fits_fields),
    _wgt.fits_fields,
    _out.fits_fields,
    loop_fields_fit(_reset_loops),
    loop_fields_fit(_gemm_loops),
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
