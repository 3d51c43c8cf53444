"""The instruction set: numpy records for instructions and micro-ops, and their binary forms.

Source of every width and code: ``hw_spec.h`` and ``hw_spec_const.h`` of tvm-vta.  Records
hold all fields of all three formats (memory, GEMM, ALU) under the names of those headers; a
field that the format of an instruction does not have is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import (
    ALU_FIELDS,
    DEPENDENCIES,
    FACTORS,
    GEMM_FIELDS,
    HEAD,
    MEMORY_FIELDS,
    instruction_bits,
    laid_out,
    micro_op_bits,
)
from vtacsp.moved import keep_old_names

__all__ = [
    "ALU_NAMES",
    "DEPENDENCIES",
    "INSTRUCTION",
    "MICRO_OP",
    "AluOp",
    "Memory",
    "Module",
    "Opcode",
    "TokenQueue",
    "as_stored",
    "decode",
    "depths",
    "encode",
    "field_bits",
    "fits",
    "log_depths",
    "module_of",
    "modules_of",
    "pack_micro_ops",
    "places",
    "unpack_micro_ops",
]

keep_old_names(__name__)

Records = NDArray[Any]
Words = NDArray[np.uint64]


class Opcode(IntEnum):
    """First field of every instruction."""

    LOAD = 0
    STORE = 1
    GEMM = 2
    FINISH = 3
    ALU = 4


class Memory(IntEnum):
    """Memory type of a load or store."""

    UOP = 0
    WGT = 1
    INP = 2
    ACC = 3
    OUT = 4


class AluOp(IntEnum):
    """Operation of an ALU instruction."""

    MIN = 0
    MAX = 1
    ADD = 2
    SHR = 3
    MUL = 4


class Module(IntEnum):
    """Modules that execute instructions; the numbers of the runtime's dependency calls."""

    NONE = 0
    LOAD = 1
    COMPUTE = 2
    STORE = 3


class TokenQueue(IntEnum):
    """The queues of tokens between two modules, from the one that pushes to the one that pops."""

    L2C = 0
    C2L = 1
    S2C = 2
    C2S = 3


ALU_NAMES = {op.value: op.name.lower() for op in AluOp}

INSTRUCTION = np.dtype(
    [
        ("opcode", "u1"),
        *((name, "u1") for name in DEPENDENCIES),
        ("memory_type", "u1"),
        ("sram_base", "u2"),  # elements of the scratchpad
        ("dram_base", "u4"),  # elements of the memory type from the start of the operand
        ("y_size", "u2"),
        ("x_size", "u2"),
        ("x_stride", "u2"),
        ("y_pad_0", "u1"),
        ("y_pad_1", "u1"),
        ("x_pad_0", "u1"),
        ("x_pad_1", "u1"),
        ("reset_reg", "u1"),
        ("uop_bgn", "u4"),
        ("uop_end", "u4"),
        ("iter_out", "u2"),
        ("iter_in", "u2"),
        *((name, "u4") for name in FACTORS),
        ("wgt_factor_out", "u4"),
        ("wgt_factor_in", "u4"),
        ("alu_opcode", "u1"),
        ("use_imm", "u1"),
        ("imm", "i2"),
    ],
    align=True,
)
"""One instruction, the union of the three formats."""

MICRO_OP = np.dtype([("dst_idx", "u4"), ("src_idx", "u4"), ("wgt_idx", "u4")])
"""One micro-op: ACC index, INP (GEMM) or ACC (ALU) index, WGT index."""


@lru_cache(maxsize=64)
def depths(hardware: VTAConfig) -> Mapping[str, int]:
    """Number of elements of each scratchpad."""
    return {b: hardware.depth(b) for b in ("uop", "inp", "wgt", "acc")}


@lru_cache(maxsize=64)
def log_depths(hardware: VTAConfig) -> Mapping[str, int]:
    """log2 of the number of elements of each scratchpad: the width of an index into it."""
    return {b: depth.bit_length() - 1 for b, depth in depths(hardware).items()}


@lru_cache(maxsize=64)
def field_bits(hardware: VTAConfig) -> Mapping[str, int]:
    """Width in bits of every field of an instruction; source indices as a GEMM has them."""
    return instruction_bits(**log_depths(hardware), alu=False)


_FORMATS = {
    Opcode.LOAD: MEMORY_FIELDS,
    Opcode.STORE: MEMORY_FIELDS,
    Opcode.GEMM: GEMM_FIELDS,
    Opcode.ALU: ALU_FIELDS,
    Opcode.FINISH: HEAD,
}


@lru_cache(maxsize=64)
def _layout(opcode: Opcode, hardware: VTAConfig) -> tuple[tuple[str, int, int, int], ...]:
    """(field, 64-bit word, shift, width) of a format."""
    bits = instruction_bits(**log_depths(hardware), alu=opcode is Opcode.ALU)
    return tuple(laid_out(_FORMATS[opcode], bits))


