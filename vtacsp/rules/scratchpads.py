"""Scratchpad capacity: the buffers of a tile, alone and replicated by virtual threads."""

from __future__ import annotations

from vtacsp.causes import SRAM_UOP, WRONG_RESULT, too_large
from vtacsp.expr import Bool, Int
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import depth

__all__ = ["capacity", "micro_op_capacity"]

_NAMES = {"inp": "input scratchpad", "wgt": "weight scratchpad", "acc": "accumulator"}
_STAGES = {
    "inp": (Stage.ALLOC_INP, Stage.TOTAL_INP),
    "wgt": (Stage.ALLOC_WGT, Stage.TOTAL_WGT),
    "acc": (Stage.ALLOC_ACC, Stage.TOTAL_ACC),
}


def capacity(buffer: str, tile: Int, total: Int, known: Bool | None = None) -> Rule:
    """The buffers of a scratchpad fit it.

    ``tile`` is the one buffer that is allocated first and checked alone, ``total`` everything
    with replication; ``known`` tells where the size of the tile is a constant at that time.
    """
    alone, together = _STAGES[buffer]
    fits_alone = tile <= depth(buffer)
    return Rule(
        name=too_large(buffer),
        checks=(
            Check(alone, fits_alone if known is None else known.implies(fits_alone)),
            Check(together, total <= depth(buffer)),
        ),
        title=f"the {_NAMES[buffer]} holds a tile per virtual thread",
        message=(f"{_NAMES[buffer]} needs {{need:,}} elements, scratchpad holds {{depth:,}}"),
        mechanism=(
            "Every buffer of the loop body is replicated once per virtual thread, also those "
            "that do not depend on the thread. `StorageFlatten` checks each buffer alone, "
            "before any copy is matched; `StorageRewrite` checks the sum."
        ),
        quantities={"need": total, "depth": depth(buffer)},
        grows=f"LOG_{buffer.upper()}_BUFF_SIZE",
    )


def micro_op_capacity(largest: Int, total: Int, harmless: Bool) -> tuple[Rule, Rule]:
    """A kernel fits the micro-op scratchpad, and so do all kernels of the program together."""
    alone = Rule(
        name=SRAM_UOP,
        checks=(Check(Stage.UOP_SIZE, largest <= depth("uop")),),
        title="a micro-op kernel fits its scratchpad",
        message="a kernel has {need:,} micro-ops, scratchpad holds {depth:,}",
        mechanism="`UopQueue::Push` of the runtime refuses a kernel larger than the scratchpad.",
        quantities={"need": largest, "depth": depth("uop")},
        grows="LOG_UOP_BUFF_SIZE",
    )
    together = Rule(
        name="uop_eviction",
        cause=WRONG_RESULT,
        checks=(Check(Stage.RESULT, (total <= depth("uop")) | harmless),),
        title="no micro-op kernel is evicted",
        message="all kernels have {need:,} micro-ops, scratchpad holds {depth:,}: some are evicted",
        mechanism=(
            "When the scratchpad overflows, the runtime evicts kernels and forgets them; the "
            "DRAM image is written once, at the end, from the kernels that are still cached "
            "(`UopQueue::ReadBarrier`). The loads of evicted kernels fetch other micro-ops and "
            "the program silently computes wrong numbers. Found by measuring on the real stack."
        ),
        quantities={"need": total, "depth": depth("uop")},
        grows="LOG_UOP_BUFF_SIZE",
    )
    return alone, together
