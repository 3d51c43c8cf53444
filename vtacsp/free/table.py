"""The instructions of a free schedule while they are made: rows of numbers.

Independent of rules on purpose.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.jit import jit
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import instruction_bits
from vtacsp.machine.instructions import INSTRUCTION, Memory, Opcode, log_depths

__all__ = ["COLUMNS", "FIELDS", "alu", "field_limits", "gemm", "move", "too_wide"]

FIELDS = (
    *("opcode", "memory_type", "sram_base", "dram_base", "y_size", "x_size", "x_stride"),
    *("reset_reg", "uop_bgn", "uop_end", "iter_out", "iter_in", "dst_factor_out"),
    *("dst_factor_in", "src_factor_out", "src_factor_in", "wgt_factor_out", "wgt_factor_in"),
    *("alu_opcode", "use_imm", "imm"),
)
"""Fields of an instruction that a free schedule uses; the others are 0."""

COLUMNS = (*FIELDS, "kernel", "inp", "inp_end", "wgt", "wgt_end", "acc", "acc_end")
"""Columns of a table.

``kernel`` is the number of the micro-op kernel that the instruction runs, or -1.  Of the slots of
a scratchpad it touches the pieces from ``inp`` to before ``inp_end``, and so on; -1 twice is none.
"""

_GEMM, _ALU, _LOAD, _STORE = (int(o) for o in (Opcode.GEMM, Opcode.ALU, Opcode.LOAD, Opcode.STORE))
_OUT = int(Memory.OUT)

(_OPCODE, _MEMORY, _SRAM, _DRAM, _Y, _X, _STRIDE, _RESET, _BEGIN, _END, _ITER) = range(11)
_DST, _SRC, _WGT_FACTOR = 12, 14, 16
_ALU_OPCODE, _USE_IMM, _IMM = 18, 19, 20
KERNEL, INP, _, WGT, _, ACC, _ = range(len(FIELDS), len(COLUMNS))


@lru_cache(maxsize=64)
def field_limits(hardware: VTAConfig) -> IntArray:
    """The largest value of each of :data:`FIELDS` on a machine; second row: of an ALU one."""
    kinds = [instruction_bits(**log_depths(hardware), alu=alu) for alu in (False, True)]
    return np.array(
        [[(1 << min(bits[name], 31)) - 1 for name in FIELDS] for bits in kinds], dtype=np.int64
    )


@jit
def too_wide(table, most):  # type: ignore[no-untyped-def]
    """The first of :data:`FIELDS` that has too large a value in some row, -1 when none has."""
    for column in range(most.shape[1]):
        for i in range(len(table)):
            if table[i, column] > most[1 if table[i, _OPCODE] == _ALU else 0, column]:
                return column
    return -1


@jit
def _blank(table, n):  # type: ignore[no-untyped-def]
    table[n, :] = 0
    table[n, KERNEL:] = -1


@jit
def move(table, n, memory, sram, dram, y, x, stride):  # type: ignore[no-untyped-def]
    """A load, or a store when the memory is that of the output."""
    _blank(table, n)
    table[n, _OPCODE] = _STORE if memory == _OUT else _LOAD
    table[n, _MEMORY], table[n, _SRAM], table[n, _DRAM] = memory, sram, dram
    table[n, _Y], table[n, _X], table[n, _STRIDE] = y, x, stride
    return n + 1


@jit
def gemm(table, n, reset, loops, kernel, begin, end):  # type: ignore[no-untyped-def]
    """A GEMM, or a reset; a row of ``loops`` is an extent and three factors, outer first."""
    _blank(table, n)
    table[n, _OPCODE], table[n, _RESET] = _GEMM, reset
    table[n, KERNEL], table[n, _BEGIN], table[n, _END] = kernel, begin, end
    for k in range(2):
        table[n, _ITER + k], table[n, _DST + k] = loops[k, 0], loops[k, 1]
        table[n, _SRC + k], table[n, _WGT_FACTOR + k] = loops[k, 2], loops[k, 3]
    return n + 1


@jit
def alu(table, n, operation, use_imm, immediate, loops, kernel, begin, end):  # type: ignore[no-untyped-def]
    """An ALU operation, with an immediate or with a second accumulator."""
    gemm(table, n, 0, loops, kernel, begin, end)
    table[n, _OPCODE], table[n, _ALU_OPCODE] = _ALU, operation
    table[n, _WGT_FACTOR] = table[n, _WGT_FACTOR + 1] = 0
    if use_imm:
        table[n, _USE_IMM], table[n, _IMM] = 1, immediate
    return n + 1


def records(table: IntArray) -> NDArray[np.void]:
    """The instructions of a table, dtype ``INSTRUCTION``, without dependency flags."""
    result = np.zeros(len(table), dtype=INSTRUCTION)
    for number, name in enumerate(FIELDS):
        result[name] = table[:, number]
    return result
