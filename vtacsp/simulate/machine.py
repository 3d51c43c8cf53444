"""The compiled machine: three modules with queues, four token queues, four scratchpads.

The fetch module hands each instruction to the queue of its module; a module runs the head of
its queue as soon as the tokens are there.  Semantics of ``sim_driver.cc`` and ``sim_tlpp.cc``
of tvm-vta.  Every token carries the progress of the module that pushed it (a vector clock),
every scratchpad element the progress at which it was last read and written: an access that no
token orders is a race.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from vtacsp.program.isa import INSTRUCTION, AluOp, Memory, Opcode

__all__ = ["DEADLOCK", "DRAM_RANGE", "OK", "RACE", "SRAM_RANGE", "run_segment"]

OK, SRAM_RANGE, DRAM_RANGE, RACE, DEADLOCK, BAD_OPCODE = range(6)

COLUMNS = (
    *("opcode", "pop_prev_dep", "pop_next_dep", "push_prev_dep", "push_next_dep"),
    *("memory_type", "sram_base", "dram_base", "y_size", "x_size", "x_stride"),
    *("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"),
    *("reset_reg", "uop_bgn", "uop_end", "iter_out", "iter_in"),
    *("dst_factor_out", "dst_factor_in", "src_factor_out", "src_factor_in"),
    *("wgt_factor_out", "wgt_factor_in", "alu_opcode", "use_imm", "imm"),
)
"""Fields of an instruction, in the order in which the machine keeps them."""

# 32-bit word, shift and mask of every field (little endian)
_PLACES = np.array(
    [
        (
            INSTRUCTION.fields[name][1] // 4,  # type: ignore[index]
            INSTRUCTION.fields[name][1] % 4 * 8,  # type: ignore[index]
            (1 << 8 * INSTRUCTION[name].itemsize) - 1,
        )
        for name in COLUMNS
    ]
)

(_OP, _POP_PREV, _POP_NEXT, _PUSH_PREV, _PUSH_NEXT) = range(5)
(_MEM, _SRAM, _DRAM, _Y, _X, _STRIDE, _Y0, _Y1, _X0, _X1) = range(5, 15)
(_RESET, _BGN, _END, _OUT, _IN, _DST_O, _DST_I, _SRC_O, _SRC_I, _WGT_O, _WGT_I) = range(15, 26)
(_ALU, _USE_IMM, _IMM) = range(26, 29)

_LOAD, _STORE, _GEMM, _FINISH, _ALU_OP = (int(op) for op in Opcode)
_UOP, _WGT, _INP, _ACC, _OUTPUT = (int(memory) for memory in Memory)
_MIN, _MAX, _ADD, _SHR, _MUL = (int(op) for op in AluOp)

# modules and, by (from, to), token queues: load->compute, compute->load, store->compute,
# compute->store
_L, _C, _S = range(3)
_L2C, _C2L, _S2C, _C2S = range(4)


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def run_segment(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    words,
    module,
    uop_dram,
    inp_dram,
    wgt_dram,
    acc_dram,
    out_dram,
    uop,
    inp,
    wgt,
    acc,
    held,
    counters,
    races,
):
    """Run one segment; returns (code, instruction, detail, position of every module).

    ``words`` (n, 16) instruction records as 32-bit words, ``module`` (n,) 0 load, 1 compute,
    2 store.  DRAM operands and scratchpads have one row per element: data and weights
    (rows, values), ``wgt`` as
    (depth, input channel, output channel), ``acc`` (depth, batch, channel), micro-ops
    (n, 3).  ``held`` (4,) is the number of tokens in each queue, before and after;
    ``counters`` (7,) is added to: bytes are counted in elements (inp, wgt, acc, uop, out),
    then GEMM and ALU micro-ops.  Without ``races``
    an unordered access is no error.  ``detail`` is the element or micro-op that was refused.
    """
    n = len(words)
    row = np.zeros(len(_PLACES), np.int64)
    queue = np.zeros((3, n), np.int64)
    length = np.zeros(3, np.int64)
    for i in range(n):
        queue[module[i], length[module[i]]] = i
        length[module[i]] += 1
    head = np.zeros(3, np.int64)

    clock = np.zeros((3, 3), np.int64)
    extra = held.max()
    tokens = np.zeros((4, n + extra + 1, 3), np.int32)
    pushed = held.copy()
    popped = np.zeros(4, np.int64)
    inp_read = np.zeros(len(inp), np.int32)
    inp_written = np.zeros(len(inp), np.int32)
    wgt_read = np.zeros(len(wgt), np.int32)
    wgt_written = np.zeros(len(wgt), np.int32)
    acc_stored = np.zeros(len(acc), np.int32)
    acc_written = np.zeros(len(acc), np.int32)
    where = np.full(3, -1, np.int64)

    moved = True
    while moved:
        moved = False
        for m in range(3):
            while head[m] < length[m]:
                i = queue[m, head[m]]
                _read(words, i, row)
                prev = _L2C if m == _C else _C2S if m == _S else -1
                succ = _S2C if m == _C else _C2L if m == _L else -1
                pop_prev = row[_POP_PREV] and prev >= 0
                pop_next = row[_POP_NEXT] and succ >= 0
                if pop_prev and popped[prev] == pushed[prev]:
                    break
                if pop_next and popped[succ] == pushed[succ]:
                    break
                moved = True
                head[m] += 1
                for k in range(2):
                    q = prev if k == 0 else succ
                    if pop_prev if k == 0 else pop_next:
                        for j in range(3):
                            clock[m, j] = max(clock[m, j], tokens[q, popped[q], j])
                        popped[q] += 1
                clock[m, m] += 1
                now = clock[m, m] if races else 0

                op = row[_OP]
                code, detail = OK, 0
                if op == _LOAD and row[_X] != 0:
                    memory = row[_MEM]
                    if memory == _INP:
                        counters[0] += row[_X] * row[_Y]
                        code, detail = _load(
                            row, inp_dram, inp, inp_read, inp_written, clock[m, _C], now
                        )
                    elif memory == _WGT:
                        counters[1] += row[_X] * row[_Y]
                        code, detail = _load(
                            row, wgt_dram, wgt, wgt_read, wgt_written, clock[m, _C], now
                        )
                    elif memory == _ACC:
                        counters[2] += row[_X] * row[_Y]
                        code, detail = _load(
                            row, acc_dram, acc, acc_stored, acc_written, clock[m, _S], now
                        )
                    elif memory == _UOP:
                        counters[3] += row[_X] * row[_Y]
                        code, detail = _load_uop(row, uop_dram, uop)
                    else:
                        code = BAD_OPCODE
                elif op == _STORE and row[_X] != 0:
                    counters[4] += row[_X] * row[_Y]
                    code, detail = _store(
                        row, acc, out_dram, acc_stored, acc_written, clock[m, _C], now
                    )
                elif op == _GEMM:
                    code, detail = _gemm(
                        row,
                        uop,
                        inp,
                        wgt,
                        acc,
                        inp_read,
                        inp_written,
                        wgt_read,
                        wgt_written,
                        acc_stored,
                        acc_written,
                        clock[m, _L],
                        clock[m, _S],
                        now,
                        counters,
                    )
                elif op == _ALU_OP:
                    code, detail = _alu(
                        row, uop, acc, acc_stored, acc_written, clock[m, _S], now, counters
                    )
                elif op > _ALU_OP:
                    code = BAD_OPCODE
                if code != OK:
                    return code, i, detail, where
                push_prev = _C2L if m == _C else _S2C if m == _S else -1
                push_next = _C2S if m == _C else _L2C if m == _L else -1
                for k in range(2):
                    q = push_prev if k == 0 else push_next
                    if q >= 0 and row[_PUSH_PREV if k == 0 else _PUSH_NEXT]:
                        for j in range(3):
                            tokens[q, pushed[q], j] = clock[m, j]
                        pushed[q] += 1
    for q in range(4):
        held[q] = pushed[q] - popped[q]
    for m in range(3):
        if head[m] < length[m]:
            where[m] = queue[m, head[m]]
    if where.max() >= 0:
        return DEADLOCK, where.max(), 0, where
    return OK, n, 0, where


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _read(words, i, row):  # type: ignore[no-untyped-def]
    """Unpack an instruction; the immediate is signed."""
    for k in range(len(_PLACES)):
        value = np.int64(words[i, _PLACES[k, 0]])
        row[k] = (value >> _PLACES[k, 1]) & _PLACES[k, 2]
    if row[_IMM] >= 1 << 15:
        row[_IMM] -= 1 << 16


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _load(row, dram, sram, read, written, seen, now):  # type: ignore[no-untyped-def]
    """Rows of elements with zeros around them; ``seen`` is the progress known of the reader."""
    width = row[_X] + row[_X0] + row[_X1]
    height = row[_Y] + row[_Y0] + row[_Y1]
    begin, end = row[_SRAM], row[_SRAM] + width * height
    if end > len(sram):
        return SRAM_RANGE, end - 1
    if row[_Y] > 0:
        last = row[_DRAM] + (row[_Y] - 1) * row[_STRIDE] + row[_X]
        if last > len(dram):
            return DRAM_RANGE, last - 1
    for e in range(begin, end):
        if read[e] > seen:
            return RACE, e
        written[e] = now
    size = sram.size // len(sram)
    flat_in, flat_out = dram.reshape(-1), sram.reshape(-1)
    for y in range(height):
        inside = row[_Y0] <= y < row[_Y0] + row[_Y]
        at = (begin + y * width) * size
        if not inside:
            flat_out[at : at + width * size] = 0
            continue
        source = (row[_DRAM] + (y - row[_Y0]) * row[_STRIDE]) * size
        left, middle = at + row[_X0] * size, at + (row[_X0] + row[_X]) * size
        flat_out[at:left] = 0
        for k in range(middle - left):
            flat_out[left + k] = flat_in[source + k]
        flat_out[middle : at + width * size] = 0
    return OK, 0


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _load_uop(row, dram, uop):  # type: ignore[no-untyped-def]
    begin, size = row[_SRAM], row[_X] * row[_Y]
    if begin + size > len(uop):
        return SRAM_RANGE, begin + size - 1
    if row[_DRAM] + size > len(dram):
        return DRAM_RANGE, row[_DRAM] + size - 1
    uop[begin : begin + size] = dram[row[_DRAM] : row[_DRAM] + size]
    return OK, 0


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _store(row, acc, out, stored, written, seen, now):  # type: ignore[no-untyped-def]
    """Accumulators cut to the output width; ``seen`` is the progress known of compute."""
    if row[_SRAM] + row[_X] * row[_Y] > len(acc):
        return SRAM_RANGE, row[_SRAM] + row[_X] * row[_Y] - 1
    if row[_Y] > 0:
        last = row[_DRAM] + (row[_Y] - 1) * row[_STRIDE] + row[_X]
        if last > len(out):
            return DRAM_RANGE, last - 1
    e = row[_SRAM]
    for y in range(row[_Y]):
        for x in range(row[_X]):
            if written[e] > seen:
                return RACE, e
            stored[e] = now
            target = row[_DRAM] + y * row[_STRIDE] + x
            for b in range(acc.shape[1]):
                for c in range(acc.shape[2]):
                    out[target, b, c] = acc[e, b, c]
            e += 1
    return OK, 0


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _gemm(  # type: ignore[no-untyped-def]  # noqa: PLR0912
    row,
    uop,
    inp,
    wgt,
    acc,
    inp_read,
    inp_written,
    wgt_read,
    wgt_written,
    acc_stored,
    acc_written,
    seen_load,
    seen_store,
    now,
    counters,
):
    """acc[dst] += inp[src] times wgt[wgt] transposed, or acc[dst] = 0."""
    if row[_END] > len(uop):
        return SRAM_RANGE, row[_END] - 1
    reset = row[_RESET]
    batch, block = acc.shape[1], acc.shape[2]
    if not reset:
        counters[5] += row[_OUT] * row[_IN] * max(row[_END] - row[_BGN], 0)
    for y in range(row[_OUT]):
        for x in range(row[_IN]):
            dst0 = y * row[_DST_O] + x * row[_DST_I]
            src0 = y * row[_SRC_O] + x * row[_SRC_I]
            wgt0 = y * row[_WGT_O] + x * row[_WGT_I]
            for u in range(row[_BGN], row[_END]):
                dst = dst0 + uop[u, 0]
                if dst >= len(acc):
                    return SRAM_RANGE, dst
                if acc_stored[dst] > seen_store:
                    return RACE, dst
                acc_written[dst] = now
                target = acc[dst]
                if reset:
                    target[:] = 0
                    continue
                src, w = src0 + uop[u, 1], wgt0 + uop[u, 2]
                if src >= len(inp):
                    return SRAM_RANGE, src
                if w >= len(wgt):
                    return SRAM_RANGE, w
                if inp_written[src] > seen_load or wgt_written[w] > seen_load:
                    return RACE, src
                inp_read[src] = now
                wgt_read[w] = now
                data, weights = inp[src], wgt[w]
                for b in range(batch):
                    for k in range(block):
                        value = data[b, k]
                        for j in range(block):
                            target[b, j] += value * weights[k, j]
    return OK, 0


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _alu(row, uop, acc, stored, written, seen, now, counters):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """acc[dst] = op(acc[dst], acc[src] or the immediate), 32-bit arithmetic."""
    if row[_END] > len(uop):
        return SRAM_RANGE, row[_END] - 1
    counters[6] += row[_OUT] * row[_IN] * max(row[_END] - row[_BGN], 0)
    op, use_imm, imm = row[_ALU], row[_USE_IMM], np.int32(row[_IMM])
    flat = acc.reshape(len(acc), -1)
    lanes = flat.shape[1]
    for y in range(row[_OUT]):
        for x in range(row[_IN]):
            for u in range(row[_BGN], row[_END]):
                dst = y * row[_DST_O] + x * row[_DST_I] + uop[u, 0]
                src = y * row[_SRC_O] + x * row[_SRC_I] + uop[u, 1]
                if dst >= len(acc) or src >= len(acc):
                    return SRAM_RANGE, max(dst, src)
                if stored[dst] > seen:
                    return RACE, dst
                written[dst] = now
                for k in range(lanes):
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
                        return BAD_OPCODE, op
    return OK, 0
