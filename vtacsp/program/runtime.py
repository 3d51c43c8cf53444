"""The runtime: its instruction queue and its micro-op cache, run over a schedule.

Source: ``InsnQueue``, ``UopQueue`` and ``CommandQueue`` of TVM's ``vta/runtime/runtime.cc``.
The steps are walked as the accelerated function would walk them, and every instruction is
written as it is issued: a record copied from a table, with its address and flags set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vtacsp.program.isa import INSTRUCTION, Memory, Opcode, Records, Stage
from vtacsp.program.nest import VARIABLES
from vtacsp.program.schedule import CALL, END, POP, PUSH, SYNC, Schedule

__all__ = ["MAX_TRANSFER", "WORDS", "Calls", "Issued", "Queue", "issue"]

MAX_TRANSFER = 1 << 22
"""Bytes of the largest DMA transfer, which bounds the queue (``VTA_MAX_XFER``)."""

INSTRUCTION_BYTES = 16
RESERVE = 6  # instructions that a synchronisation may add to the queue
SYNCHRONISATION = 8  # what it adds at most, the last one included

WORDS = INSTRUCTION.itemsize // 4
"""Records are handled as rows of 32-bit words."""

IntArray = NDArray[np.int64]
WordArray = NDArray[np.uint32]


class Queue(NamedTuple):
    """State and size of the runtime's queue; see :func:`vtacsp.program.build`."""

    waits: bool = False
    max_transfer: int = MAX_TRANSFER


class Calls(NamedTuple):
    """What the calls of a schedule do, for every call and thread.

    A row of ``rows``: the module of a DMA call, or 0 for a kernel; the number of its record in
    ``moves`` or ``kernels``; per loop variable, what one iteration adds to the DRAM address,
    or to the number of the kernel; per loop variable, the number in ``moves`` of what its
    first iteration adds to the record, or -1.  ``sizes``: micro-ops of each kernel.
    """

    rows: IntArray
    moves: WordArray
    kernels: WordArray
    sizes: IntArray


class Issued(NamedTuple):
    """An instruction stream.

    ``ends`` is the number of instructions after each synchronisation, ``image`` the kernels
    that are written to DRAM then, one after the other, ``image_ends`` the number of kernels
    up to each synchronisation; ``pending`` says that a token of the store module is left.
    """

    instructions: Records
    ends: IntArray
    image: IntArray
    image_ends: IntArray
    pending: bool


def issue(
    schedule: Schedule,
    extents: Mapping[str, int],
    calls: Calls,
    uop_depth: int,
    queue: Queue,
) -> Issued:
    """Run the steps of a schedule.  No kernel may be larger than the micro-op scratchpad."""
    steps = schedule.length(extents)
    capacity = queue.max_transfer // INSTRUCTION_BYTES
    syncs = 1 + 2 * steps // max(1, capacity - RESERVE)  # no step issues more than two
    instructions = np.empty(2 * steps + SYNCHRONISATION * syncs, dtype=INSTRUCTION)
    count, *rest = _issue(
        schedule.steps,
        np.array([extents[name] for name in VARIABLES]),
        *calls,
        uop_depth,
        queue.waits,
        capacity,
        syncs,
        instructions.view(np.uint32).reshape(-1, WORDS),
    )
    instructions.resize(count, refcheck=False)  # memory that was not touched costs nothing
    return Issued(instructions, *rest)


def _place(name: str) -> tuple[int, int]:
    """32-bit word of a field and the bits it is shifted by (little endian)."""
    offset = INSTRUCTION.fields[name][1]  # type: ignore[index]
    return offset // 4, offset % 4 * 8


def _own_records() -> WordArray:
    """Records that the runtime makes up itself, see the numbers below."""
    records = np.zeros(5, dtype=INSTRUCTION)
    records["opcode"][[Stage.STORE, _FINISH]] = Opcode.STORE, Opcode.FINISH
    records["memory_type"][Stage.LOAD] = Memory.INP
    records["y_size"][_UOP_LOAD] = 1
    return records.view(np.uint32).reshape(-1, WORDS)


