"""The compiled machine: three modules with queues, four token queues, four scratchpads.

The fetch module hands each instruction to the queue of its module; a module runs the head of
its queue as soon as the tokens are there.  Semantics of ``sim_driver.cc`` and ``sim_tlpp.cc``
of tvm-vta.

Upstream's simulator runs the modules in turns.  The hardware runs them at once, and only tokens
say what comes first.  To tell whether that matters, the compute module is held back: load and
store do what they may before it goes on (:data:`EAGER`).  Whatever no token orders then happens
in front of the compute module's access, and two questions are left.  May what GEMM reads still
be something else?  Every token carries the progress of the module that pushed it (a vector
clock), every element of INP and WGT the progress at which its value last changed: a load that
writes what was there already changes nothing.  And does the compute module still change what was
stored?  An accumulator remembers the first doubtful value that went into it, until it is reset
or loaded; a doubt that is never stored is harmless.

Loops take elements of arrays and no views: numba counts the references to every view, which took
three quarters of the time.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.jit import jit
from vtacsp.machine import rows as r
from vtacsp.machine.instructions import INSTRUCTION, AluOp, Memory, Opcode
from vtacsp.moved import keep_old_names

__all__ = [
    "DEADLOCK",
    "DRAM_RANGE",
    "EAGER",
    "IN_TURNS",
    "LAZY",
    "OK",
    "RACE",
    "SRAM_RANGE",
    "STALE",
    "UNWRITTEN",
    "DramContents",
    "ScratchpadContents",
    "run_segment",
]

keep_old_names(__name__)

OK, SRAM_RANGE, DRAM_RANGE, RACE, STALE, UNWRITTEN, DEADLOCK, BAD_OPCODE = range(8)
"""How a segment ends: RACE, a store and a later write are not ordered; STALE, a doubtful value is
stored; UNWRITTEN, an element is used that nothing has written."""

IN_TURNS, EAGER, LAZY = range(3)
"""Orders of the modules: upstream's; load and store as early, and as late as tokens let them."""

Values = NDArray[np.int32]

_FAR = np.int64(1 << 60)
_CLEAN, _NEVER = -1, -2  # instead of the instruction that brought a doubt


class DramContents(NamedTuple):
    """Operands and output, a row per element; micro-ops (n, 3); output channels of weights last."""

    uop: IntArray
    inp: Values
    wgt: Values
    acc: Values
    out: Values


class ScratchpadContents(NamedTuple):
    """Contents, and what is known of every element.

    ``uop`` (depth, 3), ``inp`` and ``acc`` (depth, batch, channel), ``wgt`` (depth, input
    channel, output channel).  ``loaded`` tells which micro-ops were written.  ``inp_changed``
    and ``wgt_changed`` are the progress of the load module at which an element got its value,
    ``stored`` that of the store module when it last read an accumulator.  ``doubt`` (depth, 4)
    says what made an accumulator doubtful: instruction, STALE or UNWRITTEN, memory, element.
    """

    uop: IntArray
    inp: Values
    wgt: Values
    acc: Values
    loaded: BoolArray
    inp_changed: IntArray
    wgt_changed: IntArray
    stored: IntArray
    doubt: IntArray

    @classmethod
    def of(
        cls, depths: tuple[int, int, int, int], batch: int, block: int, seed: int
    ) -> ScratchpadContents:
        """Scratchpads of these depths (UOP, INP, WGT, ACC) that hold anything at all."""
        uop, inp, wgt, acc = depths
        noise = np.random.default_rng(seed).integers

        def values(*shape: int) -> Values:
            # bytes: what is left of an earlier program multiplies without overflow
            return noise(-128, 128, shape, dtype=np.int8).astype(np.int32)

        return cls(
            uop=noise(0, 1 << 10, (uop, 3)),
            inp=values(inp, batch, block),
            wgt=values(wgt, block, block),
            acc=values(acc, batch, block),
            loaded=np.zeros(uop, dtype=np.bool_),
            inp_changed=np.full(inp, _FAR),
            wgt_changed=np.full(wgt, _FAR),
            stored=np.zeros(acc, dtype=np.int64),
            doubt=np.tile(np.array([_NEVER, UNWRITTEN, int(Memory.ACC), 0]), (acc, 1)),
        )

    def settle(self) -> None:
        """All modules have finished: what they wrote is there."""
        for changed in (self.inp_changed, self.wgt_changed):
            changed[changed != _FAR] = 0
        self.stored[:] = 0


