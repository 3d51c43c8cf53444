"""The measured epilogue: shift right by 8, add bias, min 127, max 0, all in place in ACC."""

from __future__ import annotations

from collections.abc import Sequence

from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy
from vtacsp.program.isa import AluOp, Memory, Stage
from vtacsp.program.kernel import KernelLoop, alu_loops, alu_micro_ops, record_alu
from vtacsp.program.nest import Call, Scope

__all__ = ["CLIP_HIGH", "CLIP_LOW", "SHIFT", "epilogue", "epilogue_scope"]

SHIFT, CLIP_HIGH, CLIP_LOW = 8, 127, 0
"""Of VTA's own tuning scripts (``vta/scripts/tune_conv2d.py``)."""


def epilogue_scope(bias: bool) -> Scope:
    """The epilogue's place in a nest."""
    names = ("shr", *(("bias", "add") if bias else ()), "min", "max")
    return Scope(Stage.COMPUTE, [Call(name) for name in names])


def epilogue(
    a: Assembly,
    tile: Sequence[KernelLoop],
    add: Sequence[KernelLoop],
    acc: Sequence[int],
    bias: Sequence[int],
    load: Copy | None,
) -> None:
    """The calls of :func:`epilogue_scope` over one tile.

    ``tile`` and ``add`` are the loops over the accumulators without and with the bias,
    ``acc`` and ``bias`` the first element of either per thread, ``load`` the load of the
    bias tile, None for a workload without one.
    """
    loops, hardware = alu_loops(tile), a.hardware
    in_place = alu_micro_ops(zip(acc, acc, strict=True), hardware)
    a.kernel("shr", record_alu(AluOp.SHR, loops, in_place, SHIFT))
    if load is not None:
        a.load("bias", Memory.ACC, load, bias)
        both = alu_micro_ops(zip(acc, bias, strict=True), hardware)
        a.kernel("add", record_alu(AluOp.ADD, alu_loops(add), both))
    a.kernel("min", record_alu(AluOp.MIN, loops, in_place, CLIP_HIGH))
    a.kernel("max", record_alu(AluOp.MAX, loops, in_place, CLIP_LOW))
