"""Rules of the dense template, over its loop nest; source: ``vta_dense.py`` of TVM 0.17."""

from __future__ import annotations

from vtacsp import causes
from vtacsp.epilogue.rules import IMMEDIATE, NO_CAST, SUBTRACTION, WIDTH, in_place, slots
from vtacsp.expr import const, named
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.operators.dense.nest import kernel_total, rows, threaded
from vtacsp.rules.dma import instruction_fields
from vtacsp.rules.eviction import batched_eviction_is_harmless
from vtacsp.rules.kernels import KEY_LIMIT, LOOP_LIMIT
from vtacsp.rules.patterns import Copy2D
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.scratchpads import capacity, micro_op_capacity
from vtacsp.rules.symbols import CI, CO, N, oc_nthread, tile_ci, tile_co
from vtacsp.rules.variables import one_variable

__all__ = ["RULES"]

TENSORIZE = Rule(
    name=causes.TENSORIZE,
    checks=(Check(Stage.TENSORIZE, (tile_co == 1) & (~threaded | (CO <= 2))),),
    title="the GEMM intrinsic matches the loop body",
    message=(
        "tile_co is {co}, only 1 tensorizes; with oc_nthread 2 the layer may have at most 2 "
        "output blocks and has {total}"
    ),
    mechanism=(
        "The reorder leaves the inner output loop inside the tensorized region. A virtual "
        "thread splits the loop that the stage is attached to, which moves all output blocks "
        "inside."
    ),
    quantities={"co": tile_co, "total": CO},
)

VTHREAD = Rule(
    name=causes.VTHREAD_SPLIT,
    checks=(Check(Stage.WGT_GUARD, ~threaded | (CO % 2 == 0)),),
    title="virtual threads divide the loops they split",
    message="oc_nthread 2 must divide {co} output blocks",
    mechanism="A guard stays around the body of the weight copy.",
    quantities={"co": CO},
)

operands = named("operands", slots(rows, rows, const(1)))
ACC = capacity("acc", rows, oc_nthread * (rows + operands))
INP = capacity("inp", tile_ci, oc_nthread * tile_ci)
WGT = capacity("wgt", tile_ci * tile_co, oc_nthread * tile_ci * tile_co)

SIGNATURE = one_variable(
    "the batch loop of {rows} rows is a variable of the kernel: it must be at most 99, and "
    "may not meet oc_nthread 2 with tile_ci {ci} above 1",
    {"rows": rows, "ci": tile_ci},
    (rows <= KEY_LIMIT) & ~(threaded & (rows > 1) & (tile_ci > 1)),
)

UOP, EVICTION = micro_op_capacity(
    const(1),
    kernel_total,
    batched_eviction_is_harmless(
        rows, tile_ci, oc_nthread, N * CO // (rows * oc_nthread), operands
    ),
)

FIELDS = instruction_fields(
    Copy2D("wgt", tile_co, const(1), tile_ci, const(1), CI).fits_fields,
    (tile_ci < LOOP_LIMIT) & (rows < LOOP_LIMIT),
)

RULES = (
    TENSORIZE,
    ACC,
    INP,
    WGT,
    VTHREAD,
    NO_CAST,
    in_place(),
    SUBTRACTION,
    SIGNATURE,
    UOP,
    EVICTION,
    IMMEDIATE,
    WIDTH,
    FIELDS,
    ISA_WIDTH,
)