# 32-bit word, shift and mask of every field (little endian)
_PLACES = np.array(
    [
        (
            INSTRUCTION.fields[name][1] // 4,  # type: ignore[index]
            INSTRUCTION.fields[name][1] % 4 * 8,  # type: ignore[index]
            (1 << 8 * INSTRUCTION[name].itemsize) - 1,
        )
        for name in INSTRUCTION.names or ()
    ]
)

_LOAD, _STORE, _GEMM, _FINISH, _ALU_OP = (int(op) for op in Opcode)
_UOP, _WGT, _INP, _ACC, _OUTPUT = (int(memory) for memory in Memory)
_MIN, _MAX, _ADD, _SHR, _MUL = (int(op) for op in AluOp)

_ORDERS = np.array([[r.L, r.C, r.S], [r.L, r.S, r.C], [r.C, r.L, r.S]])


@jit
def run_segment(words, module, dram, pads, held, counters, order, strict):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """Run one segment; returns (code, instruction, detail (4,), position of every module).

    ``words`` (n, 16) instruction records as 32-bit words, ``module`` (n,) 0 load, 1 compute,
    2 store.  ``held`` (4,) is the number of tokens in each queue, before and after;
    ``counters`` (7,) is added to: bytes are counted in elements (inp, wgt, acc, uop, out),
    then GEMM and ALU micro-ops.  With ``strict``, which goes with :data:`EAGER`, what is unordered
    or doubtful is an error.  ``detail`` is the element that was refused; of a doubtful one, and
    of a micro-op that is not there, instruction (-1: the same), code, memory and element.
    """
    # 1. the queues of the modules, what each knows of the others, the tokens with what they tell
    n = len(words)
    row = np.zeros(len(_PLACES), np.int64)
    detail = np.zeros(4, np.int64)
    queue = np.zeros((3, n), np.int64)
    length = np.zeros(3, np.int64)
    for i in range(n):
        queue[module[i], length[module[i]]] = i
        length[module[i]] += 1
    head = np.zeros(3, np.int64)

    clock = np.zeros((3, 3), np.int64)
    tokens = np.zeros((4, n + held.max() + 1, 3), np.int32)
    pushed = held.copy()
    popped = np.zeros(4, np.int64)
    where = np.full(3, -1, np.int64)
    # without strict everything counts as known to have happened
    known = clock if strict else np.full((3, 3), _FAR)

    # 2. rounds, until no module moves: each runs until it lacks a token, or as the order says
    moved = True
    while moved:
        moved = False
        for m in _ORDERS[order]:
            while head[m] < length[m]:
                i = queue[m, head[m]]
                _read(words, i, row)
                if not r.pop_tokens(row, m, clock, tokens, pushed, popped):
                    break
                moved = True
                head[m] += 1
                clock[m, m] += 1
                code = _execute(row, i, dram, pads, clock[m, m], known, strict, counters, detail)
                if code != OK:
                    return code, i, detail, where
                for k in range(2):
                    q = r.pushes(m, k)
                    if q >= 0 and row[r.PUSH_PREV + k]:
                        for j in range(3):
                            tokens[q, pushed[q], j] = clock[m, j]
                        pushed[q] += 1
                if (order == EAGER and m == r.C) or (order == LAZY and m != r.C):
                    break  # the others first
    # 3. what is left: tokens, and instructions when there is a deadlock
    for q in range(4):
        held[q] = pushed[q] - popped[q]
    for m in range(3):
        if head[m] < length[m]:
            where[m] = queue[m, head[m]]
    if where.max() >= 0:
        return DEADLOCK, where.max(), detail, where
    return OK, n, detail, where


