"""The measured epilogue: shift right by 8, add bias, min 127, max 0, all in place in ACC."""

from __future__ import annotations

from collections.abc import Sequence

from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy
from vtacsp.program.isa import AluOp, Memory, Stage
from vtacsp.program.kernel import Kernel, KernelLoop, alu_loops, record_alu
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
    tile, add = alu_loops(tile), alu_loops(add)

    def immediate(op: AluOp, value: int) -> None:
        def record(thread: int, _: int) -> Kernel:
            return record_alu(op, tile, (acc[thread], acc[thread]), a.hardware, value)

        a.kernel(op.name.lower(), record)

    def record_add(thread: int, _: int) -> Kernel:
        return record_alu(AluOp.ADD, add, (acc[thread], bias[thread]), a.hardware)

    immediate(AluOp.SHR, SHIFT)
    if load is not None:
        a.load("bias", Memory.ACC, load, bias)
        a.kernel("add", record_add)
    immediate(AluOp.MIN, CLIP_HIGH)
    immediate(AluOp.MAX, CLIP_LOW)
