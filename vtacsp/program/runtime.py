"""The runtime: its instruction queue and its micro-op cache, run over a schedule.

Source: ``InsnQueue``, ``UopQueue`` and ``CommandQueue`` of TVM's ``vta/runtime/runtime.cc``.
The steps are walked as the accelerated function would walk them, and every instruction is
noted as it is issued: which record it is, how far its address is moved, its flags.  An
iteration of a loop that leaves the runtime as it found it is walked once; those after it are
the same instructions at other addresses.
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
from vtacsp.program.stream import PUSH_NEXT, PUSH_PREV, Stream

__all__ = ["MAX_TRANSFER", "Calls", "Issued", "Queue", "issue"]

MAX_TRANSFER = 1 << 22
"""Bytes of the largest DMA transfer, which bounds the queue (``VTA_MAX_XFER``)."""

INSTRUCTION_BYTES = 16
RESERVE = 6  # instructions that a synchronisation may add to the queue
SYNCHRONISATION = 8  # what it adds at most, the last one included

IntArray = NDArray[np.int64]


class Queue(NamedTuple):
    """State and size of the runtime's queue; see :func:`vtacsp.program.build`."""

    waits: bool = False
    max_transfer: int = MAX_TRANSFER


class Calls(NamedTuple):
    """What the calls of a schedule do, for every call and thread.

    A row of ``rows``: the module of a DMA call, or 0 for a kernel; the number of its record in
    ``moves`` or ``kernels``; SRAM and DRAM element that are added to it; per loop variable, what
    one iteration adds to the DRAM address, or to the number of the kernel.

    A row of ``tables`` says what a variable adds to a DMA call besides: the row of the call, the
    variable, where the table begins in ``which`` and ``dram``, where its shapes begin in
    ``shapes`` and how many it has.  Iteration ``i`` adds the record ``shapes[which[i]]`` and
    ``dram[i]`` elements.

    ``sizes``: micro-ops of each kernel.
    """

    rows: IntArray
    moves: Records
    kernels: Records
    sizes: IntArray
    tables: IntArray
    which: IntArray
    dram: IntArray
    shapes: Records