@jit
def _read(words, i, row):  # type: ignore[no-untyped-def]
    """Unpack an instruction; the immediate is signed."""
    for k in range(len(_PLACES)):
        value = np.int64(words[i, _PLACES[k, 0]])
        row[k] = (value >> _PLACES[k, 1]) & _PLACES[k, 2]
    if row[r.IMM] >= 1 << 15:
        row[r.IMM] -= 1 << 16


@jit
def _execute(row, i, dram, pads, now, known, strict, counters, detail):  # type: ignore[no-untyped-def]
    """One instruction; ``now`` is the progress of its module, ``known`` (3, 3) that of every
    module (columns) as each knows it (rows)."""
    op, size = row[r.OP], row[r.X] * row[r.Y]
    if op == _GEMM:
        return _gemm(row, i, pads, known, counters, detail)
    if op == _ALU_OP:
        return _alu(row, pads, known, counters, detail)
    if op > _ALU_OP:
        return BAD_OPCODE
    if op == _FINISH or row[r.X] == 0:
        return OK
    if op == _STORE:
        counters[4] += size
        return _store(row, dram.out, pads, now, strict, detail)
    memory = row[r.MEM]
    if memory == _INP:
        counters[0] += size
        return _load(row, dram.inp, pads.inp, pads.inp_changed, now, detail)
    if memory == _WGT:
        counters[1] += size
        return _load(row, dram.wgt, pads.wgt, pads.wgt_changed, now, detail)
    if memory == _ACC:
        counters[2] += size
        return _load_acc(row, dram.acc, pads, known[r.C, r.S], detail)
    if memory == _UOP:
        counters[3] += size
        return _load_uop(row, dram.uop, pads, detail)
    return BAD_OPCODE


@jit
def _refuse(code, detail, element):  # type: ignore[no-untyped-def]
    detail[0] = element
    return code


@jit
def _outside(row, dram, sram, detail):  # type: ignore[no-untyped-def]
    """Whether a load leaves its operand or the scratchpad."""
    width = row[r.X] + row[r.X0] + row[r.X1]
    end = row[r.SRAM] + width * (row[r.Y] + row[r.Y0] + row[r.Y1])
    if end > len(sram):
        return _refuse(SRAM_RANGE, detail, end - 1)
    if row[r.Y] > 0:
        last = row[r.DRAM] + (row[r.Y] - 1) * row[r.STRIDE] + row[r.X]
        if last > len(dram):
            return _refuse(DRAM_RANGE, detail, last - 1)
    return OK


@jit
def _place(row):  # type: ignore[no-untyped-def]
    """Where the tile of a load lies: DRAM element, rows, columns, stride, padding before them."""
    return row[r.DRAM], row[r.Y], row[r.X], row[r.STRIDE], row[r.Y0], row[r.X0]


@jit
def _source(place, y, x):  # type: ignore[no-untyped-def]
    """DRAM element of a place in a loaded tile, -1 in its padding."""
    begin, rows, columns, stride, above, left = place
    y -= above
    x -= left
    return begin + y * stride + x if 0 <= y < rows and 0 <= x < columns else -1


@jit
def _load(row, dram, sram, changed, now, detail):  # type: ignore[no-untyped-def]
    """Rows of elements with zeros around them."""
    code = _outside(row, dram, sram, detail)
    if code != OK:
        return code
    rows, columns = sram.shape[1], sram.shape[2]
    e, place = row[r.SRAM], _place(row)
    for y in range(row[r.Y] + row[r.Y0] + row[r.Y1]):
        for x in range(row[r.X] + row[r.X0] + row[r.X1]):
            source, same = _source(place, y, x), changed[e] != _FAR
            for b in range(rows):
                for k in range(columns):
                    value = dram[source, b, k] if source >= 0 else np.int32(0)
                    same &= sram[e, b, k] == value
                    sram[e, b, k] = value
            if not same:
                changed[e] = now
            e += 1
    return OK