@lru_cache(maxsize=64)
def places(columns: tuple[str, ...], hardware: VTAConfig) -> IntArray:
    """Where records hold the columns of a table, by opcode: int64 of shape (5, columns, 3).

    The 64-bit word of the record, the shift and the mask, which is 0 when instructions of this
    opcode have no such field.
    """
    result = np.zeros((len(Opcode), len(columns), 3), dtype=np.int64)
    for opcode in Opcode:
        bits = {name: width for name, _, _, width in _layout(opcode, hardware)}
        for row, name in zip(result[opcode], columns, strict=True):
            offset = INSTRUCTION.fields[name][1]  # type: ignore[index]
            row[:] = offset // 8, offset % 8 * 8, (1 << bits.get(name, 0)) - 1
    return result


def encode(instructions: Records, hardware: VTAConfig) -> Words:
    """128-bit binary form, shape (n, 2), words in memory order.

    Bits past 128 (ALU instructions of a large ACC) are lost, as they are in the runtime's
    queue, where the next instruction is written over them.
    """
    words = np.zeros((len(instructions), 2), dtype=np.uint64)
    for opcode in Opcode:
        rows = np.flatnonzero(instructions["opcode"] == opcode)
        if not len(rows):
            continue
        part = instructions[rows]
        for name, word, shift, width in _layout(opcode, hardware):
            if word < 2:
                mask = np.uint64((1 << width) - 1)
                value = part[name].astype(np.int64).astype(np.uint64) & mask
                words[rows, word] |= value << np.uint64(shift)
    return words


def decode(words: Words, hardware: VTAConfig) -> Records:
    """Records of a binary instruction stream; the inverse of :func:`encode`.

    A field past bit 128 is read from the next instruction, as the hardware header does.
    """
    instructions = np.zeros(len(words), dtype=INSTRUCTION)
    flat = np.concatenate([words.reshape(-1), np.zeros(2, dtype=np.uint64)])
    codes = (words[:, 0] & np.uint64(7)).astype(np.uint8)
    for opcode in Opcode:
        rows = np.flatnonzero(codes == opcode)
        if not len(rows):
            continue
        for name, word, shift, width in _layout(opcode, hardware):
            mask = np.uint64((1 << width) - 1)
            value = (flat[2 * rows + word] >> np.uint64(shift)) & mask
            if name == "imm":
                value = value.astype(np.uint16).view(np.int16)
            column = instructions[name]
            column[rows] = value
    return instructions


def as_stored(instructions: Records, hardware: VTAConfig) -> Records:
    """What the hardware reads when the runtime has written these instructions.

    The same, unless GEMM or ALU instructions are longer than 128 bits on this hardware: the
    next instruction is then written over their end.
    """
    if fits(hardware):
        return instructions
    return decode(encode(instructions, hardware), hardware)


@lru_cache(maxsize=64)
def fits(hardware: VTAConfig) -> bool:
    """Whether every instruction has at most 128 bits."""
    return all(_layout(opcode, hardware)[-1][1] < 2 for opcode in Opcode)


@lru_cache(maxsize=64)
def _micro_op_layout(hardware: VTAConfig) -> tuple[tuple[str, int, int], ...]:
    """(field, shift, width): the indices lie behind one another."""
    log = log_depths(hardware)
    widths = micro_op_bits(log["inp"], log["wgt"], log["acc"])
    return tuple(
        (name, sum(widths[:place]), width)
        for place, (name, width) in enumerate(zip(MICRO_OP.names or (), widths, strict=True))
    )


def pack_micro_ops(micro_ops: Records, hardware: VTAConfig) -> NDArray[np.uint32]:
    """32-bit binary form of micro-ops."""
    packed = np.zeros(len(micro_ops), dtype=np.uint64)
    for name, shift, _ in _micro_op_layout(hardware):
        packed |= micro_ops[name].astype(np.uint64) << np.uint64(shift)
    result: NDArray[np.uint32] = packed.astype(np.uint32)
    return result


def unpack_micro_ops(words: NDArray[np.uint32], hardware: VTAConfig) -> Records:
    """Micro-ops of their binary form; the inverse of :func:`pack_micro_ops`."""
    micro_ops = np.zeros(len(words), dtype=MICRO_OP)
    for name, shift, width in _micro_op_layout(hardware):
        micro_ops[name] = (words >> np.uint32(shift)) & np.uint32((1 << width) - 1)
    return micro_ops


_OP_LOAD, _OP_STORE, _INP, _WGT = (
    *(int(Opcode.LOAD), int(Opcode.STORE)),
    *(int(Memory.INP), int(Memory.WGT)),
)
_BETWEEN = int(Module.COMPUTE)  # before it comes LOAD, behind it STORE


def module_of(opcode: Any, memory: Any) -> Any:
    """Module that executes an instruction, a number of :class:`Module`; FINISH is a compute one.

    Of numbers, of columns of them, and in compiled code (:func:`vtacsp.machine.rows.row_module`).
    """
    loads = (opcode == _OP_LOAD) & ((memory == _INP) | (memory == _WGT))
    return _BETWEEN + (opcode == _OP_STORE) - loads


def modules_of(instructions: Records) -> NDArray[np.uint8]:
    """Module (:class:`Module`) that executes each instruction."""
    found: NDArray[np.signedinteger[Any]] = module_of(
        instructions["opcode"], instructions["memory_type"]
    )
    return found.astype(np.uint8)
