"""Rules over the hardware alone: which descriptions the stack can build at all."""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.causes import WRONG_RESULT
from vtacsp.errors import HardwareError
from vtacsp.expr import Env, all_of, maximum, table
from vtacsp.machine import fields as isa
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import (
    LOG_ACC_BUFF_SIZE,
    LOG_ACC_WIDTH,
    LOG_BATCH,
    LOG_BLOCK,
    LOG_INP_BUFF_SIZE,
    LOG_INP_WIDTH,
    LOG_UOP_BUFF_SIZE,
    LOG_WGT_BUFF_SIZE,
    LOG_WGT_WIDTH,
    acc_bits,
    inp_bits,
    uop_bits,
    wgt_bits,
)

__all__ = ["ISA_WIDTH", "LEGALITY", "refuse_illegal"]

_PAGE_BITS = isa.PAGE.bit_length() - 1

WIDTHS = Rule(
    name="hw:widths",
    checks=(
        Check(
            Stage.TENSORIZE,
            (LOG_INP_WIDTH >= 3)
            & (LOG_INP_WIDTH <= 5)
            & (LOG_WGT_WIDTH >= 3)
            & (LOG_WGT_WIDTH <= 5)
            & (LOG_ACC_WIDTH == 5),
        ),
    ),
    title="value widths the stack handles",
    message=(
        "LOG_INP_WIDTH/LOG_WGT_WIDTH/LOG_ACC_WIDTH are {inp}/{wgt}/{acc}: the stack handles "
        "3 to 5, 3 to 5 and 5 (values of whole bytes, 32-bit accumulators)"
    ),
    mechanism=(
        "The functional simulator and the runtime address whole bytes, and accumulate and "
        "shift 32-bit values. 16- and 32-bit inputs and weights were measured to work for "
        "conv2d and dense; the other operators assert int8 (see the workload's errors)."
    ),
    quantities={"inp": LOG_INP_WIDTH, "wgt": LOG_WGT_WIDTH, "acc": LOG_ACC_WIDTH},
)

BLOCK = Rule(
    name="hw:block",
    checks=(Check(Stage.TENSORIZE, LOG_BLOCK >= 1),),
    title="a tensor intrinsic has more than one channel",
    message="LOG_BLOCK is {block}: the stack tensorizes blocks of at least 2 channels (1)",
    mechanism="A block of one channel vanishes from every loop nest and nothing matches it.",
    quantities={"block": LOG_BLOCK},
)

PAGE = Rule(
    name="hw:page",
    checks=(
        Check(
            Stage.TENSORIZE,
            all_of(
                LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH - 3 <= _PAGE_BITS,
                LOG_BLOCK + LOG_BLOCK + LOG_WGT_WIDTH - 3 <= _PAGE_BITS,
                LOG_BATCH + LOG_BLOCK + LOG_ACC_WIDTH - 3 <= _PAGE_BITS,
            ),
        ),
    ),
    title="an element fits a page",
    message=(
        "LOG_BATCH {batch} and LOG_BLOCK {block} make a scratchpad element larger than a page "
        "of 4,096 bytes"
    ),
    mechanism="The runtime checks that no element is larger than VTA_PAGE_BYTES.",
    quantities={"batch": LOG_BATCH, "block": LOG_BLOCK},
)

_SIZES = {  # scratchpad -> log2 of its bytes and of its depth
    "uop": (LOG_UOP_BUFF_SIZE, uop_bits),
    "inp": (LOG_INP_BUFF_SIZE, inp_bits),
    "wgt": (LOG_WGT_BUFF_SIZE, wgt_bits),
    "acc": (LOG_ACC_BUFF_SIZE, acc_bits),
}


def _depth(buffer: str) -> Rule:
    size, bits = _SIZES[buffer]
    return Rule(
        name=f"hw:depth:{buffer}",
        checks=(Check(Stage.TENSORIZE, bits >= 1),),
        title=f"the {buffer.upper()} scratchpad holds two elements",
        message=(
            f"LOG_{buffer.upper()}_BUFF_SIZE is {{size}}: the scratchpad holds fewer than two "
            "elements, allowed are {least} and more"
        ),
        mechanism="An index field of no bits does not compile.",
        quantities={"size": size, "least": size + 1 - bits},
    )


