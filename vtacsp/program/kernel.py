"""Micro-op kernels: what the runtime records when a GEMM or ALU call site is first reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program.isa import AluOp, Opcode, log_depths, pack

__all__ = ["Kernel", "KernelLoop", "alu_loops", "record_alu", "record_gemm"]

HARDWARE_LOOPS = 2


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
    """A recorded kernel: its packed instruction, and micro-ops in rows of three indices."""

    instruction: bytes
    micro_ops: NDArray[np.uint32]


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
    if reset:
        loops = [KernelLoop(loop.extent, loop.dst, unrolled=loop.unrolled) for loop in loops]
        base = (base[0], 0, 0)
    outer = 0
    for loop in loops[:HARDWARE_LOOPS]:
        if loop.unrolled or loop.steps:
            break
        outer += 1
    unrolled = [(*loop[:4], len(loop.steps)) for loop in loops[outer:]]
    steps = [step for loop in loops[outer:] for step in loop.steps]
    micro_ops, at, distance, dst = _unroll(
        np.array(unrolled, dtype=np.int64).reshape(-1, 5),
        np.array(steps, dtype=np.int64),
        base,
        _masks(hardware),
    )
    if distance:
        raise ProgramError(
            "uop_hazard",
            f"micro-op {at} writes accumulator {dst}, as does the micro-op {distance} before it",
        )
    fields = _loop_fields(loops[:outer], ("out", "in"), ("dst", "src", "wgt"))
    return Kernel(pack(Opcode.GEMM, {**fields, "reset_reg": reset}, hardware), micro_ops)


def alu_loops(loops: Sequence[KernelLoop]) -> list[KernelLoop]:
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
    return merged


def record_alu(
    alu: AluOp,
    loops: Sequence[KernelLoop],
    base: tuple[int, int],
    hardware: VTAConfig,
    immediate: int | None = None,
) -> Kernel:
    """Record an ALU kernel of one micro-op, ``base`` being its destination and source.

    ``loops`` are those of :func:`alu_loops`.
    """
    if len(loops) > HARDWARE_LOOPS:
        raise ProgramError("alu_pattern", f"{len(loops)} loops around an ALU micro-op")
    # a GEMM with one loop runs it outside, an ALU operation inside
    fields = _loop_fields(loops, ("out", "in")[-len(loops) :], ("dst", "src"))
    fields |= {"alu_opcode": alu, "use_imm": immediate is not None, "imm": immediate or 0}
    acc, source, _ = _masks(hardware)
    micro_ops = np.array([[base[0] & acc, base[1] & source, 0]], dtype=np.uint32)
    return Kernel(pack(Opcode.ALU, fields, hardware), micro_ops)


def _loop_fields(
    loops: Sequence[KernelLoop], places: Sequence[str], factors: Sequence[str]
) -> dict[str, int]:
    fields = {"iter_out": 1, "iter_in": 1}
    for place, loop in zip(places, loops, strict=False):
        fields[f"iter_{place}"] = loop.extent
        for name in factors:
            fields[f"{name}_factor_{place}"] = getattr(loop, name)
    return fields


def _masks(hardware: VTAConfig) -> tuple[int, int, int]:
    """Bits that a micro-op has for its three indices; a larger index wraps."""
    log = log_depths(hardware)
    return (1 << log["acc"]) - 1, (1 << max(log["acc"], log["inp"])) - 1, (1 << log["wgt"]) - 1


@njit(cache=True)  # type: ignore[misc, unused-ignore]
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
