"""The columns of instruction rows are the fields of the instruction; queues join neighbours."""

from __future__ import annotations

from itertools import product

import numpy as np

from vtacsp.machine import rows
from vtacsp.machine.instructions import (
    INSTRUCTION,
    Memory,
    Module,
    Opcode,
    TokenQueue,
    modules_of,
)

COLUMNS = {
    "opcode": rows.OP,
    "pop_prev_dep": rows.POP_PREV,
    "pop_next_dep": rows.POP_NEXT,
    "push_prev_dep": rows.PUSH_PREV,
    "push_next_dep": rows.PUSH_NEXT,
    "memory_type": rows.MEM,
    "sram_base": rows.SRAM,
    "dram_base": rows.DRAM,
    "y_size": rows.Y,
    "x_size": rows.X,
    "x_stride": rows.STRIDE,
    "y_pad_0": rows.Y0,
    "y_pad_1": rows.Y1,
    "x_pad_0": rows.X0,
    "x_pad_1": rows.X1,
    "reset_reg": rows.RESET,
    "uop_bgn": rows.BGN,
    "uop_end": rows.END,
    "iter_out": rows.OUT,
    "iter_in": rows.IN,
    "dst_factor_out": rows.DST_O,
    "dst_factor_in": rows.DST_I,
    "src_factor_out": rows.SRC_O,
    "src_factor_in": rows.SRC_I,
    "wgt_factor_out": rows.WGT_O,
    "wgt_factor_in": rows.WGT_I,
    "alu_opcode": rows.ALU,
    "use_imm": rows.USE_IMM,
    "imm": rows.IMM,
}


def test_columns_are_the_fields_of_an_instruction() -> None:
    names = INSTRUCTION.names
    assert names is not None
    assert {name: names.index(name) for name in names} == COLUMNS


def test_what_one_module_pushes_its_neighbour_pops() -> None:
    for module in (rows.L, rows.C):
        assert rows.pushes(module, 1) == rows.pops(module + 1, 0)
        assert rows.pushes(module + 1, 0) == rows.pops(module, 1)
    used = {rows.pops(m, k) for m in range(3) for k in range(2)} - {-1}
    assert used == {int(queue) for queue in TokenQueue}
    assert rows.pops(rows.L, 0) == rows.pushes(rows.L, 0) == -1
    assert rows.pops(rows.S, 1) == rows.pushes(rows.S, 1) == -1


def test_the_module_of_an_instruction_is_said_once():
    """Records, their rows and the hardware's modules: loads of INP and WGT, stores, all else."""
    for opcode, memory in product(range(8), range(8)):
        record = np.zeros(1, dtype=INSTRUCTION)
        record["opcode"], record["memory_type"] = opcode, memory
        module = Module.COMPUTE
        if opcode == Opcode.STORE:
            module = Module.STORE
        if opcode == Opcode.LOAD and memory in {Memory.INP.value, Memory.WGT.value}:
            module = Module.LOAD
        assert modules_of(record).tolist() == [module]
        assert rows.row_module(np.int64(opcode), np.int64(memory)) == module - 1
