"""An independent witness of the audit: a program executed in random legal orders of its modules.

Written from the instruction set, value by value, on the bytes of a bundle.  Load, compute and store
each run their instructions in order; which of those that have their tokens goes next is drawn, or
is the one that begins, or ends, first with a memory of some latency.
Scratchpads hold anything at first.  What any of these runs computes, the hardware may compute.
"""

from __future__ import annotations

from itertools import permutations
from random import Random

import numpy as np

from vtacsp.bundle import Bundle

__all__ = ["Fault", "orders", "run"]

LOAD, STORE, GEMM, FINISH, ALU = range(5)
UOP, WGT, INP, ACC, OUT = range(5)
FAVOURS = (*permutations((1.0, 0.02, 0.0004)), (1.0, 1.0, 1.0))
"""Weights of load, compute and store."""
LATENCIES = tuple((latency, last) for latency in (1, 16, 64, 512) for last in (True, False))
"""Cycles of the memory, and whether an instruction counts when it ends or when it begins."""
SCHEMES = (*FAVOURS, *LATENCIES)


class Fault(Exception):
    """A deadlock, or an access outside of everything."""


def orders(bundle: Bundle, instructions, micro_ops, number: int, rng: Random):
    """Outputs of several runs, or the :class:`Fault` of one."""
    for k in range(number):
        try:
            yield run(bundle, instructions, micro_ops, SCHEMES[k % len(SCHEMES)], rng)
        except Fault as fault:
            yield fault


def run(bundle: Bundle, instructions, micro_ops, scheme, rng: Random) -> bytes:
    """The output buffer after a run of all instructions; scheme is one of :data:`SCHEMES`."""
    machine = bundle.hardware
    noise = np.random.default_rng(rng.getrandbits(32))
    b, k = machine.batch, machine.block
    depth = {name: machine.depth(name) for name in ("uop", "inp", "wgt", "acc")}
    pads = {
        UOP: noise.integers(0, 64, (depth["uop"], 3)),
        INP: noise.integers(-128, 128, (depth["inp"], b, k)),
        WGT: noise.integers(-128, 128, (depth["wgt"], k, k)),
        ACC: noise.integers(-(2**30), 2**30, (depth["acc"], b, k)),
    }
    buffers = bundle.manifest.buffers
    dram, base = {}, {}
    types = {"inp": (INP, "i1", (b, k)), "wgt": (WGT, "i1", (k, k)), "acc": (ACC, "<i4", (b, k))}
    for name, (memory, kind, shape) in types.items():
        data = np.frombuffer(bundle.content.get(name, b""), kind).astype(np.int64)
        dram[memory] = data.reshape(-1, *shape)
        if name in buffers:
            base[memory] = buffers[name].address // buffers[name].element_bytes
    dram[UOP] = np.stack([micro_ops[n].astype(np.int64) for n in micro_ops.dtype.names], axis=1)
    base[UOP] = buffers["uop"].address // 4
    expected = np.frombuffer(bundle.content["out"], "i1").reshape(-1, b, k)
    out = ~expected
    base[OUT] = buffers["out"].address // buffers["out"].element_bytes
    dram[OUT] = out

    # rows of plain integers: a field of a record costs a microsecond
    names = instructions.dtype.names
    rows = [dict(zip(names, row, strict=True)) for row in instructions.tolist()]
    for part in bundle.manifest.launches:
        _launch(rows[part.first : part.first + part.count], pads, dram, base, scheme, rng)
    return out.tobytes()


def _module(row) -> int:
    if row["opcode"] == STORE:
        return 2
    return 0 if row["opcode"] == LOAD and row["memory_type"] in (INP, WGT) else 1


def _cycles(row, latency: int) -> int:
    """About how long an instruction takes."""
    if row["opcode"] in (LOAD, STORE):
        return latency + row["x_size"] * row["y_size"] if row["x_size"] else 1
    work = row["iter_out"] * row["iter_in"] * (row["uop_end"] - row["uop_bgn"])
    return 1 if row["opcode"] == FINISH else 6 + max(work, 0)


