"""The runtime: its instruction queue and its micro-op cache, replayed call by call.

Source: ``InsnQueue``, ``UopQueue`` and ``CommandQueue`` of TVM's ``vta/runtime/runtime.cc``.
The replay knows only what decides the shape of the stream (modules, tokens, kernels); sizes
and addresses are filled in afterwards, column by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vtacsp.program.isa import INSTRUCTION, Records

__all__ = [
    "EXECUTE",
    "FINISH",
    "MAX_TRANSFER",
    "MOVE",
    "NOOP",
    "UOP_LOAD",
    "Issued",
    "fill",
    "issue",
]

MOVE, UOP_LOAD, EXECUTE, NOOP, FINISH = range(5)
"""Kinds of issued instructions: DMA call, micro-op load, kernel, token carrier, end."""

PUSH, POP, DMA, EMPTY_DMA, KERNEL, SYNC = range(6)
"""Kinds of calls; an empty DMA (x size 0) counts as an instruction of no module."""

MAX_TRANSFER = 1 << 22
"""Bytes of the largest DMA transfer, which bounds the queue (``VTA_MAX_XFER``)."""

INSTRUCTION_BYTES = 16
RESERVE = 6  # what a synchronisation may add to the queue

_LOAD, _COMPUTE, _STORE = 1, 2, 3

IntArray = NDArray[np.int64]


class Issued(NamedTuple):
    """An instruction stream without sizes and addresses.

    ``kind`` as above; ``ref`` the call (MOVE), kernel (UOP_LOAD, EXECUTE) or module (NOOP);
    ``a``, ``b`` micro-op SRAM base and DRAM offset (UOP_LOAD) or micro-op range (EXECUTE);
    ``dep`` the four dependency flags in ISA order.  ``ends`` is the number of instructions
    after each synchronisation, ``image`` the kernels that are written to DRAM then, one
    after the other, ``image_ends`` the number of kernels up to each synchronisation.
    """

    kind: NDArray[np.uint8]
    ref: NDArray[np.int32]
    a: NDArray[np.int32]
    b: NDArray[np.int32]
    dep: NDArray[np.uint8]
    ends: IntArray
    image: IntArray
    image_ends: IntArray
    pending: bool


def issue(
    kind: NDArray[np.int8],
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    sizes: IntArray,
    uop_depth: int,
    pending: bool,
    max_transfer: int = MAX_TRANSFER,
) -> Issued:
    """Replay calls (``kind``, two operands each) on a queue.

    Operands: PUSH and POP take the modules, DMA and EMPTY_DMA the module, KERNEL its number,
    an index of ``sizes`` (micro-ops).  ``pending`` says that the program before left a token
    of the store module to be popped; the queue holds ``max_transfer`` bytes.  No kernel may be
    larger than the micro-op scratchpad.
    """
    return Issued(*_issue(kind, first, second, sizes, uop_depth, pending, max_transfer))


def fill(
    issued: Issued, parts: Sequence[Records], start: IntArray, move_of_call: NDArray[np.int32]
) -> Records:
    """Instruction records: rows of a table with their addresses and flags set.

    ``parts`` are the parts of the table.  The row of an instruction is ``start[kind]`` plus
    its ``ref``; for a MOVE plus the place of its call among the moves.
    """
    result = np.empty(len(issued.kind), dtype=INSTRUCTION)
    table = np.concatenate([_words(part) for part in parts])  # words: records copy slowly
    _fill(_words(result), table, issued[:5], start, move_of_call)
    return result


def _words(records: Records) -> NDArray[np.uint32]:
    return records.view(np.uint32).reshape(len(records), -1)


def _place(name: str) -> tuple[int, int]:
    """32-bit word of a field and the bits it is shifted by (little endian)."""
    offset = INSTRUCTION.fields[name][1]  # type: ignore[index]
    return offset // 4, offset % 4 * 8


_BGN, _END, _DRAM = (_place(name)[0] for name in ("uop_bgn", "uop_end", "dram_base"))
_SRAM, _SRAM_SHIFT = _place("sram_base")
_FLAGS = np.array(
    [_place(f"{name}_dep") for name in ("pop_prev", "pop_next", "push_prev", "push_next")]
)


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _fill(result, table, issued, start, move_of_call):  # type: ignore[no-untyped-def]
    kind, ref, a, b, dep = issued
    for i in range(len(kind)):
        what = kind[i]
        row = start[what] + (move_of_call[ref[i]] if what == MOVE else ref[i])
        if what == FINISH:
            row = start[what]
        for k in range(table.shape[1]):
            result[i, k] = table[row, k]
        if what == EXECUTE:
            result[i, _BGN], result[i, _END] = a[i], b[i]
        elif what == UOP_LOAD:
            result[i, _SRAM] |= np.uint32(a[i] << _SRAM_SHIFT)
            result[i, _DRAM] = b[i]
        for k in range(4):
            result[i, _FLAGS[k, 0]] |= np.uint32(dep[i, k] << _FLAGS[k, 1])


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _issue(kind, first, second, sizes, uop_depth, pending, max_transfer):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    calls = len(kind)
    capacity = max_transfer // INSTRUCTION_BYTES
    room = 2 * calls + 16 + (2 * calls // (capacity - 2 * RESERVE) + 1) * 8
    out_kind = np.zeros(room, np.uint8)
    out_ref = np.zeros(room, np.int32)
    out_a = np.zeros(room, np.int32)
    out_b = np.zeros(room, np.int32)
    dep = np.zeros((room, 4), np.uint8)
    stage = np.zeros(room, np.uint8)
    pop_prev = np.zeros(4, np.uint8)
    pop_next = np.zeros(4, np.uint8)
    if pending:
        pop_next[_COMPUTE] = 1

    kernels = len(sizes)
    begin = np.zeros(kernels, np.int64)
    end = np.zeros(kernels, np.int64)
    cache = np.zeros(kernels + 1, np.int64)
    cached = cursor = sram_begin = sram_end = 0
    max_syncs = 2 + calls // ((capacity - 2 * RESERVE) // 2)
    ends = np.zeros(max_syncs, np.int64)
    image = np.zeros(max_syncs * max(kernels, 1), np.int64)
    image_ends = np.zeros(max_syncs, np.int64)
    syncs = images = n = start = 0

    for call in range(calls):
        what = kind[call]
        sync = what == SYNC
        if what == PUSH:
            source, target = first[call], second[call]
            n = _commit(source, pop_prev, pop_next, n, out_kind, out_ref, dep, stage)
            n = _push(source, target, n, start, out_kind, out_ref, dep, stage)
        elif what == POP:
            source, target = first[call], second[call]
            waiting = pop_prev if source < target else pop_next
            if waiting[target]:
                n = _commit(target, pop_prev, pop_next, n, out_kind, out_ref, dep, stage)
            waiting[target] = 1
        elif what in (DMA, EMPTY_DMA):
            module = first[call]
            out_kind[n], out_ref[n] = MOVE, call
            stage[n] = 0 if what == EMPTY_DMA and module != _STORE else module
            n = _create(module, pop_prev, pop_next, n, dep)
        elif what == KERNEL:
            kernel = first[call]
            size = sizes[kernel]
            if end[kernel] == begin[kernel]:  # not cached
                uop_begin = 0
                if sram_end + size > uop_depth:  # evict from the start
                    cursor, sram_begin, sram_end = 0, 0, size
                else:
                    uop_begin = sram_end
                    sram_end += size
                evict = cursor
                while cursor < cached and begin[cache[cursor]] < sram_end:
                    begin[cache[cursor]] = 0
                    end[cache[cursor]] = 0
                    cursor += 1
                begin[kernel], end[kernel] = uop_begin, sram_end
                shift = evict + 1 - cursor
                if shift > 0:
                    for i in range(cached - 1, cursor - 1, -1):
                        cache[i + shift] = cache[i]
                elif shift < 0:
                    for i in range(cursor, cached):
                        cache[i + shift] = cache[i]
                cached += shift
                cache[evict] = kernel
                cursor = evict + 1
                offset = 0
                for i in range(cursor - 1):
                    offset += sizes[cache[i]]
                out_kind[n], out_ref[n] = UOP_LOAD, kernel
                out_a[n], out_b[n] = sram_begin, offset
                stage[n] = _COMPUTE
                n = _create(_COMPUTE, pop_prev, pop_next, n, dep)
                sram_begin = sram_end
            out_kind[n], out_ref[n] = EXECUTE, kernel
            out_a[n], out_b[n] = begin[kernel], end[kernel]
            stage[n] = _COMPUTE
            n = _create(_COMPUTE, pop_prev, pop_next, n, dep)
        if what in (DMA, EMPTY_DMA, KERNEL):
            sync = (n - start + RESERVE) * INSTRUCTION_BYTES > max_transfer
        if sync:
            # FINISH waits for the last store and the last load
            for source in (_STORE, _LOAD):
                n = _commit(source, pop_prev, pop_next, n, out_kind, out_ref, dep, stage)
                n = _push(source, _COMPUTE, n, start, out_kind, out_ref, dep, stage)
            for source in (_STORE, _LOAD):
                waiting = pop_prev if source < _COMPUTE else pop_next
                if waiting[_COMPUTE]:
                    n = _commit(_COMPUTE, pop_prev, pop_next, n, out_kind, out_ref, dep, stage)
                waiting[_COMPUTE] = 1
            n = _commit(_COMPUTE, pop_prev, pop_next, n, out_kind, out_ref, dep, stage)
            out_kind[n] = FINISH
            n += 1
            for i in range(cached):
                image[images] = cache[i]
                images += 1
                begin[cache[i]] = 0
                end[cache[i]] = 0
            ends[syncs], image_ends[syncs] = n, images
            syncs += 1
            start = n
            cached = cursor = sram_begin = sram_end = 0
    return (
        out_kind[:n],
        out_ref[:n],
        out_a[:n],
        out_b[:n],
        dep[:n],
        ends[:syncs],
        image[:images],
        image_ends[:syncs],
        pop_next[_COMPUTE] == 1,
    )


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _create(module, pop_prev, pop_next, n, dep):  # type: ignore[no-untyped-def]
    """Give the new instruction the tokens its module has to pop."""
    dep[n, 0], dep[n, 1] = pop_prev[module], pop_next[module]
    pop_prev[module] = pop_next[module] = 0
    return n + 1


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _commit(module, pop_prev, pop_next, n, out_kind, out_ref, dep, stage):  # type: ignore[no-untyped-def]
    """Pops that no instruction took along get a no-op of their own."""
    if pop_prev[module] or pop_next[module]:
        out_kind[n], out_ref[n] = NOOP, module
        stage[n] = _STORE if module == _STORE else 0
        return _create(module, pop_prev, pop_next, n, dep)
    return n


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _push(source, target, n, start, out_kind, out_ref, dep, stage):  # type: ignore[no-untyped-def]
    """Let the last instruction push when it is of that module, else a no-op."""
    flag = 3 if source < target else 2
    if n > start and stage[n - 1] == source and not dep[n - 1, flag]:
        dep[n - 1, flag] = 1
        return n
    out_kind[n], out_ref[n] = NOOP, source
    stage[n] = _STORE if source == _STORE else 0
    dep[n, flag] = 1
    return n + 1
