"""The compiled cycle engine: when every instruction of a launch starts and ends.

Nothing is stepped cycle by cycle.  What does not read memory (GEMM, ALU, stores, no-ops) takes a
number of cycles that its fields and the place of its data in a burst give.  What does (loads,
fetch) competes for one port: requests are granted in the order of time, and a granted request
knows when its data come, because the memory answers in order.  A load that finds the memory idle
and has it for itself takes as long as the last one that was alike, and is not served again.
State machines: tvm-vta's Chisel design, see :mod:`.model`.

It reads instructions only: independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.errors import DeadlockError
from vtacsp.jit import jit
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import INSTRUCTION_BYTES
from vtacsp.machine.instructions import TokenQueue
from vtacsp.program.stream import POP_NEXT, POP_PREV, PUSH_NEXT, PUSH_PREV, Stream
from vtacsp.timing import plan as p
from vtacsp.timing.model import TimingModel

__all__ = ["FETCH_RECORD", "READ_RECORD", "REASONS", "LaunchCycles", "first_tokens", "schedule"]

REASONS = ("instruction", "token before", "token after")
"""What the start of an instruction waited for; "" when it did not wait."""

_INSTRUCTION, _BEFORE, _AFTER = 1, 2, 3
_FAR = 1 << 60

READ_RECORD = ("instruction", "granted", "first", "last")
"""Columns of a read request: instruction (-1: fetch), cycles of grant, first and last beat."""

FETCH_RECORD = ("granted", "arrived", "dispatched", "instructions")
"""Columns of a burst of instructions: cycles of grant, last beat and last dispatch; length."""


class LaunchCycles(NamedTuple):
    """Cycles of one launch.

    ``cycles`` from launch to finish, -1 for a deadlock; ``tokens`` (4,) are left over.  The rest is
    there on demand, counted from the launch: ``start``, ``done`` (n,) per instruction; ``module``
    (n,) 0 load, 1 compute, 2 store; ``reason`` (n,) index of :data:`REASONS` plus 1, or 0;
    ``beats`` (n,) read; ``fetches`` (m, 4) and ``reads`` (r, 4) as :data:`FETCH_RECORD` and
    :data:`READ_RECORD`.
    """

    cycles: int
    tokens: IntArray
    start: IntArray
    done: IntArray
    module: NDArray[np.int8]
    reason: NDArray[np.int8]
    beats: IntArray
    fetches: IntArray
    reads: IntArray


def schedule(
    stream: Stream,
    launches: Iterable[slice],
    hardware: VTAConfig,
    timing: TimingModel,
    tokens: IntArray,
    *,
    record: bool = False,
) -> Iterator[LaunchCycles]:
    """Launch a program launch by launch, ``launches`` being ranges of its instructions.

    ``tokens`` are :func:`first_tokens`; what a launch leaves over, the next one finds.  ``record``
    asks for more than cycles; every load is served then.

    Raises :class:`~vtacsp.errors.DeadlockError` for a load of no rows: the RTL never ends it.
    """
    values = p.constants_of(hardware, timing)
    plan = p.plan(stream.records, values)
    loads = (plan[:, p.CYCLES] == p.TRANSFER) & (plan[:, p.MODULE] != p.STORE)
    if not plan[loads, p.ROWS].all():
        raise DeadlockError("a load of nothing but padding (y_size 0) never ends on the RTL")
    module_of = plan[:, p.MODULE].astype(np.uint8)
    known = np.full((p.SLOTS, 2), -1, dtype=np.int64)
    for part in launches:
        mine = stream.which[part], stream.dram[part], stream.flags[part]
        launch = LaunchCycles(*_schedule(plan, module_of, *mine, values, tokens, known, record))
        tokens = launch.tokens
        yield launch


def first_tokens(waits: bool) -> IntArray:
    """Tokens of a first launch: none, or the one that the program before it left."""
    tokens = np.zeros(4, dtype=np.int64)
    tokens[_S2C] = waits
    return tokens


_L, _C, _S = p.LOAD, p.COMPUTE, p.STORE
_DISPATCH = 3  # moves too
# token queues; a module pops from the module before and after it, and pushes to them
_L2C, _C2L, _S2C, _C2S = (int(queue) for queue in TokenQueue)
_INSTRUCTIONS, _DATA = 4, 5  # what else a module may wait for
_NONE = 0  # for a module at the end, which has no such flags
_FROM_PREV, _FROM_NEXT = np.array([_NONE, _L2C, _C2S]), np.array([_C2L, _S2C, _NONE])
_TO_PREV, _TO_NEXT = np.array([_NONE, _C2L, _S2C]), np.array([_L2C, _C2S, _NONE])
_FLAGS = np.array(
    [POP_NEXT | PUSH_NEXT, POP_PREV | POP_NEXT | PUSH_PREV | PUSH_NEXT, POP_PREV | PUSH_PREV]
)

_KEY, _TOOK = 0, 1  # columns of what is known: cycles of transfers that found the memory idle


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
    _BEATS,  # read
    _FRESH,  # whether none of its requests has been granted
    _ALONE,  # whether it found the memory idle and has it for itself
) = range(13)


@jit
def _begin(readers, r, plan, record, address, start):  # type: ignore[no-untyped-def]
    """Set up the requests of a load."""
    readers[r, _RANK], readers[r, _LEFT] = plan[record, p.PRIORITY], plan[record, p.ROWS]
    readers[r, _ROW] = readers[r, _NEXT] = address
    readers[r, _STOP] = address + plan[record, p.WIDTH]
    readers[r, _CURSOR] = start + plan[record, p.STAGE]
    readers[r, _ABOVE], readers[r, _BELOW] = plan[record, p.ABOVE], plan[record, p.BELOW]
    readers[r, _BESIDE] = plan[record, p.BESIDE]
    readers[r, _BEATS] = readers[r, _FRESH] = 0


@jit
def _pad(readers, r, skips, first, last):  # type: ignore[no-untyped-def]
    """Write padding up to ``last``, while data arrive from ``first`` on only pass over rows."""
    cursor = readers[r, _CURSOR]
    if cursor < first:
        free = first - cursor
        for part in (_ABOVE, _BESIDE, _BELOW):
            step = min(free, readers[r, part])
            readers[r, part] -= step
            free -= step
        cursor = first
    if cursor <= last:
        if readers[r, _ABOVE] == 0 and skips:
            readers[r, _BESIDE] -= min(last + 1 - cursor, readers[r, _BESIDE])
        cursor = last + 1
    readers[r, _CURSOR] = cursor


# In: the plan of each kind of instruction (:mod:`.plan`), the module of each kind; kind, address
# and flags of every instruction; the constants; tokens of before; cycles of transfers that are
# known.  Out: the last cycle (-1: deadlock), tokens left, and with ``record`` when everything was.
# 1. what is recorded
# 2. the state: the queues of the modules, tokens, the fetch module, the memory
# 3. what an instruction's end does; what a module does until it lacks something (closures)
# 4. until everything has run: the fetch module and the modules move as far as they can without the
#    memory; then the memory grants a request; then a load may have ended
@jit
def _schedule(plan, module_of, which, dram, flags, values, tokens, known, record):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    # 1. what is recorded
    c, n = p.Constants(*values), len(which)
    noted = n if record else 0
    start, done = np.empty(noted, np.int64), np.empty(noted, np.int64)
    module, reason = np.empty(noted, np.int8), np.empty(noted, np.int8)
    beats = np.zeros(noted, np.int64)
    burst, ahead = c.fetch_burst, c.fetch_ahead  # instructions
    fetches = np.zeros((noted // burst + 1, 4), np.int64)
    room = len(fetches)
    for i in range(noted):
        # a row has a request for each burst that it touches
        room += plan[which[i], p.ROWS] * ((plan[which[i], p.WIDTH] >> c.burst_shift) + 2)
    reads = np.empty((room, 4), np.int64)
    grants = bursts = 0

    # 2. the state
    # the queue of each module, a ring: instructions, and when they reach its head, later their end
    ring = 1
    while ring < min(c.queue_entries, n):
        ring *= 2
    ring -= 1
    number = np.empty((3, ring + 1), np.uint32)
    times = np.empty((3, ring + 1), np.int64)
    dispatched, head = np.zeros(3, np.int64), np.zeros(3, np.int64)
    idle, begun = np.zeros(3, np.int64), np.zeros(3, np.int64)
    # tokens of each queue: when they were pushed
    old = 0
    for queue in range(4):
        old = max(old, tokens[queue])
    posts = np.empty((4, n + old), np.int64)
    posts[:, :old] = -c.token_delay
    posted, popped = tokens.copy(), np.zeros(4, np.int64)
    waits = np.full(3, _INSTRUCTIONS, np.int64)  # what each module waits for
    wake = 0  # bits of those that have it; none: nothing moves before the next grant

    place, stop, clock = 0, 0, 0  # next to dispatch, end of the burst, cycle of dispatch
    edge = ready = 0  # first instruction of the burst, and when it is there
    full = -1  # module whose queue holds up the dispatch
    due = 0  # instructions that have to leave it before the burst can end
    readers = np.zeros((3, 13), np.int64)
    readers[:, _AT] = _FAR
    readers[0, _AT] = c.launch_delay
    lasts = np.empty(c.tags, np.int64)  # ring: last beats of the reads in flight
    oldest = newest = flying = 0
    port = bus = 0  # from when on they are free
    finish = np.full(1, -1, np.int64)  # cycle of the last instruction

    # 3. what an instruction's end does, and what a module does

    def push(m: int, act: int, end: int, wake: int) -> int:
        # the tokens of an instruction that has ended
        if act & PUSH_PREV:
            queue = _TO_PREV[m]
            posts[queue, np.uint64(posted[queue])] = end
            posted[queue] += 1
            wake |= (waits[m - 1] == queue) << m - 1
        if act & PUSH_NEXT:
            queue = _TO_NEXT[m]
            posts[queue, np.uint64(posted[queue])] = end
            posted[queue] += 1
            wake |= (waits[m + 1] == queue) << m + 1
        return wake

    def run(m: int, wake: int, bus: int, full: int, due: int) -> int:  # noqa: PLR0912, PLR0915
        # a module runs what is in its queue until it lacks something; a closure: m is a constant in
        # each of its copies; unsigned indices: numba checks the others for being negative
        free, k = idle[m], head[m]
        from_prev, from_next = _FROM_PREV[m], _FROM_NEXT[m]
        lacks, waits[m] = _INSTRUCTIONS, _DATA
        while k < dispatched[m]:
            slot = np.uint64(k & ring)
            i = number[m, slot]
            kind = which[i]
            spent = plan[kind, p.CYCLES]
            if m == _L and spent == p.TRANSFER and wake:
                wake |= 1 << m  # the others first: then it may have the memory for itself
                lacks = _DATA
                break
            act = flags[i] & _FLAGS[m]
            at, why = free, 0
            if times[m, slot] > at:
                at, why = times[m, slot], _INSTRUCTION
            if act & POP_PREV:
                if popped[from_prev] == posted[from_prev]:
                    lacks = from_prev
                    break
                token = posts[from_prev, np.uint64(popped[from_prev])] + c.token_delay
                if token > at:
                    at, why = token, _BEFORE
            if act & POP_NEXT:
                if popped[from_next] == posted[from_next]:
                    lacks = from_next
                    break
                token = posts[from_next, np.uint64(popped[from_next])] + c.token_delay
                if token > at:
                    at, why = token, _AFTER
                popped[from_next] += 1
            if act & POP_PREV:
                popped[from_prev] += 1
            if record:
                start[i], reason[i], module[i] = at, why, m
            if spent == p.TRANSFER:
                address, key, entry = p.locate(plan, kind, dram[i], c)
                if m == _S:
                    if known[entry, _KEY] != key:
                        known[entry, _KEY] = key
                        known[entry, _TOOK] = p.store_cycles(plan, kind, address, c)
                else:
                    # a load that has the memory for itself: nothing can ask for it meanwhile
                    asks = at + plan[kind, p.FIRST]
                    quiet = wake == 0 and bus <= asks
                    quiet &= min(readers[0, _AT], readers[2 - m, _AT]) == _FAR
                    if full == m:
                        quiet &= k < due and _INSTRUCTIONS not in (waits[0], waits[1], waits[2])
                    if record or not quiet or known[entry, _KEY] != key:
                        readers[m + 1, _AT], readers[m + 1, _FRESH] = asks, 1
                        lacks, begun[m] = _DATA, at
                        break
                spent = known[entry, _TOOK]
            end = at + spent
            times[m, slot] = end
            if record:
                done[i] = end
            if i == n - 1:
                finish[0] = end
            free = end + c.restart_delay
            k += 1
            wake = push(m, act, end, wake)
        idle[m], head[m], waits[m] = free, k, lacks
        return wake

    # 4. until everything has run
    while True:
        # what needs no memory: the fetch module, compute, store, load
        while wake:
            if wake & 1 << _DISPATCH:
                wake ^= 1 << _DISPATCH
                full = -1
                while place < stop:
                    if place == edge:
                        clock = max(clock, ready)
                    m = module_of[which[np.uint64(place)]]
                    k = dispatched[m]
                    if k >= c.queue_entries:  # full until the head leaves
                        if k - c.queue_entries >= head[m]:
                            full = m
                            break
                        clock = max(clock, times[m, np.uint64((k - c.queue_entries) & ring)] + 1)
                    slot = np.uint64(k & ring)
                    number[m, slot], times[m, slot] = place, clock + c.queue_delay
                    dispatched[m] = k + 1
                    wake |= (waits[m] == _INSTRUCTIONS) << m
                    place += 1
                    if place + ahead == stop and stop < n:
                        # what is left waits in a pipe of the fetch module, past its buffer
                        readers[0, _AT] = clock + ahead + c.fetch_restart
                    if record and (place == n or place % burst == 0):
                        fetches[(place - 1) // burst, 2] = clock
                    clock += 1
                if full >= 0:
                    due = dispatched[full] - c.queue_entries
                    for i in range(place, stop - ahead):
                        due += module_of[which[np.uint64(i)]] == full
                continue
            if wake & 1 << _C:
                wake = run(_C, wake ^ 1 << _C, bus, full, due)
            elif wake & 1 << _S:
                wake = run(_S, wake ^ 1 << _S, bus, full, due)
            else:
                wake = run(_L, 0, bus, full, due)
            # the queue may fill when somebody needs it, or the burst can end
            if full >= 0 and head[full] + c.queue_entries > dispatched[full]:
                starved = _INSTRUCTIONS in (waits[0], waits[1], waits[2])
                wake |= (starved or head[full] >= due) << _DISPATCH
        if head[0] + head[1] + head[2] == n:
            break

        # the memory engine grants one request per cycle, the first client first
        at = min(readers[0, _AT], readers[1, _AT], readers[2, _AT])
        if at == _FAR:
            finish[0] = -1
            break
        who = 1 if readers[1, _AT] == at else 2
        others = min(readers[0, _AT], readers[3 - who, _AT])
        end = -1  # when the load ends, if it does
        if readers[who, _FRESH] and bus <= at and others == _FAR:
            # again, nothing can ask for the memory before this load has ended
            i = number[np.uint64(who - 1), np.uint64(head[who - 1] & ring)]
            _, key, entry = p.locate(plan, which[i], dram[i], c)
            if known[entry, _KEY] == key and not record:
                end = begun[who - 1] + known[entry, _TOOK]
            readers[who, _ALONE] = end < 0
        if end < 0:
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
            who = 3
            for r in range(3):
                if readers[r, _AT] <= at:
                    if readers[r, _FRESH]:
                        i = number[r - 1, head[r - 1] & ring]
                        address, _, _ = p.locate(plan, which[i], dram[i], c)
                        _begin(readers, r, plan, which[i], address, begun[r - 1])
                    if who == 3 or readers[r, _RANK] < readers[np.uint64(who), _RANK]:
                        who = r
            w = np.uint64(who)
            cut = 0
            if who == 0:
                some = (min(stop + burst, n) - stop) * INSTRUCTION_BYTES
                some = (some + c.bus_bytes - 1) >> c.bus_shift
            else:
                address = readers[w, _NEXT]
                cut = min(readers[w, _STOP], ((address >> c.burst_shift) + 1) << c.burst_shift)
                some = ((cut - 1) >> c.bus_shift) - (address >> c.bus_shift) + 1
            first = max(at + c.memory_latency, bus)
            last = first + some - 1
            bus, port = last + 1, at + 1
            lasts[newest] = last
            newest = newest + 1 if newest + 1 < c.tags else 0
            flying += 1
            i = -1 if who == 0 else number[np.uint64(who - 1), np.uint64(head[who - 1] & ring)]
            if record:
                reads[grants, 0], reads[grants, 1] = i, at
                reads[grants, 2], reads[grants, 3] = first, last
                grants += 1
            if who == 0:
                readers[0, _AT] = _FAR
                edge, stop = stop, min(stop + burst, n)
                if record:
                    fetches[bursts, 0], fetches[bursts, 1] = at, last
                    fetches[bursts, 3] = stop - edge
                    bursts += 1
                ready = last + c.fetch_drain
                wake = 1 << _DISPATCH
                continue
            kind = which[np.uint64(i)]
            readers[w, _BEATS] += some
            arrived = plan[kind, p.DRAIN] - 1  # from a beat to its write
            padding = readers[w, _ABOVE] + readers[w, _BESIDE] + readers[w, _BELOW]
            if padding:
                _pad(readers, who, plan[kind, p.SKIPS], first + arrived, last + arrived)
            readers[w, _AT] = at + c.request_interval
            readers[w, _NEXT] = cut
            if cut < readers[w, _STOP]:
                continue
            readers[w, _LEFT] -= 1
            if readers[w, _LEFT]:
                readers[w, _ROW] += plan[kind, p.STEP]
                readers[w, _NEXT] = readers[w, _ROW]
                readers[w, _STOP] = readers[w, _ROW] + plan[kind, p.WIDTH]
                continue
            end = last + plan[kind, p.DRAIN]
            padding = readers[w, _ABOVE] + readers[w, _BESIDE] + readers[w, _BELOW]
            if padding:
                end = max(end, readers[w, _CURSOR] + padding)
            if readers[w, _ALONE]:
                _, key, entry = p.locate(plan, kind, dram[i], c)
                known[entry, _KEY], known[entry, _TOOK] = key, end - begun[who - 1]
            if record:
                done[i], beats[i] = end, readers[w, _BEATS]
        # the load has ended
        m = who - 1
        k = head[m]
        i = number[m, k & ring]
        act = flags[i] & _FLAGS[m]
        readers[who, _AT], readers[who, _FRESH], readers[who, _ALONE] = _FAR, 0, 0
        times[m, k & ring], idle[m], head[m] = end, end + c.restart_delay, k + 1
        wake = push(m, act, end, 1 << m)
    return (
        finish[0], posted - popped, start, done, module, reason, beats, fetches[:bursts],
        reads[:grants],
    )  # fmt: skip
