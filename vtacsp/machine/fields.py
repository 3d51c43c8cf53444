"""Widths of the instruction fields of VTA's ISA, in bits; source: ``hw_spec_const.h``."""

from __future__ import annotations

__all__ = [
    "DRAM_ADDRESS",
    "IMMEDIATE",
    "INSTRUCTION",
    "LOOP_EXTENT",
    "MEMORY_ID",
    "OPCODE",
    "PAD",
    "SIZE",
    "SRAM_ADDRESS",
    "STRIDE",
    "UOP",
    "alu_instruction",
    "field_widths",
    "gemm_instruction",
]

INSTRUCTION = 128
UOP = 32
OPCODE = 3
DEPENDENCY_FLAG = 1
MEMORY_ID = 3
SRAM_ADDRESS = 16
DRAM_ADDRESS = 32
SIZE = 16
STRIDE = 16
PAD = 4
LOOP_EXTENT = 14
ALU_OPCODE = 3
FLAG = 1
IMMEDIATE = 16
_WORD = 64


def gemm_instruction(uop: int, inp: int, wgt: int, acc: int) -> int:
    """Bits of a GEMM instruction, from log2 of the scratchpad depths.

    Outer and inner factors of each index follow the head; see :func:`_laid_out`.
    """
    return _laid_out(*_head(uop), acc, acc, inp, inp, wgt, wgt)


def alu_instruction(uop: int, acc: int) -> int:
    """Bits of an ALU instruction: four factors, opcode, immediate flag and immediate."""
    return _laid_out(*_head(uop), acc, acc, acc, acc, ALU_OPCODE, FLAG, IMMEDIATE)


def _head(uop: int) -> tuple[int, ...]:
    """Opcode, dependency flags, reset, micro-op begin and end, two loop extents."""
    flags = (DEPENDENCY_FLAG,) * 4
    return OPCODE, *flags, FLAG, uop, uop + 1, LOOP_EXTENT, LOOP_EXTENT


def _laid_out(*fields: int) -> int:
    """Bits that C needs for bit-fields of a 64-bit type: none straddles a word (``hw_spec.h``)."""
    end = 0
    for bits in fields:
        if end % _WORD + bits > _WORD:
            end += _WORD - end % _WORD
        end += bits
    return end


def field_widths(uop: int, inp: int, wgt: int, acc: int) -> dict[str, int]:
    """Every field that bounds a program, in bits, from log2 of the scratchpad depths."""
    return {
        "opcode": OPCODE,
        "memory id": MEMORY_ID,
        "SRAM address": SRAM_ADDRESS,
        "DRAM address": DRAM_ADDRESS,
        "x and y size": SIZE,
        "x stride": STRIDE,
        "pad": PAD,
        "loop extent": LOOP_EXTENT,
        "ALU immediate": IMMEDIATE,
        "micro-op begin": uop,
        "micro-op end": uop + 1,
        "ACC factor and index": acc,
        "INP factor": inp,
        "source index": max(acc, inp),
        "WGT factor and index": wgt,
    }
