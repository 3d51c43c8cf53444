"""The compiled cycle engine: when every instruction of a launch starts and ends.

Nothing is stepped cycle by cycle.  What does not read memory (GEMM, ALU, stores, no-ops) takes a
number of cycles that its fields and the place of its data in a burst give.  What does (loads,
fetch) competes for one port: requests are granted in the order of time, and a granted request
knows when its data come, because the memory answers in order.  A load that finds the memory idle
and has it for itself takes as long as the one before it that was alike, and is not served again.
State machines: tvm-vta's Chisel design, see :mod:`.timing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vtacsp.hardware import VTAConfig
from vtacsp.program.isa import Memory, Opcode
from vtacsp.program.stream import POP_NEXT, POP_PREV, PUSH_NEXT, PUSH_PREV, Stream
from vtacsp.simulate.timing import TimingModel

__all__ = ["FETCH_RECORD", "READ_RECORD", "REASONS", "Schedule", "first_tokens", "schedule"]

REASONS = ("instruction", "token before", "token after")
"""What the start of an instruction waited for; "" when it did not wait."""

_INSTRUCTION, _BEFORE, _AFTER = 1, 2, 3
_INSTRUCTION_BYTES = 16
_FAR = 1 << 60

IntArray = NDArray[np.int64]

READ_RECORD = ("instruction", "granted", "first", "last")
"""Columns of a read request: instruction (-1: fetch), cycles of grant, first and last beat."""

FETCH_RECORD = ("granted", "arrived", "dispatched", "instructions")
"""Columns of a burst of instructions: cycles of grant, last beat and last dispatch; length."""


class Schedule(NamedTuple):
    """Cycles of one launch.

    ``start``, ``done`` (n,) per instruction, counted from the launch; ``module`` (n,) 0 load,
    1 compute, 2 store; ``reason`` (n,) index of :data:`REASONS` plus 1, or 0; ``beats`` (n,) read;
    ``fetches`` (m, 4) and ``reads`` (r, 4) as :data:`FETCH_RECORD` and :data:`READ_RECORD`,
    ``reads`` only on demand; ``tokens`` (4,) are left over.  ``cycles`` is -1 for a deadlock.
    """

    cycles: int
    start: IntArray
    done: IntArray
    module: NDArray[np.int8]
    reason: NDArray[np.int8]
    beats: IntArray
    fetches: IntArray
    reads: IntArray
    tokens: IntArray


class _Constants(NamedTuple):
    """What the engine needs of timing model and hardware; numba reads it field by field."""

    uop_bytes: int
    wgt_bytes: int
    inp_bytes: int
    acc_bytes: int
    out_bytes: int
    out_row_bytes: int
    tags: int
    bus_shift: int
    burst_shift: int
    memory_latency: int
    write_latency: int
    bus_bytes: int
    request_interval: int
    request_delay: int
    narrow_drain: int
    wide_drain: int
    launch_delay: int
    fetch_drain: int
    fetch_restart: int
    queue_entries: int
    queue_delay: int
    token_delay: int
    restart_delay: int
    sync_cycles: int
    pipeline_depth: int
    gemm_interval: int
    alu_interval: int
    alu_pair_interval: int
    write_command: int
    write_reload: int


def schedule(
    stream: Stream,
    launches: Iterable[slice],
    hardware: VTAConfig,
    timing: TimingModel,
    tokens: IntArray,
    record_reads: bool = False,
) -> Iterator[Schedule]:
    """Schedule a program launch by launch, ``launches`` being ranges of its instructions.

    ``tokens`` are :func:`first_tokens`; what a launch leaves over, the next one finds.
    """
    constants = _constants(hardware, timing)
    plan = _plan(stream.records, constants)
    keys, known = np.full(_SLOTS, -1, dtype=np.int64), np.empty((_SLOTS, 2), dtype=np.int64)
    for part in launches:
        mine = stream.which[part], stream.dram[part], stream.flags[part]
        launch = Schedule(*_schedule(plan, *mine, constants, tokens, keys, known, record_reads))
        tokens = launch.tokens
        yield launch


@lru_cache(maxsize=64)
def _constants(hardware: VTAConfig, timing: TimingModel) -> _Constants:
    own = {
        "uop_bytes": hardware.element_bytes("uop"),
        **{f"{name}_bytes": hardware.element_bytes(name) for name in ("inp", "wgt", "acc", "out")},
        "out_row_bytes": hardware.element_bytes("out") // hardware.batch,
        # a request leaves the memory's queue with its last beat, as it does the tag table
        "tags": min(timing.read_requests, timing.memory_queue),
        # log2 of the bytes of a beat and of a burst
        "bus_shift": timing.bus_bytes.bit_length() - 1,
        "burst_shift": (timing.bus_bytes * timing.burst_beats).bit_length() - 1,
    }
    return _Constants(*(own[n] if n in own else getattr(timing, n) for n in _Constants._fields))


def first_tokens(waits: bool) -> IntArray:
    """Tokens of a first launch: none, or the one that the program before it left."""
    tokens = np.zeros(4, dtype=np.int64)
    tokens[_S2C] = waits
    return tokens


_LOAD, _STORE, _GEMM, _FINISH, _ALU = (int(op) for op in Opcode)
_UOP, _WGT, _INP, _ACC, _OUT = (int(memory) for memory in Memory)

_L, _C, _S = range(3)  # modules
_DISPATCH = 3
# token queues; a module pops from the module before and after it, and pushes to them
_L2C, _C2L, _C2S, _S2C = range(4)
_NONE = 0  # for a module at the end, which has no such flags
_FROM_PREV, _FROM_NEXT = np.array([_NONE, _L2C, _C2S]), np.array([_C2L, _S2C, _NONE])
_TO_PREV, _TO_NEXT = np.array([_NONE, _C2L, _S2C]), np.array([_L2C, _C2S, _NONE])
_TOKENS = np.array(
    [POP_NEXT | PUSH_NEXT, POP_PREV | POP_NEXT | PUSH_PREV | PUSH_NEXT, POP_PREV | PUSH_PREV]
)
_TRANSFER = -1  # instead of a number of cycles

_jit = njit(cache=True, nogil=True)

# columns of the plan: what the engine knows of a record
(
    _MODULE,
    _CYCLES,  # or _TRANSFER, and the rest is what is moved
    _SIZE,  # bytes of an element
    _BASE,  # DRAM byte, without that of the instruction
    _ROWS,
    _STEP,  # bytes from row to row
    _WIDTH,  # bytes of a row
    _PRIORITY,  # small goes first (Core.scala: fetch, micro-ops, inp, wgt, acc)
    _FIRST,  # cycles to its first request
    _DRAIN,
    _STAGE,  # cycles to its first step of zero padding
    _TOP,  # padding: rows above, columns beside, rows below (elements)
    _SIDE,
    _BOTTOM,
    _SKIPS,  # the rows between have no padding: passed over, one a cycle
) = range(15)


@_jit  # type: ignore[misc, unused-ignore]
def _plan(records, c):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    plan = np.zeros((len(records), 15), np.int64)
    for k in range(len(records)):
        record, row = records[k], plan[k]
        opcode, memory = record.opcode, record.memory_type
        row[_MODULE] = _C
        if opcode == _FINISH:
            row[_CYCLES] = c.sync_cycles
        elif opcode in (_GEMM, _ALU):
            interval = c.gemm_interval
            if opcode == _ALU:
                interval = c.alu_interval if record.use_imm else c.alu_pair_interval
            work = np.int64(record.iter_out) * np.int64(record.iter_in)
            work *= np.int64(record.uop_end) - np.int64(record.uop_bgn)
            row[_CYCLES] = work * interval + c.pipeline_depth
        else:
            if opcode == _STORE:
                row[_MODULE] = _S
            elif memory in (_INP, _WGT):
                row[_MODULE] = _L
            row[_CYCLES] = _TRANSFER
            if record.x_size == 0:
                row[_CYCLES] = c.sync_cycles
            row[_SIZE], row[_PRIORITY] = c.uop_bytes, 1
            if opcode == _STORE:
                row[_SIZE] = c.out_bytes
            elif memory == _INP:
                row[_SIZE], row[_PRIORITY] = c.inp_bytes, 2
            elif memory == _WGT:
                row[_SIZE], row[_PRIORITY] = c.wgt_bytes, 3
            elif memory == _ACC:
                row[_SIZE], row[_PRIORITY] = c.acc_bytes, 4
            wide = row[_SIZE] <= c.bus_bytes
            x, y = np.int64(record.x_size), np.int64(record.y_size)
            above, below = np.int64(record.y_pad_0), np.int64(record.y_pad_1)
            beside = np.int64(record.x_pad_0) + np.int64(record.x_pad_1)
            row[_BASE] = np.int64(record.dram_base)
            row[_ROWS], row[_WIDTH] = y, x * row[_SIZE]
            row[_STEP] = np.int64(record.x_stride) * row[_SIZE]
            row[_FIRST] = c.request_delay + above  # one cycle per row of padding
            row[_DRAIN] = c.wide_drain if wide else c.narrow_drain
            # padding is written while no data arrive; the narrow load stages its start
            row[_STAGE] = 1 if wide else 2
            row[_TOP], row[_BOTTOM] = above * (x + beside), below * (x + beside)
            row[_SKIPS] = beside == 0
            row[_SIDE] = y * beside
            if beside == 0 and below:
                row[_SIDE] = y
    return plan


@_jit  # type: ignore[misc, unused-ignore]
def _address(row, dram):  # type: ignore[no-untyped-def]
    """DRAM byte of a transfer."""
    return ((row[_BASE] + np.int64(dram)) & 0xFFFFFFFF) * row[_SIZE]


@_jit  # type: ignore[misc, unused-ignore]
def _store_cycles(row, address, c):  # type: ignore[no-untyped-def]
    """Duration of a store: one burst after the other, each acknowledged before the next."""
    # a tensor that fits the bus needs no reload, a wider one needs it after each of its rows
    per_row = max(c.out_row_bytes >> c.bus_shift, 1) if c.out_bytes > c.bus_bytes else 0
    t = 1  # sWriteCmd
    for k in range(row[_ROWS]):
        at = address + k * row[_STEP]
        end = at + row[_WIDTH]
        while at < end:
            stop = min(end, ((at >> c.burst_shift) + 1) << c.burst_shift)
            beats = ((stop - 1) >> c.bus_shift) - (at >> c.bus_shift) + 1
            reloads = (beats - 1) // per_row * c.write_reload if per_row else 0
            t += c.write_command + beats - 1 + reloads + c.write_latency + 1
            at = stop
    return t - 1


# What transfers took that found the memory idle, cycles and beats.  Direct mapped: a key is the
# record and the place in a burst, which together decide it.
_SLOTS = 1 << 12


@_jit  # type: ignore[misc, unused-ignore]
def _key(record, address, c):  # type: ignore[no-untyped-def]
    """Key of a transfer, and its slot."""
    key = (np.int64(record) << c.burst_shift) + (address & ((1 << c.burst_shift) - 1))
    return key, (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52)


# columns of a reader: fetch (0), load (1), compute (2)
(
    _AT,  # cycle from which its next request waits at the port
    _RANK,  # its priority
    _NEXT,  # DRAM byte of the next request
    _STOP,  # end of the row
    _ROW,  # DRAM byte of the row
    _LEFT,  # rows left
    _CURSOR,  # cycle of the next step of zero padding
    _ABOVE,  # padding left
    _BESIDE,
    _BELOW,
    _SERVED,  # whether a request of it has been granted
    _ALONE,  # whether it found the memory idle and has it for itself
) = range(12)


@_jit  # type: ignore[misc, unused-ignore]
def _begin(reader, row, address, start):  # type: ignore[no-untyped-def]
    """Set up the requests of a load."""
    reader[_RANK], reader[_LEFT] = row[_PRIORITY], row[_ROWS]
    reader[_ROW] = reader[_NEXT] = address
    reader[_STOP] = address + row[_WIDTH]
    reader[_CURSOR] = start + row[_STAGE]
    reader[_ABOVE], reader[_BESIDE], reader[_BELOW] = row[_TOP], row[_SIDE], row[_BOTTOM]
    reader[_SERVED] = 1


@_jit  # type: ignore[misc, unused-ignore]
def _pad(reader, skips, first, last):  # type: ignore[no-untyped-def]
    """Write padding up to ``last``, while data arrive from ``first`` on only pass over rows."""
    cursor = reader[_CURSOR]
    if cursor < first:
        free = first - cursor
        for part in (_ABOVE, _BESIDE, _BELOW):
            step = min(free, reader[part])
            reader[part] -= step
            free -= step
        cursor = first
    if cursor <= last:
        if reader[_ABOVE] == 0 and skips:
            reader[_BESIDE] -= min(last + 1 - cursor, reader[_BESIDE])
        cursor = last + 1
    reader[_CURSOR] = cursor


@_jit  # type: ignore[misc, unused-ignore]
def _schedule(plan, which, dram, flags, c, tokens, keys, known, record_reads):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    n = len(which)
    module = np.empty(n, np.int8)
    size, pushes = np.zeros(3, np.int64), np.zeros(4, np.int64)
    for i in range(n):
        m = plan[which[i], _MODULE]
        module[i] = m
        size[m] += 1
        mine = flags[i] & _TOKENS[m]
        pushes[_TO_PREV[m]] += mine & PUSH_PREV != 0
        pushes[_TO_NEXT[m]] += mine & PUSH_NEXT != 0
    begin = np.zeros(3, np.int64)
    begin[1], begin[2] = size[0], size[0] + size[1]
    order = np.empty(n, np.int32)  # instructions, module by module
    dispatched, head = begin.copy(), begin.copy()
    for i in range(n):
        m = module[i]
        order[dispatched[m]] = i
        dispatched[m] += 1
    dispatched[:] = begin

    # until an instruction starts, ``start`` is when it reaches the head of its queue
    start, done = np.zeros(n, np.int64), np.zeros(n, np.int64)
    reason = np.zeros(n, np.int8)
    taken = np.zeros(n, np.int32)  # beats
    idle = np.zeros(3, np.int64)
    # tokens of each queue, one queue after the other: when they were pushed
    posts = np.empty(pushes.sum() + tokens.sum(), np.int64)
    posted, popped = np.zeros(4, np.int64), np.zeros(4, np.int64)
    total = 0
    for queue in range(4):
        popped[queue], posted[queue] = total, total + tokens[queue]
        posts[total : total + tokens[queue]] = -c.token_delay
        total += tokens[queue] + pushes[queue]

    burst = (1 << c.burst_shift) // _INSTRUCTION_BYTES  # instructions
    fetches = np.zeros((n // burst + 1, 4), np.int64)
    bursts = 0
    place, stop, clock = 0, 0, 0  # next to dispatch, end of the burst, cycle of dispatch
    readers = np.zeros((3, 12), np.int64)
    readers[:, _AT] = _FAR
    readers[0, _AT] = c.launch_delay
    reads = np.empty((n + n if record_reads else 0, 4), np.int64)
    grants = 0
    lasts = np.empty(c.tags, np.int64)  # ring: last beats of the reads in flight
    oldest = newest = flying = 0
    port = bus = 0  # from when on they are free
    wake = 0  # bits of the modules that may move; none: not before another request is granted
    ended = -1  # module whose load has ended

    while True:
        if ended >= 0:
            m, i = ended, order[head[ended]]
            ended = -1
            readers[m + 1, _AT] = _FAR
            idle[m] = done[i] + c.restart_delay
            head[m] += 1
            wake |= 1 << m | 1 << _DISPATCH
            mine = flags[i] & _TOKENS[m]
            if mine & PUSH_PREV:
                queue = _TO_PREV[m]
                posts[posted[queue]] = done[i]
                posted[queue] += 1
                wake |= 1 << m - 1
            if mine & PUSH_NEXT:
                queue = _TO_NEXT[m]
                posts[posted[queue]] = done[i]
                posted[queue] += 1
                wake |= 1 << m + 1
        while wake:
            if wake & 1 << _DISPATCH:
                wake ^= 1 << _DISPATCH
                if place == stop:
                    continue
                while place < stop:
                    m = module[place]
                    k = dispatched[m]
                    leaving = k - c.queue_entries
                    if leaving >= begin[m]:  # full until the head leaves
                        if leaving >= head[m]:
                            break
                        clock = max(clock, done[order[leaving]] + 1)
                    start[place] = clock + c.queue_delay
                    dispatched[m] = k + 1
                    wake |= 1 << m
                    place += 1
                    clock += 1
                if place == stop:
                    fetches[bursts - 1, 2] = clock - 1
                    if stop < n:
                        readers[0, _AT] = clock - 1 + c.fetch_restart
                continue
            m = _C if wake & 1 << _C else _S if wake & 1 << _S else _L
            wake ^= 1 << m
            if m != _S and readers[m + 1, _AT] != _FAR:
                continue
            free, k, first = idle[m], head[m], head[m]
            from_prev, from_next = _FROM_PREV[m], _FROM_NEXT[m]
            to_prev, to_next = _TO_PREV[m], _TO_NEXT[m]
            while k < dispatched[m]:
                i = order[k]
                mine = flags[i] & _TOKENS[m]
                at, why = free, 0
                if start[i] > at:
                    at, why = start[i], _INSTRUCTION
                if mine & POP_PREV:
                    if popped[from_prev] == posted[from_prev]:
                        break
                    token = posts[popped[from_prev]] + c.token_delay
                    if token > at:
                        at, why = token, _BEFORE
                if mine & POP_NEXT:
                    if popped[from_next] == posted[from_next]:
                        break
                    token = posts[popped[from_next]] + c.token_delay
                    if token > at:
                        at, why = token, _AFTER
                if mine & POP_PREV:
                    popped[from_prev] += 1
                if mine & POP_NEXT:
                    popped[from_next] += 1
                start[i], reason[i] = at, why
                record = which[i]
                cycles = plan[record, _CYCLES]
                if cycles == _TRANSFER:
                    if m != _S:
                        readers[m + 1, _AT] = at + plan[record, _FIRST]
                        readers[m + 1, _SERVED] = 0
                        break
                    address = _address(plan[record], dram[i])
                    key, slot = _key(record, address, c)
                    if keys[slot] != key:
                        keys[slot], known[slot, 0] = key, _store_cycles(plan[record], address, c)
                    cycles = known[slot, 0]
                end = at + cycles
                done[i] = end
                free = end + c.restart_delay
                k += 1
                if mine & PUSH_PREV:
                    posts[posted[to_prev]] = end
                    posted[to_prev] += 1
                    wake |= 1 << m - 1
                if mine & PUSH_NEXT:
                    posts[posted[to_next]] = end
                    posted[to_next] += 1
                    wake |= 1 << m + 1
            if k > first:
                idle[m], head[m] = free, k
                wake |= 1 << _DISPATCH
        if head[0] + head[1] + head[2] == n + begin[1] + begin[2]:
            cycles = done[n - 1]
            break

        # the memory engine grants one request per cycle, the first client first
        at = min(readers[0, _AT], readers[1, _AT], readers[2, _AT])
        if at == _FAR:
            cycles = -1
            break
        who = 1 if readers[1, _AT] == at else 2
        alone = readers[0, _AT] == _FAR and readers[3 - who, _AT] == _FAR
        if alone and readers[who, _SERVED] == 0 and bus <= at:
            # nothing can ask for the memory before this load has ended
            i = order[head[who - 1]]
            key, slot = _key(which[i], _address(plan[which[i]], dram[i]), c)
            if keys[slot] == key and not record_reads:
                done[i], taken[i] = start[i] + known[slot, 0], known[slot, 1]
                ended = who - 1
                continue
            readers[who, _ALONE] = 1
        at = max(at, port)
        while flying and lasts[oldest] < at:
            flying -= 1
            oldest = oldest + 1 if oldest + 1 < c.tags else 0
        if flying and lasts[oldest] == at:
            port = at + 1  # no grant in the cycle of a last beat, which frees a tag
            continue
        if flying == c.tags:
            port = lasts[oldest] + 1
            continue
        who = -1
        for r in range(3):
            if readers[r, _AT] <= at:
                if r and not readers[r, _SERVED]:
                    i = order[head[r - 1]]
                    _begin(readers[r], plan[which[i]], _address(plan[which[i]], dram[i]), start[i])
                if who < 0 or readers[r, _RANK] < readers[who, _RANK]:
                    who = r
        reader = readers[who]
        end = 0
        if who == 0:
            beats = ((min(stop + burst, n) - stop) * _INSTRUCTION_BYTES) >> c.bus_shift
        else:
            address = reader[_NEXT]
            end = min(reader[_STOP], ((address >> c.burst_shift) + 1) << c.burst_shift)
            beats = ((end - 1) >> c.bus_shift) - (address >> c.bus_shift) + 1
        first = max(at + c.memory_latency, bus)
        last = first + beats - 1
        bus, port = last + 1, at + 1
        lasts[newest] = last
        newest = newest + 1 if newest + 1 < c.tags else 0
        flying += 1
        if record_reads:
            if grants == len(reads):
                longer = np.empty((2 * grants, 4), np.int64)
                longer[:grants] = reads
                reads = longer
            reads[grants, 0] = -1 if who == 0 else order[head[who - 1]]
            reads[grants, 1], reads[grants, 2], reads[grants, 3] = at, first, last
        grants += 1
        if who == 0:
            reader[_AT] = _FAR
            fetches[bursts, 0], fetches[bursts, 1] = at, last
            place, stop = stop, min(stop + burst, n)
            fetches[bursts, 3] = stop - place
            bursts += 1
            clock = last + c.fetch_drain
            wake = 1 << _DISPATCH
            continue
        i = order[head[who - 1]]
        row = plan[which[i]]
        taken[i] += beats
        arrival = row[_DRAIN] - 1  # from a beat to its write
        if reader[_ABOVE] + reader[_BESIDE] + reader[_BELOW]:
            _pad(reader, row[_SKIPS], first + arrival, last + arrival)
        reader[_AT] = at + c.request_interval
        reader[_NEXT] = end
        if end == reader[_STOP]:
            reader[_LEFT] -= 1
            if reader[_LEFT]:
                reader[_ROW] += row[_STEP]
                reader[_NEXT] = reader[_ROW]
                reader[_STOP] = reader[_ROW] + row[_WIDTH]
            else:
                padding = reader[_ABOVE] + reader[_BESIDE] + reader[_BELOW]
                done[i] = last + row[_DRAIN]
                if padding:
                    done[i] = max(done[i], reader[_CURSOR] + padding)
                ended = who - 1
                if reader[_ALONE]:
                    reader[_ALONE] = 0
                    key, slot = _key(which[i], _address(row, dram[i]), c)
                    keys[slot], known[slot, 0], known[slot, 1] = key, done[i] - start[i], taken[i]
    left = posted - popped
    return cycles, start, done, module, reason, taken, fetches[:bursts], reads[:grants], left
