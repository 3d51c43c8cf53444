"""Rules of the matrix product, over its loop nest."""

from __future__ import annotations

from tests.support.toy.nest import (
    ONE,
    gemm_loops,
    gemm_ops,
    inp_tile,
    kernel_total,
    out_tile,
    reductions,
    reset_loops,
    tiles,
    wgt_tile,
)
from vtacsp.epilogue.rules import IMMEDIATE, NO_CAST, SUBTRACTION, WIDTH, in_place, slots
from vtacsp.expr import named
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.rules.dma import instruction_fields
from vtacsp.rules.eviction import eviction_is_harmless
from vtacsp.rules.kernels import loop_fields_fit
from vtacsp.rules.scratchpads import capacity, micro_op_capacity

__all__ = ["RULES"]

operands = named("operands", slots(out_tile, out_tile, ONE))
UOP, EVICTION = micro_op_capacity(
    gemm_ops,
    kernel_total,
    eviction_is_harmless(
        gemm_ops,
        reset_loops,
        gemm_loops,
        (out_tile, inp_tile, wgt_tile),
        operands,
        out_tile,
        ONE,
        reductions,
        tiles,
    ),
)

RULES = (
    capacity("acc", out_tile, out_tile + operands),
    capacity("inp", inp_tile, inp_tile),
    capacity("wgt", wgt_tile, wgt_tile),
    NO_CAST,
    in_place(),
    SUBTRACTION,
    UOP,
    EVICTION,
    IMMEDIATE,
    WIDTH,
    instruction_fields(loop_fields_fit(reset_loops), loop_fields_fit(gemm_loops)),
    ISA_WIDTH,
)
