"""The runtime: its instruction queue and its micro-op cache, run over a schedule.

Source: ``InsnQueue``, ``UopQueue`` and ``CommandQueue`` of TVM's ``vta/runtime/runtime.cc``.
The steps are walked as the accelerated function would walk them, and every instruction is
noted as it is issued: which record it is, how far its address is moved, its flags.  An
iteration of a loop that leaves the runtime as it found it is walked once; those after it are
the same instructions at other addresses.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.errors import TooLongError
from vtacsp.jit import jit
from vtacsp.machine.fields import INSTRUCTION_BYTES
from vtacsp.machine.instructions import INSTRUCTION, Memory, Opcode
from vtacsp.program.copies import MOVE
from vtacsp.program.kernel import KERNEL
from vtacsp.program.loops import VARIABLES
from vtacsp.program.order import CALL, END, POP, PUSH, SYNC, StepTable
from vtacsp.program.stream import PUSH_NEXT, PUSH_PREV, Stream

__all__ = ["MAX_STEPS", "MAX_TRANSFER", "Calls", "Issued", "Queue", "issue"]

MAX_TRANSFER = 1 << 22
"""Bytes of the largest DMA transfer, which bounds the queue (``VTA_MAX_XFER``)."""

MAX_STEPS = 1 << 26
"""Steps of the longest program that is built: at most two instructions each, 10 bytes apiece."""

RESERVE = 6  # instructions that a synchronisation may add to the queue
SYNCHRONISATION = 8  # what it adds at most, the last one included


@cache
def keep_freed_memory() -> None:
    """Let the C library keep what is freed, once a program is built.

    Memory that is fresh from the system costs more than what is written on it.  The library keeps
    it once a block of this size has been freed (mallopt(3): M_MMAP_THRESHOLD).
    """
    np.empty(31 << 20, dtype=np.uint8)


class Queue(NamedTuple):
    """State and size of the runtime's queue; see :func:`vtacsp.operators.builder`."""

    waits: bool = False
    max_transfer: int = MAX_TRANSFER


class Calls(NamedTuple):
    """What the calls of a schedule do, for every call and thread.

    A row of ``rows``: the module of a DMA call, or 0 for a kernel; the number of its row in
    ``moves`` or ``kernels``; SRAM and DRAM element that are added to it; per loop variable, what
    one iteration adds to the DRAM address, or to the number of the kernel.  ``moves`` has the
    columns ``MOVE``, ``kernels`` has the columns ``KERNEL``; see
    :func:`vtacsp.machine.instructions.places`.

    A row of ``tables`` says what a variable adds to a DMA call besides: the row of the call, the
    variable, where the table begins in ``which`` and ``dram``, where its shapes begin in
    ``shapes`` and how many it has.  Iteration ``i`` adds ``shapes[which[i]]``, the columns
    ``MOVE`` from the third on, and ``dram[i]`` elements.

    ``sizes``: micro-ops of each kernel.
    """

    rows: IntArray
    moves: IntArray
    move_places: IntArray
    kernels: IntArray
    kernel_places: IntArray
    sizes: IntArray
    tables: IntArray
    which: IntArray
    dram: IntArray
    shapes: IntArray


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
    schedule: StepTable,
    extents: Mapping[str, int],
    calls: Calls,
    uop_depth: int,
    queue: Queue,
) -> Issued:
    """Run the steps of a schedule.  No kernel may be larger than the micro-op scratchpad.

    Raises :class:`~vtacsp.errors.TooLongError` for more than :data:`MAX_STEPS`.
    """
    keep_freed_memory()
    steps = schedule.length(extents)
    if steps > MAX_STEPS:
        raise TooLongError(steps, MAX_STEPS)
    capacity = queue.max_transfer // INSTRUCTION_BYTES
    syncs = 1 + 2 * steps // max(1, capacity - RESERVE)  # no step issues more than two
    room = 2 * steps + SYNCHRONISATION * syncs
    most = 8 * len(calls.sizes)  # micro-op loads that differ; more only where kernels evict another
    done = False
    while not done:
        done, (words, *stream), rest = _issue(
            schedule.steps,
            np.array([extents[name] for name in VARIABLES]),
            *calls,
            _OWN,
            uop_depth,
            queue.waits,
            capacity,
            syncs,
            room,
            most,
        )
        most *= 16
    return Issued(Stream(words.view(INSTRUCTION).reshape(-1), *stream), *rest)