_LOAD, _COMPUTE, _STORE = 1, 2, 3  # no-ops of the modules have their number
_UOP_LOAD, _FINISH = 0, 4
_OWN = _own_records()
_BGN, _END, _DRAM, _STRIDE = (
    _place(name)[0] for name in ("uop_bgn", "uop_end", "dram_base", "x_stride")
)
_SRAM, _SRAM_SHIFT = _place("sram_base")
_SIZE, _SIZE_SHIFT = _place("x_size")
_POP_PREV, _POP_PREV_SHIFT = _place("pop_prev_dep")
_POP_NEXT, _POP_NEXT_SHIFT = _place("pop_next_dep")
_PUSH_PREV, _PUSH_PREV_SHIFT = _place("push_prev_dep")
_PUSH_NEXT, _PUSH_NEXT_SHIFT = _place("push_next_dep")
_VARIABLES = len(VARIABLES)


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _issue(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    steps, extents, rows, moves, kernels, sizes, uop_depth, waits, capacity, max_syncs, out
):
    at = np.zeros(_VARIABLES, np.int64)
    pop_prev = np.zeros(4, np.uint32)
    pop_next = np.zeros(4, np.uint32)
    if waits:
        pop_next[_COMPUTE] = 1
    begin = np.zeros(len(sizes), np.int64)
    end = np.zeros(len(sizes), np.int64)
    cache = np.zeros(len(sizes) + 1, np.int64)
    cached = cursor = sram_begin = sram_end = 0
    ends = np.zeros(max_syncs, np.int64)
    image = np.zeros(max_syncs * len(sizes), np.int64)
    image_ends = np.zeros(max_syncs, np.int64)
    syncs = images = n = start = 0
    last = 0  # module of the last instruction, as far as a push may ride on it

    step = 0
    while step < len(steps):
        kind, first, second = steps[step, 0], steps[step, 1], steps[step, 2]
        step += 1
        sync = kind == SYNC
        if kind == END:
            at[first] += 1
            if at[first] < extents[first]:
                step = second
            else:
                at[first] = 0
        elif kind == PUSH:
            n, last = _commit(out, n, last, first, pop_prev, pop_next)
            n, last = _push(out, n, last, first, second)
        elif kind == POP:
            n, last = _pop(out, n, last, first, second, pop_prev, pop_next)
        elif kind == CALL:
            row = rows[first]
            module, number = row[0], row[1]
            offset = 0
            for i in range(_VARIABLES):
                offset += at[i] * row[2 + i]
            if module:
                _copy(out, n, moves, number)
                out[n, _DRAM] += np.uint32(offset)
                for i in range(_VARIABLES):
                    table = row[2 + _VARIABLES + i]
                    if table >= 0:
                        for word in range(WORDS):
                            out[n, word] += moves[table + at[i], word]
                # an empty load belongs to no module
                empty = out[n, _SIZE] >> _SIZE_SHIFT == 0
                last = 0 if empty and module != _STORE else module
                n = _create(out, n, module, pop_prev, pop_next)
            else:
                kernel = number + offset
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
                    _copy(out, n, _OWN, _UOP_LOAD)
                    out[n, _SRAM] |= np.uint32(sram_begin << _SRAM_SHIFT)
                    for i in range(cursor - 1):
                        out[n, _DRAM] += np.uint32(sizes[cache[i]])
                    out[n, _SIZE] |= np.uint32(size << _SIZE_SHIFT)
                    out[n, _STRIDE] |= np.uint32(size & 0xFFFF)
                    n = _create(out, n, _COMPUTE, pop_prev, pop_next)
                    sram_begin = sram_end
                _copy(out, n, kernels, kernel)
                out[n, _BGN], out[n, _END] = begin[kernel], end[kernel]
                last = _COMPUTE
                n = _create(out, n, _COMPUTE, pop_prev, pop_next)
            sync = n - start + RESERVE > capacity
        if sync:
            # FINISH waits for the last store and the last load
            for source in (_STORE, _LOAD):
                n, last = _commit(out, n, last, source, pop_prev, pop_next)
                n, last = _push(out, n, last, source, _COMPUTE)
            for source in (_STORE, _LOAD):
                n, last = _pop(out, n, last, source, _COMPUTE, pop_prev, pop_next)
            n, last = _commit(out, n, last, _COMPUTE, pop_prev, pop_next)
            _copy(out, n, _OWN, _FINISH)
            n, last = n + 1, 0
            for i in range(cached):
                image[images] = cache[i]
                images += 1
                begin[cache[i]] = 0
                end[cache[i]] = 0
            ends[syncs], image_ends[syncs] = n, images
            syncs += 1
            start = n
            cached = cursor = sram_begin = sram_end = 0
    leaves = pop_next[_COMPUTE] == 1
    return n, ends[:syncs], image[:images], image_ends[:syncs], leaves


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _copy(out, n, records, number):  # type: ignore[no-untyped-def]
    for word in range(WORDS):
        out[n, word] = records[number, word]


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _create(out, n, module, pop_prev, pop_next):  # type: ignore[no-untyped-def]
    """Give the new instruction the tokens its module has to pop."""
    out[n, _POP_PREV] |= pop_prev[module] << np.uint32(_POP_PREV_SHIFT)
    out[n, _POP_NEXT] |= pop_next[module] << np.uint32(_POP_NEXT_SHIFT)
    pop_prev[module] = pop_next[module] = 0
    return n + 1


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _commit(out, n, last, module, pop_prev, pop_next):  # type: ignore[no-untyped-def]
    """Pops that no instruction took along get a no-op of their own."""
    if pop_prev[module] or pop_next[module]:
        _copy(out, n, _OWN, module)
        last = _STORE if module == _STORE else 0
        n = _create(out, n, module, pop_prev, pop_next)
    return n, last


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _push(out, n, last, source, target):  # type: ignore[no-untyped-def]
    """Let the last instruction push when it is of that module, else a no-op."""
    if source < target:
        word, flag = _PUSH_NEXT, np.uint32(1 << _PUSH_NEXT_SHIFT)
    else:
        word, flag = _PUSH_PREV, np.uint32(1 << _PUSH_PREV_SHIFT)
    if last != source or out[n - 1, word] & flag:
        _copy(out, n, _OWN, source)
        last = _STORE if source == _STORE else 0
        n += 1
    out[n - 1, word] |= flag
    return n, last


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _pop(out, n, last, source, target, pop_prev, pop_next):  # type: ignore[no-untyped-def]
    """The next instruction of the module pops; one that has to already becomes a no-op."""
    waiting = pop_prev if source < target else pop_next
    if waiting[target]:
        n, last = _commit(out, n, last, target, pop_prev, pop_next)
    waiting[target] = 1
    return n, last
