"""Micro-op kernels: what the runtime records when a GEMM or ALU call site is first reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program.isa import MICRO_OP, AluOp, Opcode, log_depths

__all__ = ["Kernel", "KernelLoop", "alu_loops", "record_alu", "record_gemm"]

HARDWARE_LOOPS = 2


@dataclass(frozen=True)
class KernelLoop:
    """A loop around a micro-op: extent and what one iteration adds to each index.

    ``linear`` is False when the indices are no linear function of it (``steps`` then gives
    the source index of each iteration); ``unrolled`` loops are no loops to the compiler.
    """

    extent: int
    dst: int = 0
    src: int = 0
    wgt: int = 0
    unrolled: bool = False
    steps: tuple[int, ...] | None = None

    @property
    def linear(self) -> bool:
        """Whether the indices are a linear function of the loop."""
        return self.steps is None


@dataclass(frozen=True)
class Kernel:
    """A recorded kernel: at most two hardware loops around a list of micro-ops."""

    opcode: Opcode
    loops: tuple[KernelLoop, ...]
    micro_ops: NDArray[np.void]
    reset: bool = False
    alu: AluOp = AluOp.MIN
    immediate: int | None = None

    def __len__(self) -> int:
        return len(self.micro_ops)


def record_gemm(
    loops: Sequence[KernelLoop],
    base: tuple[int, int, int],
    hardware: VTAConfig,
    *,
    reset: bool = False,
) -> Kernel:
    """Record a GEMM (or reset) kernel, ``base`` being its first ACC, INP and WGT index.

    The two outermost loops of extent above 1 become hardware loops as long as the indices
    are linear in them (``FoldUopLoop``); the others are unrolled into micro-ops.
    """
    loops = [loop for loop in loops if loop.extent != 1]
    outer: list[KernelLoop] = []
    while loops and len(outer) < HARDWARE_LOOPS and loops[0].linear and not loops[0].unrolled:
        outer.append(loops.pop(0))
    if reset:
        outer = [KernelLoop(loop.extent, loop.dst) for loop in outer]
    dst, src, wgt = (np.full(1, start, dtype=np.int64) for start in base)
    for loop in loops:
        point = np.arange(loop.extent, dtype=np.int64)
        step = point * loop.src if loop.steps is None else np.asarray(loop.steps, np.int64)
        dst = (dst[:, None] + point * loop.dst).reshape(-1)
        src = (src[:, None] + step).reshape(-1)
        wgt = (wgt[:, None] + point * loop.wgt).reshape(-1)
    if reset:
        src, wgt = np.zeros_like(src), np.zeros_like(wgt)
    kernel = Kernel(Opcode.GEMM, tuple(outer), _store(dst, src, wgt, hardware), reset)
    _refuse_hazard(dst, kernel.micro_ops["dst_idx"].astype(np.int64))
    return kernel


def alu_loops(loops: Sequence[KernelLoop]) -> tuple[KernelLoop, ...]:
    """Loops of an element-wise operation with contiguous neighbours merged."""
    merged: list[KernelLoop] = []
    for loop in reversed([loop for loop in loops if loop.extent != 1]):
        inner = merged[-1] if merged else None
        if (
            inner is not None
            and loop.dst == inner.dst * inner.extent
            and loop.src == inner.src * inner.extent
        ):
            merged[-1] = KernelLoop(inner.extent * loop.extent, inner.dst, inner.src)
        else:
            merged.append(loop)
    merged.reverse()
    return tuple(merged)


def record_alu(
    alu: AluOp,
    loops: Sequence[KernelLoop],
    base: tuple[int, int],
    hardware: VTAConfig,
    immediate: int | None = None,
) -> Kernel:
    """Record an ALU kernel of one micro-op, ``base`` being its destination and source."""
    folded = alu_loops(loops)
    if len(folded) > HARDWARE_LOOPS:
        raise ProgramError("alu_pattern", f"{len(folded)} loops around an ALU micro-op")
    dst, src = (np.full(1, start, dtype=np.int64) for start in base)
    micro_ops = _store(dst, src, np.zeros(1, dtype=np.int64), hardware)
    return Kernel(Opcode.ALU, folded, micro_ops, alu=alu, immediate=immediate)


def _store(
    dst: NDArray[np.int64], src: NDArray[np.int64], wgt: NDArray[np.int64], hardware: VTAConfig
) -> NDArray[np.void]:
    """Micro-op records; an index too large for its bit-field wraps."""
    log = log_depths(hardware)
    micro_ops = np.zeros(len(dst), dtype=MICRO_OP)
    micro_ops["dst_idx"] = dst & ((1 << log["acc"]) - 1)
    micro_ops["src_idx"] = src & ((1 << max(log["acc"], log["inp"])) - 1)
    micro_ops["wgt_idx"] = wgt & ((1 << log["wgt"]) - 1)
    return micro_ops


def _refuse_hazard(dst: NDArray[np.int64], stored: NDArray[np.int64]) -> None:
    """A micro-op may not write the accumulator of one of the two before it (``VerifyDep``)."""
    for distance in (1, 2):
        clash = np.flatnonzero(dst[distance:] == stored[:-distance])
        if len(clash):
            at = int(clash[0]) + distance
            raise ProgramError(
                "uop_hazard",
                f"micro-op {at} writes accumulator {int(dst[at])}, as does the micro-op "
                f"{distance} before it",
            )
