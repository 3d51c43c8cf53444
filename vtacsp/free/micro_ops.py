"""Micro-op kernels of a free schedule: those that are alike are kept once.

Independent of rules on purpose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.jit import jit

__all__ = [
    "FULL",
    "empty",
    "find_kernel",
    "forget",
    "micro_op_columns",
    "pack_micro_op",
    "rewrites",
]

FULL = -1
"""Instead of a kernel, when the micro-op scratchpad is full."""

SLOTS = 1 << 13
"""Size of the table of kernels; there are at most half as many."""

_BITS = 20  # of an index in a packed micro-op
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio

# entries of the counts of a pool
KERNELS, USED = range(2)


@jit
def pack_micro_op(dst, src, wgt):  # type: ignore[no-untyped-def]
    """A micro-op as one number."""
    return dst | src << _BITS | wgt << 2 * _BITS


def micro_op_columns(packed: IntArray) -> NDArray[np.uint32]:
    """Packed micro-ops as three columns, shape (n, 3)."""
    mask = (1 << _BITS) - 1
    columns = [packed & mask, packed >> _BITS & mask, packed >> 2 * _BITS]
    return np.stack(columns, axis=1).astype(np.uint32)


@jit
def empty(pool):  # type: ignore[no-untyped-def]
    """No kernels yet, in a pool for their micro-ops: a tuple that the functions here take.

    ``scratch``, where the micro-ops of a kernel are written first; ``pool``, those of all kernels;
    ``begins``: kernel ``k`` begins there; ``places`` and ``slots``: its number, counted from 1, is
    ``slots[places[k]]``; ``counts``: kernels, micro-ops.
    """
    begins, places = np.zeros(SLOTS // 2 + 1, np.int64), np.zeros(SLOTS // 2 + 1, np.int64)
    slots, counts = np.zeros(SLOTS, np.int32), np.zeros(2, np.int64)
    return np.empty(len(pool), np.int64), pool, begins, places, slots, counts


@jit
def find_kernel(uops, size):  # type: ignore[no-untyped-def]
    """The number of the kernel that the scratch begins with, a new one when there is none."""
    scratch, pool, begins, places, slots, counts = uops
    value = np.uint64(size)
    for i in range(size):
        value = (value ^ np.uint64(scratch[i])) * _SPREAD
        value ^= value >> np.uint64(29)
    place = np.int64(value & np.uint64(SLOTS - 1))
    while slots[place]:
        kernel = slots[place] - 1
        begin = begins[kernel]
        if begins[kernel + 1] - begin == size:
            same = True
            for i in range(size):
                if pool[begin + i] != scratch[i]:
                    same = False
                    break
            if same:
                return kernel
        place = (place + 1) & (SLOTS - 1)
    kernel, used = counts[KERNELS], counts[USED]
    if used + size > len(pool) or kernel >= SLOTS // 2:
        return FULL
    pool[used : used + size] = scratch[:size]
    slots[place], places[kernel] = kernel + 1, place
    begins[kernel], begins[kernel + 1] = used, used + size
    counts[KERNELS], counts[USED] = kernel + 1, used + size
    return kernel


@jit
def forget(uops, kernels):  # type: ignore[no-untyped-def]
    """Forget all kernels but the first so many; the last ones go first, so no chain breaks."""
    _, _, begins, places, slots, counts = uops
    for kernel in range(counts[KERNELS] - 1, kernels - 1, -1):
        slots[places[kernel]] = 0
    counts[KERNELS], counts[USED] = kernels, begins[kernels]


@jit
def rewrites(scratch, size, loops):  # type: ignore[no-untyped-def]
    """Whether a micro-op writes the accumulator of one of the two executed before it.

    That of the list itself, and where an iteration of the two ``loops`` follows another.
    """
    mask = (1 << _BITS) - 1
    one = two = np.int64(-1)
    for i in range(size):
        dst = scratch[i] & mask
        if dst in (one, two):
            return True
        one, two = two, dst
    first, second = scratch[0] & mask, scratch[min(1, size - 1)] & mask
    before, last = scratch[max(size - 2, 0)] & mask, scratch[size - 1] & mask
    inner = loops[1, 1]
    outer = loops[0, 1] - (loops[1, 0] - 1) * inner  # from the last iteration to the next first
    for k in range(2):
        step, times = (inner, loops[1, 0]) if k == 0 else (outer, loops[0, 0])
        if times > 1:
            if last == first + step:
                return True
            if size > 1 and (last == second + step or before == first + step):
                return True
    return size == 1 and min(loops[0, 0], loops[1, 0]) > 1 and inner + outer == 0