@jit
def _load_acc(row, dram, pads, seen, detail):  # type: ignore[no-untyped-def]
    """A load through the compute module; ``seen`` is the progress known of the store module."""
    code = _outside(row, dram, pads.acc, detail)
    if code != OK:
        return code
    acc = pads.acc
    e, place = row[r.SRAM], _place(row)
    for y in range(row[r.Y] + row[r.Y0] + row[r.Y1]):
        for x in range(row[r.X] + row[r.X0] + row[r.X1]):
            source, same = _source(place, y, x), True
            for b in range(acc.shape[1]):
                for k in range(acc.shape[2]):
                    value = dram[source, b, k] if source >= 0 else np.int32(0)
                    same &= acc[e, b, k] == value
                    acc[e, b, k] = value
            if not same and pads.stored[e] > seen:
                return _refuse(RACE, detail, e)
            pads.doubt[e, 0] = _CLEAN
            e += 1
    return OK


@jit
def _load_uop(row, dram, pads, detail):  # type: ignore[no-untyped-def]
    begin, size = row[r.SRAM], row[r.X] * row[r.Y]
    if begin + size > len(pads.uop):
        return _refuse(SRAM_RANGE, detail, begin + size - 1)
    if row[r.DRAM] + size > len(dram):
        return _refuse(DRAM_RANGE, detail, row[r.DRAM] + size - 1)
    for i in range(size):  # numba takes seconds to compile an assignment between slices
        for k in range(3):
            pads.uop[begin + i, k] = dram[row[r.DRAM] + i, k]
    pads.loaded[begin : begin + size] = True
    return OK


@jit
def _store(row, out, pads, now, strict, detail):  # type: ignore[no-untyped-def]
    """Accumulators; the caller cuts them to the output width."""
    acc = pads.acc
    if row[r.SRAM] + row[r.X] * row[r.Y] > len(acc):
        return _refuse(SRAM_RANGE, detail, row[r.SRAM] + row[r.X] * row[r.Y] - 1)
    if row[r.Y] > 0:
        last = row[r.DRAM] + (row[r.Y] - 1) * row[r.STRIDE] + row[r.X]
        if last > len(out):
            return _refuse(DRAM_RANGE, detail, last - 1)
    e = row[r.SRAM]
    for y in range(row[r.Y]):
        for x in range(row[r.X]):
            if strict and pads.doubt[e, 0] != _CLEAN:
                detail[:] = pads.doubt[e]
                if detail[0] == _NEVER:
                    detail[0], detail[3] = -1, e
                return detail[1]
            pads.stored[e] = now
            target = row[r.DRAM] + y * row[r.STRIDE] + x
            for b in range(acc.shape[1]):
                for c in range(acc.shape[2]):
                    out[target, b, c] = acc[e, b, c]
            e += 1
    return OK


@jit
def _missing(row, pads, detail):  # type: ignore[no-untyped-def]
    """Whether an instruction has micro-ops outside of the scratchpad, or that nothing loaded."""
    if row[r.END] > len(pads.uop):
        return _refuse(SRAM_RANGE, detail, row[r.END] - 1)
    for u in range(row[r.BGN], row[r.END]):
        if not pads.loaded[u]:
            detail[0], detail[1], detail[2], detail[3] = -1, UNWRITTEN, _UOP, u
            return UNWRITTEN
    return OK


@jit
def _doubt(doubt, dst, i, memory, element, changed, known):  # type: ignore[no-untyped-def]
    """Note that what GEMM reads for an accumulator may still be something else."""
    if changed > known:
        doubt[dst, 0], doubt[dst, 1], doubt[dst, 2], doubt[dst, 3] = i, STALE, memory, element
        if changed == _FAR:
            doubt[dst, 1] = UNWRITTEN


