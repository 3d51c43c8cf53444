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

__all__ = ["MAX_TRANSFER", "Calls", "Issued", "Queue", "issue"]

MAX_TRANSFER = 1 << 22
"""Bytes of the largest DMA transfer, which bounds the queue (``VTA_MAX_XFER``)."""

INSTRUCTION_BYTES = 16
RESERVE = 6  # instructions that a synchronisation may add to the queue
SYNCHRONISATION = 8  # what it adds at most, the last one included

KEEP = 1 << 18
"""Instructions of the longest program whose scratch memory is kept for the next one."""

_SCRATCH: list[Records] = []  # fresh memory costs more than what is written on it

IntArray = NDArray[np.int64]


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
    moves: Records
    kernels: Records
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
    room = 2 * steps + SYNCHRONISATION * syncs
    scratch = _SCRATCH.pop() if _SCRATCH else np.empty(0, dtype=INSTRUCTION)
    if len(scratch) < room:
        scratch = np.empty(room, dtype=INSTRUCTION)
    count, *rest = _issue(
        schedule.steps,
        np.array([extents[name] for name in VARIABLES]),
        *calls,
        _OWN,
        uop_depth,
        queue.waits,
        capacity,
        syncs,
        scratch,
    )
    words = scratch[:count].view(np.uint64).copy()  # numpy copies records field by field
    if count <= KEEP:
        _SCRATCH.append(scratch)
    return Issued(words.view(INSTRUCTION), *rest)


def _own_records() -> Records:
    """What the runtime makes up itself: micro-op load, no-ops by module, FINISH."""
    records = np.zeros(5, dtype=INSTRUCTION)
    records["opcode"][[Stage.STORE, _FINISH]] = Opcode.STORE, Opcode.FINISH
    records["memory_type"][Stage.LOAD] = Memory.INP
    records["y_size"][_UOP_LOAD] = 1
    return records


_LOAD, _COMPUTE, _STORE = 1, 2, 3
_UOP_LOAD, _FINISH = 0, 4
_OWN = _own_records()  # an argument: as a constant its padding would be arbitrary
_VARIABLES = len(VARIABLES)


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _issue(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    steps, extents, rows, moves, kernels, sizes, own, uop_depth, waits, capacity, max_syncs, out
):
    at = np.zeros(_VARIABLES, np.int64)
    pops = np.zeros((4, 2), np.uint8)  # from the module before, from the one behind
    if waits:
        pops[_COMPUTE, 1] = 1
    begin = np.zeros(len(sizes), np.int64)
    end = np.zeros(len(sizes), np.int64)
    cache = np.zeros(len(sizes) + 1, np.int64)
    cached = cursor = sram_begin = sram_end = 0
    ends = np.zeros(max_syncs, np.int64)
    image = np.zeros(max_syncs * len(sizes), np.int64)
    image_ends = np.zeros(max_syncs, np.int64)
    syncs = images = n = start = 0
    last = 0  # module of the last instruction, as far as a push may ride on it

    # closures: numba counts references to the arrays that it hands to functions

    def create(n: int, module: int) -> int:
        # the new instruction takes the pops that its module waits with
        out[n].pop_prev_dep, out[n].pop_next_dep = pops[module, 0], pops[module, 1]
        pops[module, 0] = pops[module, 1] = 0
        return n + 1

    def commit(n: int, last: int, module: int) -> tuple[int, int]:
        # pops that no instruction took along get a no-op of their own
        if pops[module, 0] or pops[module, 1]:
            out[n] = own[module]
            last = _STORE if module == _STORE else 0
            n = create(n, module)
        return n, last

    def push(n: int, last: int, source: int, target: int) -> tuple[int, int]:
        # the last instruction pushes when it is of that module, else a no-op
        behind = source < target
        if last != source or (out[n - 1].push_next_dep if behind else out[n - 1].push_prev_dep):
            out[n] = own[source]
            last = _STORE if source == _STORE else 0
            n += 1
        if behind:
            out[n - 1].push_next_dep = 1
        else:
            out[n - 1].push_prev_dep = 1
        return n, last

    def pop(n: int, last: int, source: int, target: int) -> tuple[int, int]:
        # the next instruction of the module pops
        side = 0 if source < target else 1
        if pops[target, side]:
            n, last = commit(n, last, target)
        pops[target, side] = 1
        return n, last

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
            n, last = commit(n, last, first)
            n, last = push(n, last, first, second)
        elif kind == POP:
            n, last = pop(n, last, first, second)
        elif kind == CALL:
            module, number = rows[first, 0], rows[first, 1]
            offset = 0
            for i in range(_VARIABLES):
                offset += at[i] * rows[first, 2 + i]
            if module:
                out[n] = moves[number]
                out[n].dram_base += np.uint32(offset)
                for i in range(_VARIABLES):
                    table = rows[first, 2 + _VARIABLES + i]
                    if table >= 0:
                        _add(out[n], moves[table + at[i]])
                # an empty load belongs to no module
                last = module if out[n].x_size or module == _STORE else 0
                n = create(n, module)
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
                    out[n] = own[_UOP_LOAD]
                    out[n].sram_base = sram_begin
                    out[n].x_size = out[n].x_stride = size
                    for i in range(cursor - 1):
                        out[n].dram_base += np.uint32(sizes[cache[i]])
                    n = create(n, _COMPUTE)
                    sram_begin = sram_end
                out[n] = kernels[kernel]
                out[n].uop_bgn = begin[kernel]
                out[n].uop_end = end[kernel]
                last = _COMPUTE
                n = create(n, _COMPUTE)
            sync = n - start + RESERVE > capacity
        if sync:
            # FINISH waits for the last store and the last load
            for source in (_STORE, _LOAD):
                n, last = commit(n, last, source)
                n, last = push(n, last, source, _COMPUTE)
            for source in (_STORE, _LOAD):
                n, last = pop(n, last, source, _COMPUTE)
            n, last = commit(n, last, _COMPUTE)
            out[n] = own[_FINISH]
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
    leaves = pops[_COMPUTE, 1] == 1
    return n, ends[:syncs], image[:images], image_ends[:syncs], leaves


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _add(record, more):  # type: ignore[no-untyped-def]
    record.sram_base += more.sram_base
    record.dram_base += more.dram_base
    record.y_size += more.y_size
    record.x_size += more.x_size
    record.x_stride += more.x_stride
    record.y_pad_0 += more.y_pad_0
    record.y_pad_1 += more.y_pad_1
    record.x_pad_0 += more.x_pad_0
    record.x_pad_1 += more.x_pad_1
