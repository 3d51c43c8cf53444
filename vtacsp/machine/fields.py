"""The fields of VTA's instructions: widths in bits, formats, layout.

Source: ``hw_spec_const.h`` and ``hw_spec.h`` of tvm-vta.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from vtacsp.moved import keep_old_names

__all__ = [
    "ALU_FIELDS",
    "DEPENDENCIES",
    "DRAM_ADDRESS",
    "FACTORS",
    "GEMM_FIELDS",
    "HEAD",
    "IMMEDIATE",
    "INSTRUCTION_BITS",
    "INSTRUCTION_BYTES",
    "LOOP_EXTENT",
    "MEMORY_FIELDS",
    "MEMORY_ID",
    "OPCODE",
    "PAD",
    "PAGE",
    "SIZE",
    "SRAM_ADDRESS",
    "STRIDE",
    "UOP_BITS",
    "UOP_BYTES",
    "alu_instruction",
    "field_widths",
    "gemm_instruction",
    "instruction_bits",
    "laid_out",
    "micro_op_bits",
]

keep_old_names(__name__)

INSTRUCTION_BITS = 128
UOP_BITS = 32
PAGE = 4096
"""Bytes of a page of VTA's driver (``VTA_PAGE_BYTES``): every buffer begins at one."""
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

INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
UOP_BYTES = UOP_BITS // 8


DEPENDENCIES = ("pop_prev_dep", "pop_next_dep", "push_prev_dep", "push_next_dep")
"""Flags of every instruction: tokens taken from and given to the modules before and behind it."""

FACTORS = ("dst_factor_out", "dst_factor_in", "src_factor_out", "src_factor_in")
HEAD = ("opcode", *DEPENDENCIES)
_LOOPS = ("reset_reg", "uop_bgn", "uop_end", "iter_out", "iter_in")
MEMORY_FIELDS = (
    *HEAD,
    *("memory_type", "sram_base", "dram_base", "y_size", "x_size", "x_stride"),
    *("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"),
)
GEMM_FIELDS = (*HEAD, *_LOOPS, *FACTORS, "wgt_factor_out", "wgt_factor_in")
ALU_FIELDS = (*HEAD, *_LOOPS, *FACTORS, "alu_opcode", "use_imm", "imm")


def instruction_bits(uop: int, inp: int, wgt: int, acc: int, *, alu: bool) -> dict[str, int]:
    """Width in bits of every field of an instruction, from log2 of the scratchpad depths.

    The source index of an ALU instruction (``alu``) is an ACC index, that of a GEMM an INP index.
    """
    source = acc if alu else inp
    return {
        "opcode": OPCODE,
        **dict.fromkeys(DEPENDENCIES, DEPENDENCY_FLAG),
        "memory_type": MEMORY_ID,
        "sram_base": SRAM_ADDRESS,
        "dram_base": DRAM_ADDRESS,
        **dict.fromkeys(("y_size", "x_size"), SIZE),
        "x_stride": STRIDE,
        **dict.fromkeys(("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"), PAD),
        "reset_reg": FLAG,
        "uop_bgn": uop,
        "uop_end": uop + 1,
        "iter_out": LOOP_EXTENT,
        "iter_in": LOOP_EXTENT,
        "dst_factor_out": acc,
        "dst_factor_in": acc,
        "src_factor_out": source,
        "src_factor_in": source,
        "wgt_factor_out": wgt,
        "wgt_factor_in": wgt,
        "alu_opcode": ALU_OPCODE,
        "use_imm": FLAG,
        "imm": IMMEDIATE,
    }


def laid_out(fields: Iterable[str], bits: Mapping[str, int]) -> Iterator[tuple[str, int, int, int]]:
    """(field, 64-bit word, shift, width) of a format, as C lays out bit-fields of a 64-bit type.

    A field that does not fit what is left of a word starts the next one (``hw_spec.h``).
    """
    end = 0
    for name in fields:
        if end % _WORD + bits[name] > _WORD:
            end += _WORD - end % _WORD
        yield name, end // _WORD, end % _WORD, bits[name]
        end += bits[name]


def micro_op_bits(inp: int, wgt: int, acc: int) -> tuple[int, int, int]:
    """Bits of the indices of a micro-op: ACC, INP or ACC, WGT."""
    return acc, max(acc, inp), wgt


def gemm_instruction(uop: int, inp: int, wgt: int, acc: int) -> int:
    """Bits of a GEMM instruction, from log2 of the scratchpad depths."""
    return _length(GEMM_FIELDS, instruction_bits(uop, inp, wgt, acc, alu=False))


def alu_instruction(uop: int, acc: int) -> int:
    """Bits of an ALU instruction: four factors, opcode, immediate flag and immediate."""
    return _length(ALU_FIELDS, instruction_bits(uop, 0, 0, acc, alu=True))


def _length(fields: Iterable[str], bits: Mapping[str, int]) -> int:
    *_, (_, word, shift, width) = laid_out(fields, bits)
    return word * _WORD + shift + width


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