class Issued(NamedTuple):
    """An instruction stream.

    ``ends`` is the number of instructions after each synchronisation, ``image`` the kernels
    that are written to DRAM then, one after the other, ``image_ends`` the number of kernels
    up to each synchronisation; ``pending`` says that a token of the store module is left.
    """

    stream: Stream
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
    *stream, ends, image, image_ends, pending = _issue(
        schedule.steps,
        np.array([extents[name] for name in VARIABLES]),
        *calls,
        _OWN,
        uop_depth,
        queue.waits,
        capacity,
        syncs,
        room,
    )
    return Issued(Stream(*stream), ends, image, image_ends, pending)


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
_ADDRESS, _STRIDES = 3, 4  # columns of a row
_RECORD = INSTRUCTION  # numba knows a dtype by a name of the module


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _issue(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    steps, extents, rows, moves, kernels, sizes, tables, table_which, table_dram, shapes, own,
    uop_depth, waits, capacity, max_syncs, room,
):  # fmt: skip
    records, size, first, factor = _records(rows, moves, tables, shapes, own, 2 * len(sizes))
    which = np.empty(room, np.int32)
    dram = np.empty(room, np.uint32)
    flags = np.empty(room, np.uint8)
    call = np.empty(room, np.int32)  # the row that issued an instruction, or the one past the last
    nobody = len(rows)
    moved = np.zeros(len(rows) + 1, np.int64)  # by how much an iteration moves an address

    at = np.zeros(_VARIABLES, np.int64)
    # loops: where the iteration began, and what the runtime was like then
    begun = np.full(_VARIABLES, -1, np.int64)
    found = np.zeros(_VARIABLES, np.int64)
    before = np.zeros(_VARIABLES, np.int64)
    # a loop of which each iteration has kernels of its own is walked
    plain = np.ones(_VARIABLES, np.bool_)
    for i in range(len(rows)):
        for v in range(_VARIABLES):
            plain[v] &= rows[i, 0] != 0 or rows[i, _STRIDES + v] == 0

    pops = 1 << 2 * _COMPUTE + 1 if waits else 0  # two bits per module: before, behind
    begin = np.zeros(len(sizes), np.int64)
    end = np.zeros(len(sizes), np.int64)
    written = np.full(len(sizes), -1, np.int64)  # first of the two records of a cached kernel
    cache = np.zeros(len(sizes) + 1, np.int64)
    cached = cursor = sram_begin = sram_end = 0
    ends = np.zeros(max_syncs, np.int64)
    image = np.zeros(max_syncs * len(sizes), np.int64)
    image_ends = np.zeros(max_syncs, np.int64)
    syncs = images = n = start = 0
    events = 0  # changes of the cache
    last = 0  # module of the last instruction, as far as a push may ride on it

    # closures: numba counts references to the arrays that it hands to functions

    def create(
        n: int, pops: int, module: int, record: int, address: int, row: int
    ) -> tuple[int, int]:
        # the new instruction takes the pops that its module waits with
        which[n], dram[n], call[n] = record, address, row
        flags[n] = (pops >> 2 * module) & 3
        return n + 1, pops & ~(3 << 2 * module)

    def commit(n: int, pops: int, last: int, module: int) -> tuple[int, int, int]:
        # pops that no instruction took along get a no-op of their own
        if (pops >> 2 * module) & 3:
            last = _STORE if module == _STORE else 0
            n, pops = create(n, pops, module, module, 0, nobody)
        return n, pops, last

    def push(n: int, last: int, source: int, target: int) -> tuple[int, int]:
        # the last instruction pushes when it is of that module, else a no-op
        flag = PUSH_NEXT if source < target else PUSH_PREV
        if last != source or flags[n - 1] & flag:
            which[n], dram[n], call[n], flags[n] = source, 0, nobody, 0
            last = _STORE if source == _STORE else 0
            n += 1
        flags[n - 1] |= flag
        return n, last

    def pop(n: int, pops: int, last: int, source: int, target: int) -> tuple[int, int, int]:
        # the next instruction of the module pops
        side = 1 << 2 * target + (0 if source < target else 1)
        if pops & side:
            n, pops, last = commit(n, pops, last, target)
        return n, pops | side, last

    step = 0
    while step < len(steps):
        kind, one, two = steps[step, 0], steps[step, 1], steps[step, 2]
        step += 1
        sync = kind == SYNC
        if kind == END:
            at[one] += 1
            # a push may ride on the last instruction, unless it has pushed already
            state = (events << 16) + (pops << 8) + (last << 4)
            state += flags[n - 1] & (PUSH_PREV | PUSH_NEXT) if last else 0
            if begun[one] >= 0 and found[one] == state and plain[one] and n > begun[one]:
                length = n - begun[one]
                tail = flags[begun[one] - 1] ^ before[one] if begun[one] else 0
                for i in range(len(rows)):
                    moved[i] = rows[i, _STRIDES + one]
                while at[one] < extents[one] and n + length - start + RESERVE <= capacity:
                    alike = True
                    for t in range(len(tables)):
                        if tables[t, 1] == one:
                            i, entry = tables[t, 0], tables[t, 2] + at[one]
                            alike &= table_which[entry] == table_which[entry - 1]
                            moved[i] = rows[i, _STRIDES + one]
                            moved[i] += table_dram[entry] - table_dram[entry - 1]
                    if not alike:
                        break
                    flags[n - 1] |= tail
                    for i in range(n - length, n):
                        which[i + length], flags[i + length] = which[i], flags[i]
                        dram[i + length] = dram[i] + moved[call[i]]
                        call[i + length] = call[i]
                    n += length
                    at[one] += 1
            if at[one] < extents[one]:
                step = two
                begun[one], found[one], before[one] = n, state, flags[n - 1]
            else:
                at[one], begun[one] = 0, -1
        elif kind == PUSH:
            n, pops, last = commit(n, pops, last, one)
            n, last = push(n, last, one, two)
        elif kind == POP:
            n, pops, last = pop(n, pops, last, one, two)
        elif kind == CALL:
            module, address = rows[one, 0], rows[one, _ADDRESS]
            for v in range(_VARIABLES):
                address += at[v] * rows[one, _STRIDES + v]
            if module:
                record = first[one]
                for t in range(len(tables)):
                    if tables[t, 0] == one:
                        entry = tables[t, 2] + at[tables[t, 1]]
                        record += table_which[entry] * factor[t]
                        address += table_dram[entry]
                # an empty load belongs to no module
                last = module if records[record].x_size or module == _STORE else 0
                n, pops = create(n, pops, module, record, address, one)
            else:
                kernel = rows[one, 1] + address
                uops = sizes[kernel]
                if end[kernel] == begin[kernel]:  # not cached
                    uop_begin = 0
                    if sram_end + uops > uop_depth:  # evict from the start
                        cursor, sram_begin, sram_end = 0, 0, uops
                    else:
                        uop_begin = sram_end
                        sram_end += uops
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
                    events += 1
                    record = written[kernel]
                    if record < 0 or records[record + 1].uop_bgn != uop_begin:
                        if size + 2 > len(records):
                            records = _longer(records)
                        record = written[kernel] = size
                        records[size] = own[_UOP_LOAD]
                        records[size].sram_base = sram_begin
                        records[size].x_size = records[size].x_stride = uops
                        records[size + 1] = kernels[kernel]
                        records[size + 1].uop_bgn = uop_begin
                        records[size + 1].uop_end = sram_end
                        size += 2
                    address = 0
                    for i in range(cursor - 1):
                        address += sizes[cache[i]]
                    n, pops = create(n, pops, _COMPUTE, record, address, nobody)
                    sram_begin = sram_end
                last = _COMPUTE
                n, pops = create(n, pops, _COMPUTE, written[kernel] + 1, 0, nobody)
            sync = n - start + RESERVE > capacity
        if sync:
            # FINISH waits for the last store and the last load
            for source in (_STORE, _LOAD):
                n, pops, last = commit(n, pops, last, source)
                n, last = push(n, last, source, _COMPUTE)
            for source in (_STORE, _LOAD):
                n, pops, last = pop(n, pops, last, source, _COMPUTE)
            n, pops, last = commit(n, pops, last, _COMPUTE)
            which[n], dram[n], call[n], flags[n] = _FINISH, 0, nobody, 0
            n, last = n + 1, 0
            for i in range(cached):
                image[images] = cache[i]
                images += 1
                begin[cache[i]] = 0
                end[cache[i]] = 0
            ends[syncs], image_ends[syncs] = n, images
            syncs += 1
            start = n
            events += 1
            cached = cursor = sram_begin = sram_end = 0
    leaves = (pops >> 2 * _COMPUTE + 1) & 1 == 1
    stream = records[:size], which[:n], dram[:n], flags[:n]
    return (*stream, ends[:syncs], image[:images], image_ends[:syncs], leaves)


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _records(rows, moves, tables, shapes, own, room):  # type: ignore[no-untyped-def]
    """All records that DMA calls can issue, those of the runtime in front; room for others.

    Also their number, the first one of each call, and by how much a table's entries are apart.
    """
    first, count = np.zeros(len(rows), np.int64), np.ones(len(rows), np.int64)
    factor = np.zeros(len(tables), np.int64)
    for t in range(len(tables)):
        factor[t] = count[tables[t, 0]]
        count[tables[t, 0]] *= tables[t, 4]
    size = len(own)
    for i in range(len(rows)):
        first[i] = size
        size += count[i] if rows[i, 0] else 0
    records = np.zeros(size + room, _RECORD)
    for k in range(len(own)):
        records[k] = own[k]
    for i in range(len(rows)):
        for k in range(count[i] if rows[i, 0] else 0):
            record = records[first[i] + k]
            records[first[i] + k] = moves[rows[i, 1]]
            record.sram_base += rows[i, 2]
            for t in range(len(tables)):
                if tables[t, 0] == i:
                    _add(record, shapes[tables[t, 3] + k // factor[t] % tables[t, 4]])
    return records, size, first, factor


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _add(record, more):  # type: ignore[no-untyped-def]
    record.sram_base += more.sram_base
    record.y_size += more.y_size
    record.x_size += more.x_size
    record.x_stride += more.x_stride
    record.y_pad_0 += more.y_pad_0
    record.y_pad_1 += more.y_pad_1
    record.x_pad_0 += more.x_pad_0
    record.x_pad_1 += more.x_pad_1


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _longer(records):  # type: ignore[no-untyped-def]
    longer = np.zeros(2 * len(records), _RECORD)
    for i in range(len(records)):
        longer[i] = records[i]
    return longer
