"""The text that VTA's runtime prints of its queue (``VTA_DEBUG_DUMP_INSN``, ``..._DUMP_UOP``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vtacsp.audit.target import Target, launches_of
from vtacsp.errors import AuditError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import (
    ALU_NAMES,
    INSTRUCTION,
    MICRO_OP,
    AluOp,
    Memory,
    Opcode,
    field_bits,
    log_depths,
)

__all__ = ["is_dump", "parse_dump"]

MOST = 1 << 20  # instructions, and micro-ops

_HEAD = re.compile(r"INSTRUCTION (\d{1,9}): (.*)")
_UOP = re.compile(r"\[(\d{1,9})\]\s*acc=(\d{1,9}), inp=(\d{1,9}), wgt=(\d{1,9})")
_TITLE = re.compile(r"There are (\d{1,9}) (instructions|uops)")
_DEP = re.compile(r"dep - pop prev: (\d), pop next: (\d), push prev: (\d), push next: (\d)")
_DRAM = re.compile(r"DRAM: 0x([0-9a-fA-F]{1,8}), SRAM:\s*0x([0-9a-fA-F]{1,8})")
_Y = re.compile(r"y: size=(\d+), pad=\[(\d+), (\d+)\]")
_X = re.compile(r"x: size=(\d+), stride=(\d+), pad=\[(\d+), (\d+)\]")
_RESET = re.compile(r"reset_out: (\d)")
_RANGE = re.compile(r"range \((\d+), (\d+)\)")
_LOOP = re.compile(r"(outer|inner) loop - (.*)")
_QUEUES = re.compile(r"[lgs]2[lgs]_queue = -?\d+, [lgs]2[lgs]_queue = -?\d+")

_LINES: tuple[tuple[re.Pattern[str], tuple[str, ...], int], ...] = (
    (_DEP, ("pop_prev_dep", "pop_next_dep", "push_prev_dep", "push_next_dep"), 10),
    (_DRAM, ("dram_base", "sram_base"), 16),
    (_Y, ("y_size", "y_pad_0", "y_pad_1"), 10),
    (_X, ("x_size", "x_stride", "x_pad_0", "x_pad_1"), 10),
    (_RESET, ("reset_reg",), 10),
    (_RANGE, ("uop_bgn", "uop_end"), 10),
)
_FACTORS = {"acc": "dst", "dst": "dst", "inp": "src", "src": "src", "wgt": "wgt"}
_NOPS = {
    "NOP-STORE-STAGE": (Opcode.STORE, Memory.UOP),
    "NOP-COMPUTE-STAGE": (Opcode.LOAD, Memory.UOP),
    "NOP-MEMORY-STAGE": (Opcode.LOAD, Memory.INP),
}
_OPERATIONS = {name: code for code, name in ALU_NAMES.items()}


def is_dump(content: bytes) -> bool:
    """Whether a file is such a text."""
    return b"INSTRUCTION 0: " in content[: 1 << 20] and b"\0" not in content


def parse_dump(
    content: bytes, name: str, hardware: VTAConfig, remarks: tuple[str, ...] = ()
) -> Target:
    """The program of a dump; lines that are none of the runtime's are passed over.

    The text says neither immediates nor whether a shift has one (it is taken to), nor where the
    micro-ops of a kernel lie in DRAM: they are taken to lie one kernel after the other, in the
    order in which they were printed, from the lowest address on that is loaded from.  Raises
    :class:`~vtacsp.errors.AuditError`, with the number of the line, for a text that breaks off or
    has a number that its field cannot hold.
    """
    rows: list[dict[str, int]] = []
    uops: list[tuple[int, int, int]] = []
    first = 0  # of the launch that is being read
    starts: list[int] = []
    for number, raw in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = raw.strip().removeprefix("DEBUG - ")
        where = f"{name}:{number}"
        if title := _TITLE.fullmatch(text):
            if title[2] == "instructions":
                first = len(rows)
                starts.append(int(title[1]))
        elif head := _HEAD.fullmatch(text):
            if int(head[1]) != len(rows) - first:
                raise AuditError(f"{where}: instruction {head[1]} follows {len(rows) - first - 1}")
            rows.append(_operation(head[2], where))
        elif uop := _UOP.fullmatch(text):
            uops.append((int(uop[2]), int(uop[3]), int(uop[4])))
        elif rows:
            _field(text, rows[-1])
        if max(len(rows), len(uops)) > MOST:
            raise AuditError(f"{where}: more than {MOST:,} instructions or micro-ops")
    if sum(starts) not in (0, len(rows)):
        raise AuditError(f"{name} says {sum(starts):,} instructions and has {len(rows):,}")
    if not uops:
        raise AuditError(
            f"{name} has no micro-ops: the runtime prints them with VTA_DEBUG_DUMP_UOP"
        )
    instructions = _records(rows, hardware, name)
    image = np.zeros(len(uops), dtype=MICRO_OP)
    log = log_depths(hardware)
    widths = (log["acc"], max(log["acc"], log["inp"]), log["wgt"])
    for column, field, width in zip(range(3), MICRO_OP.names or (), widths, strict=True):
        values = [uop[column] for uop in uops]
        if max(values) >> width:
            raise AuditError(f"{name}: a micro-op has {field} {max(values)}, it has {width} bits")
        image[field] = values
    target = Target(
        name=name,
        hardware=hardware,
        instructions=instructions,
        micro_ops=image,
        launches=launches_of(instructions),
        image=0,
        remarks=(
            *remarks,
            "a dump says no immediates: shifts are taken to have one",
            "micro-ops: taken to lie in DRAM in the order in which they were printed",
            "the sizes of the buffers in DRAM are not known, so not checked",
        ),
    )
    loads = target.moves(Memory.UOP)
    base = int(instructions["dram_base"][loads].min()) if loads.any() else 0
    return replace(target, image=base)


def _operation(text: str, where: str) -> dict[str, int]:
    """The fields that the first line of an instruction says."""
    words = text.strip().rstrip(":")
    if words in _NOPS:
        opcode, memory = _NOPS[words]
        return {"opcode": int(opcode), "memory_type": int(memory)}
    if words.startswith("LOAD "):
        memory_name = words[5:].strip()
        if memory_name in ("UOP", "WGT", "INP", "ACC"):
            return {"opcode": int(Opcode.LOAD), "memory_type": int(Memory[memory_name])}
    elif words in ("STORE", "STORE ACC"):
        return {"opcode": int(Opcode.STORE), "memory_type": int(Memory.OUT)}
    elif words in ("GEMM", "FINISH"):
        return {"opcode": int(Opcode[words])}
    elif words.startswith("ALU - "):
        operation, _, rest = words[6:].partition(" ")
        if operation in _OPERATIONS and rest in ("", "imm"):
            code = _OPERATIONS[operation]
            immediate = bool(rest) or code == AluOp.SHR
            return {"opcode": int(Opcode.ALU), "alu_opcode": code, "use_imm": int(immediate)}
    raise AuditError(f"{where}: {shortened(text)} is no instruction of VTA's runtime")


def _field(text: str, row: dict[str, int]) -> None:
    """Add what a line says to its instruction."""
    for pattern, names, base in _LINES:
        if match := pattern.fullmatch(text):
            values = (int(value[:20], base) for value in match.groups())
            row.update(zip(names, values, strict=True))
            return
    if loop := _LOOP.fullmatch(text):
        place = "out" if loop[1] == "outer" else "in"
        for part in loop[2].split(","):
            key, _, value = part.partition(":")
            digits = value.strip()
            if not digits.isdecimal():
                continue
            if key.strip() == "iter":
                row[f"iter_{place}"] = int(digits[:20])
            elif key.strip() in _FACTORS:
                row[f"{_FACTORS[key.strip()]}_factor_{place}"] = int(digits[:20])


def _records(rows: list[dict[str, int]], hardware: VTAConfig, name: str) -> Any:
    bits: Mapping[str, int] = field_bits(hardware)
    instructions = np.zeros(len(rows), dtype=INSTRUCTION)
    for at, row in enumerate(rows):
        for field, value in row.items():
            if value >> bits[field]:
                raise AuditError(
                    f"{name}: instruction {at} has {field} {value}, the machine's has "
                    f"{bits[field]} bits"
                )
            instructions[field][at] = value
    return instructions
