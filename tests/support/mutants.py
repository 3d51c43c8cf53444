"""Programs with one small change each: a token, an address, a size, a micro-op, an order."""

from __future__ import annotations

from random import Random

import numpy as np

from vtacsp.machine.instructions import Opcode, field_bits

__all__ = ["mutant"]

FLAGS = ("pop_prev_dep", "pop_next_dep", "push_prev_dep", "push_next_dep")
MOVE = ("sram_base", "dram_base", "x_size", "y_size", "x_stride", "y_pad_0", "y_pad_1", "x_pad_0",
        "x_pad_1")  # fmt: skip
WORK = ("uop_bgn", "uop_end", "iter_out", "iter_in", "dst_factor_out", "dst_factor_in",
        "src_factor_out", "src_factor_in", "reset_reg")  # fmt: skip
ONLY = {Opcode.GEMM: ("wgt_factor_out", "wgt_factor_in"),
        Opcode.ALU: ("use_imm", "imm", "alu_opcode")}  # fmt: skip
STEPS = (-1, 1, -1, 1, -2, 2, 4, 16)


def mutant(instructions, micro_ops, hardware, rng: Random):
    """(what was changed, instructions, micro-ops); the change is of one of seven kinds."""
    ins, uops = instructions.copy(), micro_ops.copy()
    while True:
        kind = rng.choice(("clear", "clear", "set", "shift", "field", "field", "uop", "swap",
                           "drop"))  # fmt: skip
        words = globals()[f"_{kind}"](ins, uops, hardware, rng)
        if words is not None:
            at = words[1]
            if kind == "drop":  # a no-operation that keeps the number of instructions
                ins = np.concatenate([ins[:at], ins[at + 1 :]])
            if kind == "drop" or (ins != instructions).any() or (uops != micro_ops).any():
                return " ".join(map(str, (kind, *words))), ins, uops


def _clear(ins, uops, hardware, rng):
    flag = rng.choice(FLAGS)
    at = np.flatnonzero(ins[flag])
    if not len(at):
        return None
    i = int(rng.choice(at))
    ins[flag][i] = 0
    return flag, i


def _set(ins, uops, hardware, rng):
    flag, i = rng.choice(FLAGS), rng.randrange(len(ins) - 1)
    ins[flag][i] = 1
    return flag, i


def _shift(ins, uops, hardware, rng):
    """A flag goes to the next or the one before."""
    flag = rng.choice(FLAGS)
    at = np.flatnonzero(ins[flag])
    if not len(at):
        return None
    i = int(rng.choice(at))
    j = i + rng.choice((-2, -1, 1, 2))
    if not 0 <= j < len(ins) - 1 or ins[flag][j]:
        return None
    ins[flag][i], ins[flag][j] = 0, 1
    return flag, i, j


def _field(ins, uops, hardware, rng):
    i = rng.randrange(len(ins) - 1)
    opcode = int(ins["opcode"][i])
    moves = opcode in (Opcode.LOAD, Opcode.STORE)
    if moves and not ins["x_size"][i]:
        return None
    name = rng.choice(MOVE if moves else (*WORK, *ONLY.get(opcode, ())))
    if opcode == Opcode.ALU and name == "reset_reg":
        return None
    value = int(ins[name][i]) + rng.choice(STEPS)
    top = field_bits(hardware)[name]
    low, high = (-(1 << top - 1), (1 << top - 1) - 1) if name == "imm" else (0, (1 << top) - 1)
    if not low <= value <= high:
        return None
    ins[name][i] = value
    return name, i, value


def _uop(ins, uops, hardware, rng):
    i, name = rng.randrange(len(uops)), rng.choice(uops.dtype.names)
    value = int(uops[name][i]) + rng.choice(STEPS)
    if not 0 <= value < min(hardware.depth("wgt"), hardware.depth("inp"), hardware.depth("acc")):
        return None
    uops[name][i] = value
    return name, i, value


def _swap(ins, uops, hardware, rng):
    i = rng.randrange(len(ins) - 2)
    ins[[i, i + 1]] = ins[[i + 1, i]]
    return "with the next", i


def _drop(ins, uops, hardware, rng):
    return "instruction", rng.randrange(len(ins) - 1)
