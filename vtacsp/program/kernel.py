"""Micro-op kernels: what the runtime records when a GEMM or ALU call site is first reached.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.causes import ALU_PATTERN, UOP_HAZARD
from vtacsp.errors import ProgramError
from vtacsp.jit import jit
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import AluOp, Opcode, log_depths

__all__ = [
    "KERNEL",
    "Kernel",
    "KernelLoop",
    "alu_loops",
    "alu_micro_ops",
    "record_alu",
    "record_gemm",
]

KERNEL = (
    *("opcode", "reset_reg"),
    *("iter_out", "dst_factor_out", "src_factor_out", "wgt_factor_out"),
    *("iter_in", "dst_factor_in", "src_factor_in", "wgt_factor_in"),
    *("alu_opcode", "use_imm", "imm", "uop_bgn", "uop_end"),
)
"""Columns of a table of GEMM and ALU instructions."""

HARDWARE_LOOPS = 2
_ONCE = (1, 0, 0, 0)  # no loop
_NO_LOOPS = np.zeros((0, 5), dtype=np.int64)


class KernelLoop(NamedTuple):
    """A loop around a micro-op: extent and what one iteration adds to each index.

    When the source index is no linear function of it, ``steps`` gives what each iteration
    adds; ``unrolled`` loops are no loops to the compiler.
    """

    extent: int
    dst: int = 0
    src: int = 0
    wgt: int = 0
    unrolled: bool = False
    steps: tuple[int, ...] = ()


class Kernel(NamedTuple):
    """A recorded kernel: its fields, in the order of ``KERNEL``, and micro-ops of three indices."""

    fields: tuple[int, ...]
    micro_ops: NDArray[np.uint32]


def record_gemm(
    loops: Sequence[KernelLoop],
    bases: Iterable[tuple[int, int, int]],
    hardware: VTAConfig,
    *,
    reset: bool = False,
) -> list[Kernel]:
    """Record the GEMM (or reset) kernels of threads: first ACC, INP and WGT index of each.

    The two outermost loops of extent above 1 become hardware loops as long as the indices
    are linear in them (``FoldUopLoop``); the others are unrolled into micro-ops.
    """
    loops = [loop for loop in loops if loop.extent != 1]
    outer = 0
    for loop in loops[:HARDWARE_LOOPS]:
        if loop.unrolled or loop.steps:
            break
        outer += 1
    indices = [loop[:4] for loop in loops]
    if reset:
        indices = [(loop.extent, loop.dst, 0, 0) for loop in loops]
        bases = [(base[0], 0, 0) for base in bases]
    out, inside = [*indices[:outer], _ONCE, _ONCE][:HARDWARE_LOOPS]
    fields = (int(Opcode.GEMM), int(reset), *out, *inside, 0, 0, 0, 0, 0)
    unrolled = [
        (*index, len(loop.steps))
        for index, loop in zip(indices[outer:], loops[outer:], strict=True)
    ]
    rows = np.array(unrolled) if unrolled else _NO_LOOPS
    steps = np.array([step for loop in loops[outer:] for step in loop.steps], dtype=np.int64)
    masks = _masks(hardware)
    kernels = []
    for base in bases:
        micro_ops, at, distance, dst = _unroll(rows, steps, base, masks)
        if distance:
            raise ProgramError(
                UOP_HAZARD,
                f"micro-op {at} writes accumulator {dst}, as does the micro-op {distance} before "
                "it",
            )
        kernels.append(Kernel(fields, micro_ops))
    return kernels


def alu_loops(loops: Sequence[KernelLoop]) -> list[KernelLoop]:
    """Loops of an element-wise operation with contiguous neighbours merged."""
    merged: list[KernelLoop] = []
    for loop in reversed(loops):
        if loop.extent == 1:
            continue
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
    return merged


def alu_micro_ops(
    bases: Iterable[tuple[int, int]], hardware: VTAConfig
) -> list[NDArray[np.uint32]]:
    """The one micro-op of the ALU kernels of threads: first destination and source of each."""
    acc, source, _ = _masks(hardware)
    return [np.array([[dst & acc, src & source, 0]], dtype=np.uint32) for dst, src in bases]


def record_alu(
    alu: AluOp,
    loops: Sequence[KernelLoop],
    micro_ops: Iterable[NDArray[np.uint32]],
    immediate: int | None = None,
) -> list[Kernel]:
    """Record an ALU kernel for each of these :func:`alu_micro_ops`.

    ``loops`` are those of :func:`alu_loops`.
    """
    if len(loops) > HARDWARE_LOOPS:
        raise ProgramError(ALU_PATTERN, f"{len(loops)} loops around an ALU micro-op")
    # a GEMM with one loop runs it outside, an ALU operation inside
    out, inside = [_ONCE, _ONCE, *(loop[:4] for loop in loops)][-HARDWARE_LOOPS:]
    operand = (0, 0) if immediate is None else (1, immediate)
    fields = (int(Opcode.ALU), 0, *out, *inside, int(alu), *operand, 0, 0)
    return [Kernel(fields, part) for part in micro_ops]


@lru_cache(maxsize=64)
def _masks(hardware: VTAConfig) -> tuple[int, int, int]:
    """Bits that a micro-op has for its three indices; a larger index wraps."""
    log = log_depths(hardware)
    return (1 << log["acc"]) - 1, (1 << max(log["acc"], log["inp"])) - 1, (1 << log["wgt"]) - 1


@jit
def _unroll(loops, steps, base, masks):  # type: ignore[no-untyped-def]
    """Micro-ops of loops, outer first, and the first one that VTA cannot run.

    A loop is its extent, what it adds to each index, and its number of ``steps``.

    A micro-op may not write the accumulator of one of the two before it (``VerifyDep``).
    """
    count = 1
    for i in range(len(loops)):
        count *= loops[i, 0]
    index = np.empty((count, 3), np.int64)
    for k in range(3):
        index[0, k] = base[k]
    count, step = 1, len(steps)
    for i in range(len(loops) - 1, -1, -1):
        step -= loops[i, 4]
        for point in range(loops[i, 0] - 1, -1, -1):
            src = steps[step + point] if loops[i, 4] else point * loops[i, 2]
            for k in range(count):
                row = point * count + k
                index[row, 0] = index[k, 0] + point * loops[i, 1]
                index[row, 1] = index[k, 1] + src
                index[row, 2] = index[k, 2] + point * loops[i, 3]
        count *= loops[i, 0]
    micro_ops = np.empty((count, 3), np.uint32)
    for row in range(count):
        for k in range(3):
            micro_ops[row, k] = index[row, k] & masks[k]
    for distance in (1, 2):
        for row in range(distance, count):
            if index[row, 0] == np.int64(micro_ops[row - distance, 0]):
                return micro_ops, row, distance, index[row, 0]
    return micro_ops, 0, 0, 0