def _launch(rows, pads, dram, base, scheme, rng) -> None:
    queues = ([], [], [])
    for row in rows:
        queues[_module(row)].append(row)
    at = [0, 0, 0]
    tokens = {(0, 1): 0, (1, 0): 0, (2, 1): 0, (1, 2): 0}  # (from, to)
    left = len(rows)
    clock, pushed = [0, 0, 0], {pair: [] for pair in tokens}  # when a module and a token are free
    while left:
        able = []
        for m in range(3):
            if at[m] < len(queues[m]):
                row = queues[m][at[m]]
                pops = [(m - 1, m)] * row["pop_prev_dep"] + [(m + 1, m)] * row["pop_next_dep"]
                pops = [pair for pair in pops if pair in tokens]
                if all(tokens[pair] for pair in pops):
                    able.append((m, pops))
        if not able:
            raise Fault("deadlock")
        begins = [
            max([clock[m], *(pushed[p][len(pushed[p]) - tokens[p]] for p in pops)])
            for m, pops in able
        ]
        latency = scheme[0] if scheme in LATENCIES else 0
        ends = [
            b + _cycles(queues[m][at[m]], latency) for b, (m, _) in zip(begins, able, strict=True)
        ]
        if scheme in LATENCIES:
            times = ends if scheme[1] else begins
            chosen = times.index(min(times))
        else:
            chosen = rng.choices(range(len(able)), [scheme[m] for m, _ in able])[0]
        m, pops = able[chosen]
        clock[m] = ends[chosen]
        row = queues[m][at[m]]
        for pair in pops:
            tokens[pair] -= 1
        _execute(row, pads, dram, base)
        pushes = [(m, m - 1)] * row["push_prev_dep"] + [(m, m + 1)] * row["push_next_dep"]
        for pair in pushes:
            if pair in tokens:
                tokens[pair] += 1
                pushed[pair].append(clock[m])
        at[m] += 1
        left -= 1
        if row["opcode"] == FINISH:
            return  # the host may read now


def _execute(row, pads, dram, base) -> None:
    opcode = row["opcode"]
    if opcode in (LOAD, STORE):
        if row["x_size"]:
            _move(row, pads, dram, base)
    elif opcode in (GEMM, ALU):
        _work(row, pads)
    elif opcode != FINISH:
        raise Fault(f"opcode {opcode}")


def _move(row, pads, dram, base) -> None:
    store = row["opcode"] == STORE
    memory = OUT if store else row["memory_type"]
    if memory not in base:
        raise Fault(f"memory {memory}")
    pad = pads[ACC if store else memory]
    y0, y1, x0, x1 = (0,) * 4 if store else (
        row["y_pad_0"], row["y_pad_1"], row["x_pad_0"], row["x_pad_1"]
    )  # fmt: skip
    width, height = x0 + row["x_size"] + x1, y0 + row["y_size"] + y1
    first = row["dram_base"] - base[memory]
    sram = row["sram_base"]
    if sram + width * height > len(pad):
        raise Fault("scratchpad")
    if not store:
        pad[sram : sram + width * height] = 0
    for y in range(row["y_size"]):
        begin = first + y * row["x_stride"]
        end = begin + row["x_size"]
        if begin < 0 or end > len(dram[memory]):
            raise Fault("buffer")
        here = sram + (y + y0) * width + x0
        if store:
            dram[OUT][begin:end] = pad[here : here + row["x_size"]].astype(np.int8)
        else:
            pad[here : here + row["x_size"]] = dram[memory][begin:end]


def _wrap(values):
    return (values + 2**31) % 2**32 - 2**31


def _work(row, pads) -> None:
    acc, uops = pads[ACC], pads[UOP].tolist()
    if row["uop_end"] > len(uops):
        raise Fault("micro-op")
    for y in range(row["iter_out"]):
        for x in range(row["iter_in"]):
            for u in range(row["uop_bgn"], row["uop_end"]):
                d = uops[u][0] + y * row["dst_factor_out"] + x * row["dst_factor_in"]
                s = uops[u][1] + y * row["src_factor_out"] + x * row["src_factor_in"]
                if d >= len(acc):
                    raise Fault("accumulator")
                if row["opcode"] == ALU:
                    if not row["use_imm"] and s >= len(acc):
                        raise Fault("accumulator")
                    acc[d] = _alu(row, acc[d], row["imm"] if row["use_imm"] else acc[s])
                elif row["reset_reg"]:
                    acc[d] = 0
                else:
                    w = uops[u][2] + y * row["wgt_factor_out"] + x * row["wgt_factor_in"]
                    if s >= len(pads[INP]) or w >= len(pads[WGT]):
                        raise Fault("operand")
                    acc[d] = _wrap(acc[d] + pads[INP][s] @ pads[WGT][w].T)


def _alu(row, left, right):
    operation = row["alu_opcode"]
    if operation == 0:
        return np.minimum(left, right)
    if operation == 1:
        return np.maximum(left, right)
    if operation == 2:
        return _wrap(left + right)
    if operation == 3:
        by = np.broadcast_to(np.asarray(right), left.shape)
        down, up = np.clip(by, 0, 31), np.clip(-by, 0, 31)
        return np.where(by >= 0, left >> down, _wrap(left << up))
    if operation == 4:
        return _wrap(left * right)
    raise Fault("operation")