def _address(buffer: str) -> Rule:
    size, bits = _SIZES[buffer]
    return Rule(
        name=f"hw:sram_address:{buffer}",
        checks=(Check(Stage.TENSORIZE, bits <= isa.SRAM_ADDRESS),),
        title=f"the {buffer.upper()} scratchpad is addressed with 16 bits",
        message=(
            f"LOG_{buffer.upper()}_BUFF_SIZE is {{size}}: the scratchpad has more elements than "
            "the 16-bit SRAM address of a DMA instruction reaches, allowed are up to {most}"
        ),
        mechanism="DMA instructions carry a 16-bit scratchpad address.",
        quantities={"size": size, "most": size + isa.SRAM_ADDRESS - bits},
    )


DEPTHS = tuple(map(_depth, _SIZES))

UOP_WIDTH = Rule(
    name="hw:uop_width",
    checks=(
        Check(Stage.TENSORIZE, acc_bits + maximum(acc_bits, inp_bits) + wgt_bits <= isa.UOP_BITS),
    ),
    title="a micro-op fits 32 bits",
    message=(
        "a micro-op needs {need} bits for its accumulator ({acc}), input or accumulator "
        "({src}) and weight ({wgt}) index and has 32: lower LOG_ACC_BUFF_SIZE, "
        "LOG_INP_BUFF_SIZE or LOG_WGT_BUFF_SIZE"
    ),
    mechanism=(
        "A micro-op packs an ACC index, an INP-or-ACC index and a WGT index, each as wide as "
        "log2 of the depth, in 32 bits; `runtime.cc` asserts it at compile time."
    ),
    quantities={
        "need": acc_bits + maximum(acc_bits, inp_bits) + wgt_bits,
        "acc": acc_bits,
        "src": maximum(acc_bits, inp_bits),
        "wgt": wgt_bits,
    },
)

_gemm_bits = table(
    "gemm_instruction_bits", isa.gemm_instruction, uop_bits, inp_bits, wgt_bits, acc_bits
)
_alu_bits = table("alu_instruction_bits", isa.alu_instruction, uop_bits, acc_bits)

ISA_WIDTH = Rule(
    name="isa:instruction",
    cause=WRONG_RESULT,
    checks=(
        Check(
            Stage.RESULT, (_gemm_bits <= isa.INSTRUCTION_BITS) & (_alu_bits <= isa.INSTRUCTION_BITS)
        ),
    ),
    title="GEMM and ALU instructions fit 128 bits",
    message=(
        "a GEMM instruction takes {gemm} bits and an ALU instruction {alu}, an instruction has "
        "128: every program overwrites its own instructions; lower LOG_ACC_BUFF_SIZE or "
        "LOG_UOP_BUFF_SIZE"
    ),
    mechanism=(
        "Loop factors are as wide as log2 of the depth, and the structures of `hw_spec.h` are "
        "bit-fields: with the default micro-op scratchpad, an ACC depth of 4,096 already makes "
        "the ALU instruction (four ACC factors and a 16-bit immediate) longer than 128 bits. "
        "The runtime then writes it over the next instruction and every program computes wrong "
        "numbers. Found by measuring on the real stack."
    ),
    quantities={"gemm": _gemm_bits, "alu": _alu_bits},
)

ADDRESSES = tuple(map(_address, ("inp", "wgt", "acc")))

LEGALITY = (WIDTHS, BLOCK, PAGE, *DEPTHS, UOP_WIDTH, *ADDRESSES)
"""A description that breaks one of these is refused when it is read."""


def refuse_illegal(symbols: Mapping[str, int]) -> None:
    """Raise :class:`~vtacsp.errors.HardwareError` with the first rule that does not hold.

    ``symbols`` are the values of a description, :attr:`vtacsp.VTAConfig.symbols`.
    """
    env = Env(symbols)
    for rule in LEGALITY:
        if not env.evaluate(rule.holds):
            values = {name: env.evaluate(q) for name, q in rule.quantities.items()}
            raise HardwareError(rule.message.format(**values))