@jit
def _gemm(row, i, pads, known, counters, detail):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """acc[dst] += inp[src] times wgt[wgt] transposed, or acc[dst] = 0."""
    code = _missing(row, pads, detail)
    if code != OK:
        return code
    uop, inp, wgt, acc, doubt = pads.uop, pads.inp, pads.wgt, pads.acc, pads.doubt
    reset = row[r.RESET]
    batch, block = acc.shape[1], acc.shape[2]
    if not reset:
        counters[5] += row[r.OUT] * row[r.IN] * max(row[r.END] - row[r.BGN], 0)
    for y in range(row[r.OUT]):
        for x in range(row[r.IN]):
            dst0 = y * row[r.DST_O] + x * row[r.DST_I]
            src0 = y * row[r.SRC_O] + x * row[r.SRC_I]
            wgt0 = y * row[r.WGT_O] + x * row[r.WGT_I]
            for u in range(row[r.BGN], row[r.END]):
                dst = dst0 + uop[u, 0]
                if dst >= len(acc):
                    return _refuse(SRAM_RANGE, detail, dst)
                unordered = pads.stored[dst] > known[r.C, r.S]
                before = acc[dst].copy() if unordered else acc[:0, 0]
                if reset:
                    for b in range(batch):
                        for j in range(block):
                            acc[dst, b, j] = 0
                    doubt[dst, 0] = _CLEAN
                else:
                    src, w = src0 + uop[u, 1], wgt0 + uop[u, 2]
                    if src >= len(inp):
                        return _refuse(SRAM_RANGE, detail, src)
                    if w >= len(wgt):
                        return _refuse(SRAM_RANGE, detail, w)
                    if doubt[dst, 0] == _CLEAN:
                        _doubt(doubt, dst, i, _INP, src, pads.inp_changed[src], known[r.C, r.L])
                        _doubt(doubt, dst, i, _WGT, w, pads.wgt_changed[w], known[r.C, r.L])
                    for b in range(batch):
                        for k in range(block):
                            value = inp[src, b, k]
                            for j in range(block):
                                acc[dst, b, j] += value * wgt[w, k, j]
                if unordered and (before != acc[dst]).any():
                    return _refuse(RACE, detail, dst)
    return OK


@jit
def _alu(row, pads, known, counters, detail):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """acc[dst] = op(acc[dst], acc[src] or the immediate), 32-bit arithmetic."""
    code = _missing(row, pads, detail)
    if code != OK:
        return code
    counters[6] += row[r.OUT] * row[r.IN] * max(row[r.END] - row[r.BGN], 0)
    op, use_imm, imm = row[r.ALU], row[r.USE_IMM], np.int32(row[r.IMM])
    uop, doubt = pads.uop, pads.doubt
    flat = pads.acc.reshape(len(pads.acc), -1)
    for y in range(row[r.OUT]):
        for x in range(row[r.IN]):
            for u in range(row[r.BGN], row[r.END]):
                dst = y * row[r.DST_O] + x * row[r.DST_I] + uop[u, 0]
                src = y * row[r.SRC_O] + x * row[r.SRC_I] + uop[u, 1]
                if dst >= len(flat) or src >= len(flat):
                    return _refuse(SRAM_RANGE, detail, max(dst, src))
                if not use_imm and doubt[dst, 0] == _CLEAN:
                    for k in range(4):  # a slice would be copied first
                        doubt[dst, k] = doubt[src, k]
                same = True
                for k in range(flat.shape[1]):
                    left = flat[dst, k]
                    right = imm if use_imm else flat[src, k]
                    if op == _MIN:
                        flat[dst, k] = min(left, right)
                    elif op == _MAX:
                        flat[dst, k] = max(left, right)
                    elif op == _ADD:
                        flat[dst, k] = left + right
                    elif op == _SHR:
                        if right >= 0:
                            flat[dst, k] = left >> min(right, np.int32(31))
                        else:
                            flat[dst, k] = left << min(-right, np.int32(31))
                    elif op == _MUL:
                        flat[dst, k] = left * right
                    else:
                        return _refuse(BAD_OPCODE, detail, op)
                    same &= flat[dst, k] == left
                if not same and pads.stored[dst] > known[r.C, r.S]:
                    return _refuse(RACE, detail, dst)
    return OK
