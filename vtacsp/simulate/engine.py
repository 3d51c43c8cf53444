"""The compiled cycle engine: when every instruction of a launch starts and ends.

Nothing is stepped cycle by cycle.  What does not read memory (GEMM, ALU, stores, no-ops) takes a
number of cycles that its fields give.  What does (loads, fetch) competes for one port: requests
are granted in the order of time, and a granted request knows when its data come, because the
memory answers in order.  State machines: tvm-vta's Chisel design, see :mod:`.timing`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vtacsp.hardware import VTAConfig
from vtacsp.program.isa import INSTRUCTION, Memory, Opcode
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
    words: NDArray[np.uint32],
    hardware: VTAConfig,
    timing: TimingModel,
    tokens: IntArray,
    record_reads: bool = False,
) -> Schedule:
    """Schedule the instructions of one launch, shape (n, 16): records as 32-bit words.

    ``tokens`` are those that the launch before left over, or :func:`first_tokens`.
    """
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
    values = [own[n] if n in own else getattr(timing, n) for n in _Constants._fields]
    return Schedule(*_schedule(words, _Constants(*values), tokens, record_reads))


def first_tokens(waits: bool) -> IntArray:
    """Tokens of a first launch: none, or the one that the program before it left."""
    tokens = np.zeros(4, dtype=np.int64)
    tokens[_S2C] = waits
    return tokens


def _place(name: str) -> tuple[int, int, int]:
    """32-bit word, shift and mask of a field (little endian)."""
    kind, offset = INSTRUCTION.fields[name][:2]  # type: ignore[index]
    return offset // 4, offset % 4 * 8, (1 << 8 * kind.itemsize) - 1


_OPCODE, _MEMORY = _place("opcode"), _place("memory_type")
_POPS = (_place("pop_prev_dep"), _place("pop_next_dep"))
_PUSHES = (_place("push_prev_dep"), _place("push_next_dep"))
_DRAM, _Y, _X, _STRIDE = (_place(n) for n in ("dram_base", "y_size", "x_size", "x_stride"))
_Y0, _Y1, _X0, _X1 = (_place(n) for n in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"))
_BEGIN, _END, _OUTER, _INNER = (
    _place(n) for n in ("uop_bgn", "uop_end", "iter_out", "iter_in")
)  # fmt: skip
_USE_IMM = _place("use_imm")

_LOAD, _STORE, _GEMM, _FINISH, _ALU = (int(op) for op in Opcode)
_UOP, _WGT, _INP, _ACC, _OUT = (int(memory) for memory in Memory)

_L, _C, _S = range(3)  # modules
_POP_PREV, _POP_NEXT, _PUSH_PREV, _PUSH_NEXT = 1, 2, 4, 8
# token queues; a module pops from the module before and after it, and pushes to them
_L2C, _C2L, _C2S, _S2C = range(4)
_READS = -1  # instead of a duration

_jit = njit(cache=True, nogil=True)


@_jit  # type: ignore[misc, unused-ignore]
def _get(words, i, place):  # type: ignore[no-untyped-def]
    return np.int64((words[i, place[0]] >> np.uint32(place[1])) & np.uint32(place[2]))


@_jit  # type: ignore[misc, unused-ignore]
def _store_cycles(words, i, c):  # type: ignore[no-untyped-def]
    """Duration of a store: one burst after the other, each acknowledged before the next."""
    y, bytes_ = _get(words, i, _Y), _get(words, i, _X) * c.out_bytes
    stride, address = _get(words, i, _STRIDE) * c.out_bytes, _get(words, i, _DRAM) * c.out_bytes
    # a tensor that fits the bus needs no reload, a wider one needs it after each of its rows
    per_row = max(c.out_row_bytes >> c.bus_shift, 1) if c.out_bytes > c.bus_bytes else 0
    t = 1  # sWriteCmd
    for row in range(y):
        at = address + row * stride
        end = at + bytes_
        while at < end:
            stop = min(end, ((at >> c.burst_shift) + 1) << c.burst_shift)
            beats = ((stop - 1) >> c.bus_shift) - (at >> c.bus_shift) + 1
            reloads = (beats - 1) // per_row * c.write_reload if per_row else 0
            t += c.write_command + beats - 1 + reloads + c.write_latency + 1
            at = stop
    return t - 1


@_jit  # type: ignore[misc, unused-ignore]
def _decode(words, i, c):  # type: ignore[no-untyped-def]
    """Module, token flags and duration of an instruction (:data:`_READS` when it reads)."""
    opcode = _get(words, i, _OPCODE)
    flags = _get(words, i, _POPS[0]) | _get(words, i, _POPS[1]) << 1
    flags |= _get(words, i, _PUSHES[0]) << 2 | _get(words, i, _PUSHES[1]) << 3
    if opcode in (_GEMM, _ALU):
        work = (
            _get(words, i, _OUTER)
            * _get(words, i, _INNER)
            * (_get(words, i, _END) - _get(words, i, _BEGIN))
        )
        interval = c.gemm_interval
        if opcode == _ALU:
            interval = c.alu_interval if _get(words, i, _USE_IMM) else c.alu_pair_interval
        return _C, flags, work * interval + c.pipeline_depth
    empty = _get(words, i, _X) == 0
    if opcode == _STORE:
        return _S, flags, c.sync_cycles if empty else _store_cycles(words, i, c)
    if opcode == _FINISH:
        return _C, flags, c.sync_cycles
    memory = _get(words, i, _MEMORY)
    return _L if memory in (_INP, _WGT) else _C, flags, c.sync_cycles if empty else _READS


@_jit  # type: ignore[misc, unused-ignore]
def _push(module, flags, at, posts, posted):  # type: ignore[no-untyped-def]
    if flags & _PUSH_PREV and module != _L:
        queue = _C2L if module == _C else _S2C
        posts[queue, posted[queue]] = at
        posted[queue] += 1
    if flags & _PUSH_NEXT and module != _S:
        queue = _L2C if module == _L else _C2S
        posts[queue, posted[queue]] = at
        posted[queue] += 1


# columns of a reader: fetch (0), load (1), compute (2)
(
    _AT,  # cycle from which its next request waits at the port
    _PRIORITY,  # small goes first (Core.scala: fetch, micro-ops, inp, wgt, acc)
    _ADDRESS,  # DRAM byte of the next request
    _STOP,  # end of the row
    _ROW,  # DRAM byte of the row
    _ROWS,  # rows left
    _STEP,  # bytes from row to row
    _WIDTH,  # bytes of a row
    _DRAIN,
    _CURSOR,  # cycle of the next step of zero padding
    _TOP,  # padding left: rows above, columns beside, rows below (elements)
    _SIDE,
    _BOTTOM,
    _SKIPS,  # the rows between have no padding: passed over, one a cycle
) = range(14)


@_jit  # type: ignore[misc, unused-ignore]
def _begin(readers, r, words, i, start, c):  # type: ignore[no-untyped-def]
    """Set up the requests of a load."""
    memory = _get(words, i, _MEMORY)
    size, priority = c.uop_bytes, 1
    if memory == _INP:
        size, priority = c.inp_bytes, 2
    elif memory == _WGT:
        size, priority = c.wgt_bytes, 3
    elif memory == _ACC:
        size, priority = c.acc_bytes, 4
    wide = size <= c.bus_bytes
    x, y = _get(words, i, _X), _get(words, i, _Y)
    above, below = _get(words, i, _Y0), _get(words, i, _Y1)
    left, right = _get(words, i, _X0), _get(words, i, _X1)
    readers[r, _PRIORITY] = priority
    readers[r, _AT] = start + c.request_delay + above  # one cycle per row of padding
    readers[r, _ROWS] = y
    readers[r, _STEP], readers[r, _WIDTH] = _get(words, i, _STRIDE) * size, x * size
    readers[r, _ROW] = _get(words, i, _DRAM) * size
    readers[r, _ADDRESS] = readers[r, _ROW]
    readers[r, _STOP] = readers[r, _ROW] + readers[r, _WIDTH]
    readers[r, _DRAIN] = c.wide_drain if wide else c.narrow_drain
    # padding is written while no data arrive; the narrow load stages its start
    readers[r, _CURSOR] = start + (1 if wide else 2)
    readers[r, _TOP], readers[r, _BOTTOM] = above * (left + x + right), below * (left + x + right)
    readers[r, _SKIPS] = left + right == 0
    readers[r, _SIDE] = y * (left + right)
    if readers[r, _SKIPS] and below:
        readers[r, _SIDE] = y


@_jit  # type: ignore[misc, unused-ignore]
def _pad(readers, r, first, last):  # type: ignore[no-untyped-def]
    """Write padding up to ``last``, while data arrive from ``first`` on only pass over rows."""
    cursor = readers[r, _CURSOR]
    if cursor < first:
        free = first - cursor
        for part in (_TOP, _SIDE, _BOTTOM):
            step = min(free, readers[r, part])
            readers[r, part] -= step
            free -= step
        cursor = first
    if cursor <= last:
        if readers[r, _TOP] == 0 and readers[r, _SKIPS]:
            readers[r, _SIDE] -= min(last + 1 - cursor, readers[r, _SIDE])
        cursor = last + 1
    readers[r, _CURSOR] = cursor


@_jit  # type: ignore[misc, unused-ignore]
def _schedule(words, c, tokens, record_reads):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    n = len(words)
    module = np.empty(n, np.int8)
    flags = np.empty(n, np.int8)
    # until an instruction starts: when it reaches the head of its queue, and how long it takes
    start, done = np.zeros(n, np.int64), np.empty(n, np.int64)
    size = np.zeros(3, np.int64)
    pushes = 0
    for i in range(n):
        module[i], flags[i], done[i] = _decode(words, i, c)
        size[module[i]] += 1
        pushes += (flags[i] & _PUSH_PREV != 0) + (flags[i] & _PUSH_NEXT != 0)
    begin = np.zeros(3, np.int64)
    begin[1], begin[2] = size[0], size[0] + size[1]
    order = np.empty(n, np.int32)  # instructions, module by module
    dispatched, head = begin.copy(), begin.copy()
    for i in range(n):
        order[dispatched[module[i]]] = i
        dispatched[module[i]] += 1
    dispatched[:] = begin

    reason = np.zeros(n, np.int8)
    taken = np.zeros(n, np.int32)  # beats
    idle = np.zeros(3, np.int64)
    posts = np.empty((4, pushes + tokens.max()), np.int64)
    posted, popped = tokens.copy(), np.zeros(4, np.int64)
    posts[:, : tokens.max()] = -c.token_delay

    burst = (1 << c.burst_shift) // _INSTRUCTION_BYTES  # instructions
    fetches = np.zeros((n // burst + 1, 4), np.int64)
    bursts = 0
    place, stop, clock = 0, 0, 0  # next to dispatch, end of the burst, cycle of dispatch
    readers = np.zeros((3, 14), np.int64)
    readers[:, _AT] = _FAR
    readers[0, _AT] = c.launch_delay
    readers[0, _PRIORITY] = 0
    reads = np.empty((n + n if record_reads else 0, 4), np.int64)
    grants = 0
    lasts = np.empty(c.tags, np.int64)  # ring: last beats of the reads in flight
    oldest = newest = flying = 0
    port = bus = 0  # from when on they are free
    settled = False  # nothing can move before another request is granted

    while True:
        while not settled:
            settled = True
            if place < stop:
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
                    place += 1
                    clock += 1
                    settled = False
                if place == stop:
                    fetches[bursts - 1, 2] = clock - 1
                    if stop < n:
                        readers[0, _AT] = clock - 1 + c.fetch_restart
            for m in range(3):
                while head[m] < dispatched[m] and (m == _S or readers[m + 1, _AT] == _FAR):
                    i = order[head[m]]
                    at, why = idle[m], 0
                    if start[i] > at:
                        at, why = start[i], _INSTRUCTION
                    before = flags[i] & _POP_PREV and m != _L
                    after = flags[i] & _POP_NEXT and m != _S
                    from_before = _L2C if m == _C else _C2S
                    from_after = _S2C if m == _C else _C2L
                    if before:
                        if popped[from_before] == posted[from_before]:
                            break
                        token = posts[from_before, popped[from_before]] + c.token_delay
                        if token > at:
                            at, why = token, _BEFORE
                    if after:
                        if popped[from_after] == posted[from_after]:
                            break
                        token = posts[from_after, popped[from_after]] + c.token_delay
                        if token > at:
                            at, why = token, _AFTER
                    popped[from_before] += 1 if before else 0
                    popped[from_after] += 1 if after else 0
                    start[i], reason[i] = at, why
                    settled = False
                    if done[i] == _READS:
                        _begin(readers, m + 1, words, i, at, c)
                        break
                    done[i] += at
                    idle[m] = done[i] + c.restart_delay
                    head[m] += 1
                    _push(m, flags[i], done[i], posts, posted)
        if head[0] + head[1] + head[2] == n + begin[1] + begin[2]:
            cycles = done[n - 1]
            break

        # the memory engine grants one request per cycle, the first client first
        at = min(readers[0, _AT], readers[1, _AT], readers[2, _AT])
        if at == _FAR:
            cycles = -1
            break
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
            if readers[r, _AT] <= at and (
                who < 0 or readers[r, _PRIORITY] < readers[who, _PRIORITY]
            ):
                who = r
        if who == 0:
            beats = ((min(stop + burst, n) - stop) * _INSTRUCTION_BYTES) >> c.bus_shift
        else:
            address = readers[who, _ADDRESS]
            end = min(readers[who, _STOP], ((address >> c.burst_shift) + 1) << c.burst_shift)
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
            readers[who, _AT] = _FAR
            fetches[bursts, 0], fetches[bursts, 1] = at, last
            place, stop = stop, min(stop + burst, n)
            fetches[bursts, 3] = stop - place
            bursts += 1
            clock = last + c.fetch_drain
            settled = False
            continue
        i = order[head[who - 1]]
        taken[i] += beats
        arrival = readers[who, _DRAIN] - 1  # from a beat to its write
        if readers[who, _TOP] + readers[who, _SIDE] + readers[who, _BOTTOM]:
            _pad(readers, who, first + arrival, last + arrival)
        readers[who, _AT] = at + c.request_interval
        readers[who, _ADDRESS] = end
        if end == readers[who, _STOP]:
            readers[who, _ROWS] -= 1
            if readers[who, _ROWS]:
                readers[who, _ROW] += readers[who, _STEP]
                readers[who, _ADDRESS] = readers[who, _ROW]
                readers[who, _STOP] = readers[who, _ROW] + readers[who, _WIDTH]
            else:
                readers[who, _AT] = _FAR
                m = who - 1
                padding = readers[who, _TOP] + readers[who, _SIDE] + readers[who, _BOTTOM]
                done[i] = last + readers[who, _DRAIN]
                if padding:
                    done[i] = max(done[i], readers[who, _CURSOR] + padding)
                idle[m] = done[i] + c.restart_delay
                head[m] += 1
                _push(m, flags[i], done[i], posts, posted)
                settled = False
    left = posted - popped
    return cycles, start, done, module, reason, taken, fetches[:bursts], reads[:grants], left