_LOAD, _COMPUTE, _STORE = 1, 2, 3
_FINISH = 0  # records of the runtime itself: FINISH, then a no-op for each module


def _own_records() -> NDArray[np.uint64]:
    records = np.zeros(4, dtype=INSTRUCTION)
    records["opcode"][[_FINISH, _STORE]] = Opcode.FINISH, Opcode.STORE
    records["memory_type"][_LOAD] = Memory.INP
    return records.view(np.uint64).reshape(len(records), -1)


_OWN = _own_records()
_VARIABLES = len(VARIABLES)
_ADDRESS, _STRIDES = 3, 4  # columns of a row
_UOP_BEGIN, _UOP_END = KERNEL.index("uop_bgn"), KERNEL.index("uop_end")
_SRAM, _Y_SIZE, _X_SIZE, _X_STRIDE = map(MOVE.index, ("sram_base", "y_size", "x_size", "x_stride"))
_OP_LOAD, _UOP = int(Opcode.LOAD), int(Memory.UOP)


# In: the steps of a program (kind, one, two: a loop's end, a push, a pop, a call, a
# synchronisation), how often each loop runs, what a call issues, the queue's size.  Out: the
# instructions, as records with their addresses, flags and who issued them; which kernels were
# loaded where; where launches end.
# 1. the state: instructions, loops, pops that wait, the micro-op cache, the launches
# 2. what the steps are made of, as closures
# 3. the walk, a step at a time: the end of a loop (of which alike iterations are copied), tokens,
#    a DMA call, a kernel call (through the cache), a synchronisation
# 4. what is handed back
@jit
def _issue(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    steps, extents, rows, moves, move_places, kernels, kernel_places, sizes, tables, table_which,
    table_dram, shapes, own, uop_depth, waits, capacity, max_syncs, room, most,
):  # fmt: skip
    # 1. the state
    words, first, factor, empty = _move_records(rows, moves, move_places, tables, shapes, own)
    # kernels that got into the cache, and where their micro-ops are then: two records each
    size, loaded = len(words), 0
    load_kernel, load_begin = np.empty(most, np.int64), np.empty(most, np.int64)
    which = np.empty(room, np.uint32)
    dram = np.empty(room, np.uint32)
    flags = np.empty(room, np.uint8)
    call = np.empty(room, np.uint8)  # the row that issued an instruction, or the one past the last
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
    latest = np.full(len(sizes), -1, np.int64)  # number of the last of these of each kernel
    cache = np.zeros(len(sizes) + 1, np.int64)
    cached = cursor = sram_end = 0
    ends = np.zeros(max_syncs, np.int64)
    image = np.zeros(max_syncs * len(sizes), np.int64)
    image_ends = np.zeros(max_syncs, np.int64)
    syncs = images = n = start = 0
    events = 0  # changes of the cache
    last = 0  # module of the last instruction, as far as a push may ride on it

    # 2. what the steps are made of; closures: numba counts references to the arrays that it hands
    # to functions

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

    # 3. the walk
    step = 0
    while step < len(steps):
        kind, one, two = steps[step, 0], steps[step, 1], steps[step, 2]
        step += 1
        sync = kind == SYNC
        if kind == END:  # of an iteration
            at[one] += 1
            # a push may ride on the last instruction, unless it has pushed already
            state = (events << 16) + (pops << 8) + (last << 4)
            state += flags[n - 1] & (PUSH_PREV | PUSH_NEXT) if last else 0
            if begun[one] >= 0 and found[one] == state and plain[one] and n > begun[one]:
                length = n - begun[one]
                tail = flags[begun[one] - 1] ^ before[one] if begun[one] else 0
                for i in range(len(rows)):
                    moved[i] = rows[i, _STRIDES + one]
                times = 1
                while times > 0 and at[one] < extents[one]:
                    # as many as differ in their addresses only, by the same step, and fit the queue
                    times = (capacity - RESERVE - (n - start)) // length
                    times = min(times, extents[one] - at[one])
                    for t in range(len(tables)):
                        if tables[t, 1] == one:
                            entry = tables[t, 2] + at[one]
                            more = table_dram[entry] - table_dram[entry - 1]
                            moved[tables[t, 0]] = rows[tables[t, 0], _STRIDES + one] + more
                            alike = 0
                            while (
                                alike < times
                                and table_which[entry + alike] == table_which[entry - 1]
                                and table_dram[entry + alike] - table_dram[entry + alike - 1]
                                == more
                            ):
                                alike += 1
                            times = alike
                    if times > 0:
                        pushed = flags[n - 1]
                        flags[n - 1] |= tail
                        for i in range(n, n + times * length):
                            new, old = np.uint64(i), np.uint64(i - length)
                            which[new], flags[new], call[new] = which[old], flags[old], call[old]
                            dram[new] = dram[old] + moved[call[old]]
                        n += times * length
                        flags[n - 1] = pushed
                        at[one] += times
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
                last = 0 if empty[record] and module != _STORE else module
                n, pops = create(n, pops, module, record, address, one)
            else:
                kernel = rows[one, 1] + address
                uops = sizes[kernel]
                if end[kernel] == begin[kernel]:  # not cached
                    uop_begin = 0
                    if sram_end + uops > uop_depth:  # evict from the start
                        cursor, sram_end = 0, uops
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
                    number = latest[kernel]
                    if number < 0 or load_begin[number] != uop_begin:
                        if loaded == most:
                            loaded += 1
                            break
                        number = latest[kernel] = loaded
                        load_kernel[number], load_begin[number] = kernel, uop_begin
                        loaded += 1
                    address = 0
                    for i in range(cursor - 1):
                        address += sizes[cache[i]]
                    n, pops = create(n, pops, _COMPUTE, size + 2 * number, address, nobody)
                last = _COMPUTE
                n, pops = create(n, pops, _COMPUTE, size + 2 * latest[kernel] + 1, 0, nobody)
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
            cached = cursor = sram_end = 0
    # 4. what is handed back: the records of the loaded kernels follow those of the DMA calls
    leaves = (pops >> 2 * _COMPUTE + 1) & 1 == 1
    more = np.zeros((2 * loaded, words.shape[1]), np.uint64)
    fields = np.zeros(moves.shape[1], np.int64)
    for number in range(min(loaded, most)):
        kernel = load_kernel[number]
        fields[:] = 0
        fields[0], fields[1] = _OP_LOAD, _UOP
        fields[_SRAM], fields[_Y_SIZE] = load_begin[number], 1
        fields[_X_SIZE] = fields[_X_STRIDE] = sizes[kernel]
        _pack(more, 2 * number, fields, move_places)
        kernels[kernel, _UOP_BEGIN] = load_begin[number]
        kernels[kernel, _UOP_END] = load_begin[number] + sizes[kernel]
        _pack(more, 2 * number + 1, kernels[kernel], kernel_places)
    stream = np.concatenate((words, more)), which[:n], dram[:n], flags[:n]
    return loaded <= most, stream, (ends[:syncs], image[:images], image_ends[:syncs], leaves)


