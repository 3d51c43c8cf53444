"""The compiled audit: a program run on names of values instead of values, with vector clocks.

Tokens are counted, and each queue has one module that pushes and one that pops, in the order of the
program: the nth pop always waits for the nth push.  So what is ordered before what does not depend
on how fast anything is, and a vector clock tells it exactly.  As in
:mod:`vtacsp.functional.interpreter` the compute module is held back: load and store do what they
may first.  Then whatever no token orders before a compute instruction, but no token orders after it
either, has happened when that runs: a read is unordered if what it reads was written after the
progress that it knows of, a write if a store that it does not know of has read the element.

A value is a 64-bit name: of a tensor in DRAM its place, of zeros 0, of a sum of products the sum of
the names of its products, of anything else a hash of operation and operands.  Two names that are
equal are values that are equal for all operands (but for a chance of 2^-64), so an unordered access
that cannot change a name cannot change a result, with whatever data.  What could change is
followed: a set of bits goes with every value until it is cleared, overwritten, or left in DRAM.
Findings may share a bit, so beside a harmful one a harmless one may be called harmful, and never
the other way round.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.jit import jit
from vtacsp.machine import rows as r
from vtacsp.machine.instructions import AluOp, Memory, Opcode

__all__ = [
    "DRAM_ORDER",
    "EARLY_FINISH",
    "HAZARD",
    "IMAGE_BOUNDS",
    "MOST_RECORDS",
    "OUT_STALE",
    "RECORD",
    "SRAM_BOUNDS",
    "STORE_ORDER",
    "TOKENS",
    "UNORDERED",
    "UNWRITTEN",
    "DramClocks",
    "ScratchpadClocks",
    "State",
    "bit",
    "follow",
]

RECORD = ("kind", "instruction", "other", "memory", "element", "count", "changes")
"""Columns of what was found: instruction, the other one, the first element, how many, whether a
value may be another one."""

(
    UNORDERED,  # instruction reads INP or WGT, no token orders it and the load `other`
    STORE_ORDER,  # instruction writes ACC, no token orders it and the store `other`
    UNWRITTEN,  # instruction reads what nothing has written
    SRAM_BOUNDS,  # an element outside of the scratchpad
    IMAGE_BOUNDS,  # a load of micro-ops that are not in the image
    OUT_STALE,  # a store of what GEMM and ALU have not written last
    TOKENS,  # a push that may find the counter of its queue (memory) full
    EARLY_FINISH,  # FINISH does not wait for the store `other`
    DRAM_ORDER,  # no token orders a store and a load of the same DRAM
    HAZARD,  # a micro-op writes the accumulator of one of the two before it
) = (np.int64(kind) for kind in range(10))  # no literals: one compilation for all of them

MOST_RECORDS = 1 << 15
MOST_TOKENS = 255  # a counter has 8 bits (core/Semaphore.scala)
_FAR = np.int64(1 << 60)
_NONE, _NO, _YES = np.int64(-1), np.int64(0), np.int64(1)
_BY_LOAD, _BY_COMPUTE = np.int64(0), np.int64(1)  # who reads DRAM

Names = NDArray[np.uint64]


class ScratchpadClocks(NamedTuple):
    """What is known of every element of a scratchpad.

    ``name`` and ``taint`` (bits) of its value; ``changed`` is the progress of the load module when
    it got it, ``writer`` the instruction.  For ACC: ``known`` 0 nothing has written it, 1 a load or
    reset did last, 2 GEMM or ALU; ``stored``, ``reader`` and ``place``: progress of the store
    module, instruction, and place in DRAM of the last store of it.
    """

    uop: IntArray
    loaded: BoolArray
    inp: Names
    inp_taint: Names
    inp_changed: IntArray
    inp_written: IntArray
    inp_writer: IntArray
    wgt: Names
    wgt_taint: Names
    wgt_changed: IntArray
    wgt_written: IntArray
    wgt_writer: IntArray
    acc: Names
    acc_taint: Names
    known: NDArray[np.int8]
    stored: IntArray
    reader: IntArray
    place: IntArray

    @classmethod
    def of(cls, uop: int, inp: int, wgt: int, acc: int) -> ScratchpadClocks:
        """Scratchpads of these depths that hold anything at all."""

        def names(size: int, seed: int) -> Names:
            noise = np.random.default_rng(seed)
            return noise.integers(1, 1 << 63, size).astype(np.uint64)

        def sides(size: int) -> tuple[Names, IntArray, IntArray, IntArray]:
            return (
                np.zeros(size, np.uint64),
                np.full(size, _FAR),
                np.full(size, _FAR),
                np.full(size, -1, np.int64),
            )

        return cls(
            np.zeros((uop, 3), np.int64),
            np.zeros(uop, np.bool_),
            names(inp, 1),
            *sides(inp),
            names(wgt, 2),
            *sides(wgt),
            names(acc, 3),
            np.zeros(acc, np.uint64),
            np.zeros(acc, np.int8),
            np.zeros(acc, np.int64),
            np.full(acc, -1, np.int64),
            np.full(acc, -1, np.int64),
        )


class DramClocks(NamedTuple):
    """DRAM in granules: name and taint, progress and instruction of the last store and reads."""

    name: Names
    taint: Names
    changed: IntArray
    writer: IntArray
    read: IntArray  # (granules, 2) progress of load and compute
    reader: IntArray

    @classmethod
    def of(cls, granules: int) -> DramClocks:
        """Memory in which every granule holds a value of its own."""
        noise = np.random.default_rng(4)
        return cls(
            noise.integers(1, 1 << 63, granules).astype(np.uint64),
            np.zeros(granules, np.uint64),
            np.zeros(granules, np.int64),
            np.full(granules, -1, np.int64),
            np.zeros((granules, 2), np.int64),
            np.full((granules, 2), -1, np.int64),
        )


class State(NamedTuple):
    """What goes on from launch to launch: tokens held, progress, and what was found.

    ``found`` (records, 7) as :data:`RECORD`, ``last`` the last one by kind and memory, ``number``
    (1,) of records, ``harm`` (1,) bits of what is known to reach DRAM.
    """

    held: IntArray
    clock: IntArray
    found: IntArray
    last: IntArray
    number: IntArray
    harm: Names

    @classmethod
    def of(cls, held: IntArray) -> State:
        """Nothing has happened; ``held`` (4,) are tokens that are there at first."""
        return cls(
            held.astype(np.int64).copy(),
            np.zeros((3, 3), np.int64),
            np.zeros((MOST_RECORDS, len(RECORD)), np.int64),
            np.full(8 * 10, -1, np.int64),
            np.zeros(1, np.int64),
            np.zeros(1, np.uint64),
        )


_LOAD, _STORE, _GEMM, _FINISH, _ALU_OP = (int(op) for op in Opcode)
_UOP, _WGT, _INP, _ACC, _OUTPUT = (np.int64(memory) for memory in Memory)
_MIN, _MAX, _ADD, _SHR, _MUL = (int(op) for op in AluOp)

_ORDER = np.array([r.L, r.S, r.C])


@jit
def follow(table, module, start, stop, image, image_base, place, granules, pads, dram, state):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """Run one launch; returns where every module is in the end, -1 when it is through.

    ``table`` (n, 29) as in :mod:`vtacsp.machine.rows`; ``image`` (m, 3) micro-ops, whose first
    one is at DRAM element ``image_base``; ``place`` (n,) granule of the first element that an
    instruction moves, ``granules`` (5,) granules of an element by memory type.
    """
    # 1. the queues of the modules; how many stores and pops there are before an instruction
    n = stop - start
    queue = np.zeros((3, n), np.int64)
    length = np.zeros(3, np.int64)
    stores = np.zeros(n + 1, np.int64)  # stores that move something, before an instruction
    pops = np.zeros((4, n + 1), np.int64)  # by progress of the module that pops
    for i in range(n):
        m = module[start + i]
        row = table[start + i]
        queue[m, length[m]] = start + i
        length[m] += 1
        for k in range(2):
            q = r.pops(m, k)
            if q >= 0:
                flag = row[r.POP_PREV + k]
                pops[q, length[m]] = pops[q, length[m] - 1] + (1 if flag else 0)
        stores[i + 1] = stores[i]
        if row[r.OP] == _STORE and row[r.X] * row[r.Y] > 0:
            stores[i + 1] += 1
    # 2. what is left of launches before: tokens, which all know of everything
    begun = np.array([state.clock[m, m] for m in range(3)])
    head = np.zeros(3, np.int64)
    clock = state.clock
    held = state.held
    tokens = np.zeros((4, n + held.max() + 1, 3), np.int64)
    for q in range(4):  # what was left belongs to launches that are over
        for k in range(held[q]):
            for j in range(3):
                tokens[q, k, j] = clock[:, j].max()
    before = held.copy()
    pushed = held.copy()
    popped = np.zeros(4, np.int64)
    where = np.full(3, -1, np.int64)
    store_tick = np.zeros(stores[n] + 1, np.int64)  # progress after the kth store
    store_index = np.zeros(stores[n] + 1, np.int64)
    # 3. rounds, until no module moves: each runs until it lacks a token, compute after the others
    moved = True
    while moved:
        moved = False
        for m in _ORDER:
            while head[m] < length[m]:
                i = queue[m, head[m]]
                row = table[i]
                if not r.pop_tokens(row, m, clock, tokens, pushed, popped):
                    break
                moved = True
                head[m] += 1
                clock[m, m] += 1
                op = row[r.OP]
                if op == _GEMM:
                    _gemm(row, i, pads, dram, clock[m], state)
                elif op == _ALU_OP:
                    _alu(row, i, pads, dram, clock[m], state)
                elif op == _STORE and row[r.X] * row[r.Y] > 0:
                    k = stores[i - start]
                    store_tick[k], store_index[k] = clock[m, m], i
                    _store(row, i, place[i], granules[_OUTPUT], pads, dram, clock[m], state)
                elif op == _LOAD and row[r.X] > 0:
                    memory = row[r.MEM]
                    if memory == _UOP:
                        _load_uop(row, i, image, image_base, pads, state)
                    elif memory == _ACC:
                        _load_acc(row, i, place[i], granules[_ACC], pads, dram, clock[m], state)
                    elif memory in (_INP, _WGT):
                        _load(row, i, place[i], granules[memory], pads, dram, clock[m], state)
                elif op == _FINISH:
                    for k in range(stores[i - start]):
                        # a store that has not run yet is not known of either
                        if store_tick[k] == 0 or store_tick[k] > clock[m, r.S]:
                            other = store_index[k] if store_tick[k] else -1
                            _note(state, EARLY_FINISH, i, other, _OUTPUT, _NO, _NO)
                for k in range(2):
                    q = r.pushes(m, k)
                    if q >= 0 and row[r.PUSH_PREV + k]:
                        for j in range(3):
                            tokens[q, pushed[q], j] = clock[m, j]
                        pushed[q] += 1
                        other = r.L if q == r.C2L else r.S if q == r.C2S else r.C
                        seen = max(clock[m, other] - begun[other], 0)
                        most = pushed[q] - pops[q, seen]
                        if most > MOST_TOKENS:
                            _note(state, TOKENS, i, _NONE, q, most, _NO)
                if m == r.C:
                    break  # the others first
    # 4. what is left over, and where modules wait
    for q in range(4):
        held[q] = pushed[q] - popped[q]
    for m in range(3):
        if head[m] < length[m]:
            where[m] = queue[m, head[m]]
    for j in range(3):  # the host waits for FINISH: the next launch knows all of this one
        top = clock[:, j].max()
        for m in range(3):
            clock[m, j] = top
    return where, before


@jit
def _mix(a, b):  # type: ignore[no-untyped-def]
    """A hash of two names (the finaliser of MurmurHash3)."""
    x = a * np.uint64(0x9E3779B97F4A7C15) + b
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xFF51AFD7ED558CCD)
    x ^= x >> np.uint64(33)
    x *= np.uint64(0xC4CEB9FE1A85EC53)
    x ^= x >> np.uint64(33)
    return x


@jit
def _note(state, kind, i, other, memory, element, bits):  # type: ignore[no-untyped-def]
    """Write down a finding, or count the last one of its kind when it is alike.

    With ``bits`` returns the bit of its values.
    """
    found, slot = state.found, kind * 8 + memory
    r = state.last[slot]
    if r >= 0 and found[r, 1] == i and found[r, 2] == other:
        found[r, 5] += 1
        if kind == TOKENS:
            found[r, 4] = max(found[r, 4], element)
    elif state.number[0] < MOST_RECORDS:
        r = state.number[0]
        state.number[0] += 1
        state.last[slot] = r
        found[r, 0], found[r, 1], found[r, 2], found[r, 3] = kind, i, other, memory
        found[r, 4], found[r, 5] = element, 1
    else:
        r = -1  # there is no room
    if bits:
        if r >= 0:
            found[r, 6] = 1
        return np.uint64(1) << np.uint64((i * 7 + other * 31 + slot) & 63)
    return np.uint64(0)


@jit
def _source(row, y, x):  # type: ignore[no-untyped-def]
    """DRAM element of a place in a loaded tile from its first on, -1 in its padding."""
    y -= row[r.Y0]
    x -= row[r.X0]
    if 0 <= y < row[r.Y] and 0 <= x < row[r.X]:
        return y * row[r.STRIDE] + x
    return -1


@jit
def _fetch(dram, i, at, size, side, clock, state):  # type: ignore[no-untyped-def]
    """Name and taint of an element in DRAM, which load (side 0) or compute (1) reads."""
    name, taint = np.uint64(0), np.uint64(0)
    for g in range(at, at + size):
        if dram.changed[g] > clock[r.S]:
            _note(state, DRAM_ORDER, i, dram.writer[g], _OUTPUT, _NO, _NO)
        name = dram.name[g] if size == 1 else _mix(name, dram.name[g])
        taint |= dram.taint[g]
        dram.read[g, side], dram.reader[g, side] = clock[side], i
    if taint:
        state.harm[0] |= taint
    return name, taint


@jit
def _load(row, i, place, size, pads, dram, clock, state):  # type: ignore[no-untyped-def]
    memory = row[r.MEM]
    inputs = memory == _INP
    names = pads.inp if inputs else pads.wgt
    taints = pads.inp_taint if inputs else pads.wgt_taint
    changed = pads.inp_changed if inputs else pads.wgt_changed
    written = pads.inp_written if inputs else pads.wgt_written
    writer = pads.inp_writer if inputs else pads.wgt_writer
    e = row[r.SRAM]
    for y in range(row[r.Y0] + row[r.Y] + row[r.Y1]):
        for x in range(row[r.X0] + row[r.X] + row[r.X1]):
            if e >= len(names):
                _note(state, SRAM_BOUNDS, i, _NONE, memory, e, _NO)
                return
            source, name, taint = _source(row, y, x), np.uint64(0), np.uint64(0)
            if source >= 0:
                name, taint = _fetch(dram, i, place + source * size, size, _BY_LOAD, clock, state)
            if names[e] != name or taints[e] != taint or changed[e] == _FAR:
                changed[e] = clock[r.L]
            names[e], taints[e] = name, taint
            written[e], writer[e] = clock[r.L], i
            e += 1


@jit
def _overwrite(e, i, before, pads, dram, clock, state):  # type: ignore[no-untyped-def]
    """Check what compute has written into an accumulator against the last store of it."""
    if pads.stored[e] > clock[r.S]:
        changes = np.int64(pads.acc[e] != before)
        bit = _note(state, STORE_ORDER, i, pads.reader[e], _ACC, e, changes)
        if changes:
            g = pads.place[e]
            if dram.writer[g] == pads.reader[e]:
                dram.taint[g] |= bit
            if dram.reader[g, 0] >= 0 or dram.reader[g, 1] >= 0:
                state.harm[0] |= bit


@jit
def _load_acc(row, i, place, size, pads, dram, clock, state):  # type: ignore[no-untyped-def]
    e = row[r.SRAM]
    for y in range(row[r.Y0] + row[r.Y] + row[r.Y1]):
        for x in range(row[r.X0] + row[r.X] + row[r.X1]):
            if e >= len(pads.acc):
                _note(state, SRAM_BOUNDS, i, _NONE, _ACC, e, _NO)
                return
            source, name, taint = _source(row, y, x), np.uint64(0), np.uint64(0)
            if source >= 0:
                name, taint = _fetch(
                    dram, i, place + source * size, size, _BY_COMPUTE, clock, state
                )
            before = pads.acc[e]
            pads.acc[e], pads.acc_taint[e], pads.known[e] = name, taint, 1
            _overwrite(e, i, before, pads, dram, clock, state)
            e += 1


@jit
def _load_uop(row, i, image, base, pads, state):  # type: ignore[no-untyped-def]
    e = row[r.SRAM]
    for y in range(row[r.Y0] + row[r.Y] + row[r.Y1]):
        for x in range(row[r.X0] + row[r.X] + row[r.X1]):
            if e >= len(pads.loaded):
                _note(state, SRAM_BOUNDS, i, _NONE, _UOP, e, _NO)
                return
            source = _source(row, y, x)
            at = row[r.DRAM] + source - base
            for k in range(3):
                pads.uop[e, k] = 0
            if source >= 0:
                if at < 0 or at >= len(image):
                    _note(state, IMAGE_BOUNDS, i, _NONE, _UOP, at, _NO)
                else:
                    for k in range(3):
                        pads.uop[e, k] = image[at, k]
            pads.loaded[e] = True
            e += 1


@jit
def _store(row, i, place, size, pads, dram, clock, state):  # type: ignore[no-untyped-def]
    e = row[r.SRAM]
    for y in range(row[r.Y]):
        for x in range(row[r.X]):
            if e >= len(pads.acc):
                _note(state, SRAM_BOUNDS, i, _NONE, _ACC, e, _NO)
                return
            taint = pads.acc_taint[e]
            if pads.known[e] == 0:
                taint |= _note(state, UNWRITTEN, i, _NONE, _ACC, e, _YES)
            elif pads.known[e] == 1:
                taint |= _note(state, OUT_STALE, i, _NONE, _ACC, e, _YES)
            first = place + (y * row[r.STRIDE] + x) * size
            for g in range(first, first + size):
                for side in range(2):
                    if dram.read[g, side] > clock[side]:
                        _note(state, DRAM_ORDER, i, dram.reader[g, side], _OUTPUT, _NO, _NO)
                    dram.reader[g, side] = -1
                dram.name[g] = _mix(pads.acc[e], np.uint64(g - first + 1))
                dram.taint[g], dram.changed[g], dram.writer[g] = taint, clock[r.S], i
            pads.stored[e], pads.reader[e], pads.place[e] = clock[r.S], i, first
            e += 1


@jit
def _uops_there(row, i, pads, state):  # type: ignore[no-untyped-def]
    """Bits of micro-ops that nothing has loaded; -1 as the end when the range is outside."""
    bits = np.uint64(0)
    end = row[r.END]
    if end > len(pads.loaded):
        _note(state, SRAM_BOUNDS, i, _NONE, _UOP, end - 1, _NO)
        end = len(pads.loaded)
    for u in range(row[r.BGN], end):
        if not pads.loaded[u]:
            bits |= _note(state, UNWRITTEN, i, _NONE, _UOP, u, _YES)
    return bits, end


@jit
def _operand(e, i, memory, changed, written, writer, clock, state):  # type: ignore[no-untyped-def]
    """Bits of an operand of GEMM that may be something else when it is read."""
    if written[e] == _FAR:
        return _note(state, UNWRITTEN, i, _NONE, memory, e, _YES)
    if written[e] > clock[r.L]:
        return _note(state, UNORDERED, i, writer[e], memory, e, np.int64(changed[e] > clock[r.L]))
    return np.uint64(0)


@jit
def _gemm(row, i, pads, dram, clock, state):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    bits, end = _uops_there(row, i, pads, state)
    uop, reset = pads.uop, row[r.RESET]
    one, two = -1, -1
    for y in range(row[r.OUT]):
        for x in range(row[r.IN]):
            dst0 = y * row[r.DST_O] + x * row[r.DST_I]
            src0 = y * row[r.SRC_O] + x * row[r.SRC_I]
            wgt0 = y * row[r.WGT_O] + x * row[r.WGT_I]
            for u in range(row[r.BGN], end):
                dst = dst0 + uop[u, 0]
                if dst >= len(pads.acc):
                    _note(state, SRAM_BOUNDS, i, _NONE, _ACC, dst, _NO)
                    continue
                if u >= row[r.BGN] + 1 and dst in (one, two) and (dst == one or u > row[r.BGN] + 1):
                    _note(state, HAZARD, i, _NONE, _ACC, dst, _NO)
                one, two = dst, one
                before = pads.acc[dst]
                if reset:
                    pads.acc[dst], pads.acc_taint[dst], pads.known[dst] = 0, bits, 1
                else:
                    src, w = src0 + uop[u, 1], wgt0 + uop[u, 2]
                    if src >= len(pads.inp):
                        _note(state, SRAM_BOUNDS, i, _NONE, _INP, src, _NO)
                        continue
                    if w >= len(pads.wgt):
                        _note(state, SRAM_BOUNDS, i, _NONE, _WGT, w, _NO)
                        continue
                    left = pads.inp_taint[src] | _operand(
                        src, i, _INP, pads.inp_changed, pads.inp_written, pads.inp_writer, clock,
                        state,
                    )  # fmt: skip
                    right = pads.wgt_taint[w] | _operand(
                        w, i, _WGT, pads.wgt_changed, pads.wgt_written, pads.wgt_writer, clock,
                        state,
                    )  # fmt: skip
                    # what is multiplied by a zero that is sure does not matter
                    taint = bits
                    if left or pads.inp[src]:
                        taint |= right
                    if right or pads.wgt[w]:
                        taint |= left
                    if pads.known[dst] == 0:
                        taint |= _note(state, UNWRITTEN, i, _NONE, _ACC, dst, _YES)
                    if pads.inp[src] and pads.wgt[w]:
                        pads.acc[dst] += _mix(pads.inp[src], pads.wgt[w])
                    pads.acc_taint[dst] |= taint
                    pads.known[dst] = 2
                _overwrite(dst, i, before, pads, dram, clock, state)


@jit
def _alu(row, i, pads, dram, clock, state):  # type: ignore[no-untyped-def]
    bits, end = _uops_there(row, i, pads, state)
    uop, op, use_imm, imm = pads.uop, row[r.ALU], row[r.USE_IMM], row[r.IMM]
    for y in range(row[r.OUT]):
        for x in range(row[r.IN]):
            for u in range(row[r.BGN], end):
                dst = y * row[r.DST_O] + x * row[r.DST_I] + uop[u, 0]
                src = y * row[r.SRC_O] + x * row[r.SRC_I] + uop[u, 1]
                if dst >= len(pads.acc) or (not use_imm and src >= len(pads.acc)):
                    _note(state, SRAM_BOUNDS, i, _NONE, _ACC, max(dst, src), _NO)
                    continue
                before, taint = pads.acc[dst], bits
                if pads.known[dst] == 0:
                    taint |= _note(state, UNWRITTEN, i, _NONE, _ACC, dst, _YES)
                if use_imm:
                    pads.acc[dst] = _immediate(op, before, imm)
                else:
                    if pads.known[src] == 0:
                        taint |= _note(state, UNWRITTEN, i, _NONE, _ACC, src, _YES)
                    taint |= pads.acc_taint[src]
                    pads.acc[dst] = _pair(op, before, pads.acc[src])
                pads.acc_taint[dst] |= taint
                pads.known[dst] = 2
                _overwrite(dst, i, before, pads, dram, clock, state)


@jit
def _immediate(op, name, imm):  # type: ignore[no-untyped-def]
    """The name of a value after an operation with an immediate."""
    same = (imm == 0 and op in (_ADD, _SHR)) or (imm == 1 and op == _MUL)
    if name == 0:  # zeros
        same |= op in (_SHR, _MUL) or (op == _MIN and imm >= 0) or (op == _MAX and imm <= 0)
    if same:
        return name
    if op == _MUL and imm == 0:
        return np.uint64(0)
    return _mix(name, np.uint64(((op + 1) << 20) + imm + (1 << 16)))


@jit
def _pair(op, left, right):  # type: ignore[no-untyped-def]
    """The name of a value after an operation with another one."""
    if op == _ADD:
        return left + right
    if left == right and op in (_MIN, _MAX):
        return left
    if op == _MUL and (left == 0 or right == 0):
        return np.uint64(0)
    return _mix(_mix(left, right), np.uint64((op + 1) << 40))


def bit(instruction: int, other: int, kind: int, memory: int) -> int:
    """The bit of the values of a finding."""
    return (instruction * 7 + other * 31 + kind * 8 + memory) & 63
