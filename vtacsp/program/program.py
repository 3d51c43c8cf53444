"""A built program: instruction stream, micro-op images, and what can be counted in it.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import (
    MICRO_OP,
    Memory,
    Module,
    Opcode,
    Records,
    Words,
    encode,
    modules_of,
    pack_micro_ops,
)
from vtacsp.operators.workload import Workload
from vtacsp.program.stream import Stream

__all__ = ["OPERANDS", "Program", "Segment"]

OPERANDS = {"inp": Memory.INP, "wgt": Memory.WGT, "acc": Memory.ACC, "out": Memory.OUT}
"""DRAM operands of a program: data, weights, bias, output."""


@dataclass(frozen=True)
class Segment:
    """What one launch of the accelerator runs: instructions up to a FINISH.

    ``start`` and ``stop`` delimit them in the program; ``kernels`` are the micro-ops of its
    kernels, uint32 of shape (micro-ops, 3).  Only a program that overflows the runtime's queue
    has more than one segment.
    """

    start: int
    stop: int
    kernels: Sequence[NDArray[np.uint32]] = field(repr=False)

    @cached_property
    def micro_ops(self) -> Records:
        """The image that the micro-op loads of these instructions read, dtype ``MICRO_OP``."""
        image = np.concatenate([np.zeros((0, 3), dtype=np.uint32), *self.kernels])
        return image.view(MICRO_OP).reshape(-1)


@dataclass(frozen=True)
class Program:
    """The instructions of a configuration.

    ``stream`` holds them in short, :attr:`instructions` in full; DRAM addresses are in elements
    of the memory type from the start of the operand (micro-ops: of the segment's image).
    ``dram`` is the number of elements of each operand.  ``waits`` says that the first
    compute instruction also pops a token which the program before left behind, ``leaves``
    that this one leaves such a token (the upstream runtime carries it over).

    >>> program = build(vtacsp.suite("resnet18")[9], VTAConfig(), 0)
    >>> len(program), program.counters()["gemm"]
    (159946, 51744)
    """

    workload: Workload
    hardware: VTAConfig
    config: Mapping[str, int]
    stream: Stream = field(repr=False)
    segments: tuple[Segment, ...] = field(repr=False)
    dram: Mapping[str, int]
    waits: bool = False
    leaves: bool = False

    def __len__(self) -> int:
        return len(self.stream.which)

    @cached_property
    def instructions(self) -> Records:
        """Every instruction with all of its fields, shape (n,), dtype ``INSTRUCTION``."""
        return self.stream.expand()

    @property
    def micro_ops(self) -> Records:
        """The micro-op image of the first segment."""
        return self.segments[0].micro_ops

    def counters(self) -> dict[str, int]:
        """DMA bytes, micro-ops executed and instructions of each kind.

        The names are the columns of the ground truth.
        """
        ins, hw = self.stream.records, self.hardware
        times = np.bincount(self.stream.which, minlength=len(ins))
        opcode, memory = ins["opcode"], ins["memory_type"]
        loads, stores = opcode == Opcode.LOAD, opcode == Opcode.STORE
        gemm, alu, reset = opcode == Opcode.GEMM, opcode == Opcode.ALU, ins["reset_reg"] == 1
        empty = (loads | stores) & (ins["x_size"] == 0)
        of = {m.name.lower(): memory == m for m in Memory}
        cells = ins["x_size"].astype(np.int64) * ins["y_size"]
        work = ins["iter_out"].astype(np.int64) * ins["iter_in"]
        work = work * (ins["uop_end"].astype(np.int64) - ins["uop_bgn"])

        def total(mine: BoolArray, amount: IntArray | int = 1) -> int:
            return int((times * amount)[mine].sum())

        inputs = ("inp", "wgt", "acc", "uop")
        result = {
            f"{name}_load_nbytes": total(loads & of[name], cells) * hw.element_bytes(name)
            for name in inputs
        }
        result["out_store_nbytes"] = total(stores, cells) * hw.element_bytes("out")
        result["gemm_counter"] = total(gemm & ~reset, work)
        result["alu_counter"] = total(alu, work)
        result |= {f"load_{name}": total(loads & ~empty & of[name]) for name in inputs}
        result["gemm"] = total(gemm)
        result["gemm_reset"] = total(gemm & reset)
        result["alu"] = total(alu)
        result["store"] = total(stores & ~empty)
        module = modules_of(ins)
        for name in ("load", "compute", "store"):
            result[f"nop_{name}"] = total(empty & (module == Module[name.upper()]))
        result["finish"] = total(opcode == Opcode.FINISH)
        return result

    def encode(self, bases: Mapping[str, int] | None = None) -> Words:
        """128-bit binary form, shape (n, 2); ``bases`` moves operands to byte addresses.

        Keys are ``inp``, ``wgt``, ``acc``, ``out`` and ``uop``; a base must be a multiple of
        the element size.
        """
        return encode(self.linked(bases or {}), self.hardware)

    def linked(self, bases: Mapping[str, int], *, one_image: bool = False) -> Records:
        """The instructions with operands at byte addresses; ``bases`` as for :meth:`encode`.

        Every launch has a micro-op image of its own; with ``one_image`` they lie one after the
        other, as one operand.
        """
        ins: Records = self.instructions.copy()
        for name, base in bases.items():
            memory = Memory[name.upper()]
            size = self.hardware.element_bytes(name)
            if base % size:
                raise ValueError(f"{name} base {base} is not a multiple of {size} bytes")
            rows = (ins["memory_type"] == memory) & (ins["x_size"] > 0)
            rows &= np.isin(ins["opcode"], (Opcode.LOAD, Opcode.STORE))
            address = ins["dram_base"].astype(np.int64) + base // size
            ins["dram_base"][rows] = (address & 0xFFFFFFFF)[rows]
        at = 0
        for segment in self.segments if one_image else ():
            part = ins[segment.start : segment.stop]
            loads = (part["opcode"] == Opcode.LOAD) & (part["memory_type"] == Memory.UOP)
            part["dram_base"][loads & (part["x_size"] > 0)] += np.uint32(at)
            at += len(segment.micro_ops)
        return ins

    def encode_micro_ops(self, segment: int = 0) -> NDArray[np.uint32]:
        """32-bit binary form of a segment's micro-op image."""
        return pack_micro_ops(self.segments[segment].micro_ops, self.hardware)