@jit
def _move_records(rows, moves, places, tables, shapes, own):  # type: ignore[no-untyped-def]
    """All records that DMA calls can issue, those of the runtime in front.

    Also the first one of each call, by how much a table's entries are apart, and which records
    move nothing.
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
    words = np.zeros((size, own.shape[1]), np.uint64)
    for i in range(len(own)):  # numba takes seconds to compile an assignment between slices
        for k in range(own.shape[1]):
            words[i, k] = own[i, k]
    empty = np.zeros(size, np.bool_)
    for i in range(len(rows)):
        for k in range(count[i] if rows[i, 0] else 0):
            fields = moves[rows[i, 1]].copy()
            fields[_SRAM] += rows[i, 2]
            for t in range(len(tables)):
                if tables[t, 0] == i:
                    shape = shapes[tables[t, 3] + k // factor[t] % tables[t, 4]]
                    for column in range(_SRAM, len(fields)):
                        fields[column] += shape[column - _SRAM]
            _pack(words, first[i] + k, fields, places)
            empty[first[i] + k] = fields[_X_SIZE] == 0
    return words, first, factor, empty


@jit
def _pack(words, number, fields, places):  # type: ignore[no-untyped-def]
    """Write a record; fields are cut to their width."""
    for k in range(len(fields)):
        word, shift, mask = places[fields[0], k]
        words[number, word] |= np.uint64((fields[k] & mask) << shift)
