"""Programs as text: one line per instruction, and the ground truth's JSON form.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vtacsp.machine.instructions import (
    ALU_NAMES,
    DEPENDENCIES,
    AluOp,
    Memory,
    Module,
    Opcode,
    module_of,
)
from vtacsp.program.program import Program

__all__ = ["disassemble", "line", "listing", "records"]

_NEIGHBOURS = {  # module -> what lies before and behind it
    "load": (None, "compute"),
    "compute": ("load", "store"),
    "store": ("compute", None),
}


def records(program: Program) -> list[dict[str, Any]]:
    """The instructions as JSON objects, in the form of the ground truth's ``programs/``.

    ``dep`` = [pop_prev, pop_next, push_prev, push_next]; ``dram`` relative to the smallest
    address that the program uses for that memory type.
    """
    ins = program.instructions
    moves = np.isin(ins["opcode"], (Opcode.LOAD, Opcode.STORE)) & (ins["x_size"] > 0)
    lowest = {
        memory: int(ins["dram_base"][moves & (ins["memory_type"] == memory)].min())
        for memory in np.unique(ins["memory_type"][moves]).tolist()
    }
    return [_record(row, lowest) for row in ins]


def _record(row: Any, lowest: Mapping[int, int]) -> dict[str, Any]:
    name = _name(row)
    if name == "FINISH":
        return {"op": name}
    result: dict[str, Any] = {"op": name, "dep": [int(row[d]) for d in DEPENDENCIES]}
    if name.startswith("NOP"):
        return result
    if row["opcode"] in (Opcode.LOAD, Opcode.STORE):
        result["dram"] = int(row["dram_base"]) - lowest.get(int(row["memory_type"]), 0)
        result["sram"] = int(row["sram_base"])
        result["y"] = [int(row[f]) for f in ("y_size", "y_pad_0", "y_pad_1")]
        result["x"] = [int(row[f]) for f in ("x_size", "x_stride", "x_pad_0", "x_pad_1")]
        return result
    result["reset"] = int(row["reset_reg"])
    result["uop"] = [int(row["uop_bgn"]), int(row["uop_end"])]
    gemm = row["opcode"] == Opcode.GEMM
    factors = {"wgt": "wgt", "inp": "src", "acc": "dst"} if gemm else {"dst": "dst", "src": "src"}
    for loop, place in (("outer", "out"), ("inner", "in")):
        result[loop] = {"iter": int(row[f"iter_{place}"])}
        for key, field in factors.items():
            result[loop][key] = int(row[f"{field}_factor_{place}"])
    return result


def _name(row: Any) -> str:
    opcode, memory = int(row["opcode"]), int(row["memory_type"])
    if opcode > max(Opcode):
        return f"OPCODE {opcode}"
    if opcode == Opcode.FINISH:
        return "FINISH"
    if opcode == Opcode.GEMM:
        return "GEMM"
    if opcode == Opcode.ALU:
        alu = ALU_NAMES.get(int(row["alu_opcode"]), "unknown")
        shown = row["use_imm"] and row["alu_opcode"] != AluOp.SHR  # upstream's own dump
        return f"ALU - {alu}{' imm' if shown else ''}"
    if row["x_size"] == 0:
        return f"NOP-{_module(row).upper().replace('LOAD', 'MEMORY')}-STAGE"
    if opcode == Opcode.STORE:
        return "STORE"
    known = memory in list(Memory)  # a stream of another compiler may name any of eight
    return f"LOAD {Memory(memory).name if known else memory}"


def _module(row: Any) -> str:
    return Module(int(module_of(row["opcode"], row["memory_type"]))).name.lower()


def line(program: Program, index: int) -> str:
    """One instruction as text."""
    row = program.instructions[index]
    module = _module(row)
    before, behind = _NEIGHBOURS[module]
    tokens = []
    for field, verb, other in zip(
        DEPENDENCIES, ("pop", "pop", "push", "push"), (before, behind) * 2, strict=True
    ):
        if row[field] and other:
            tokens.append(f"{verb} {other}")
    name = _name(row)
    parts = [f"{module:<7}", f"{name:<17}"]
    if row["opcode"] in (Opcode.LOAD, Opcode.STORE) and row["x_size"]:
        pads = [int(row[f]) for f in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1")]
        parts.append(
            f"sram {int(row['sram_base'])} dram {int(row['dram_base'])} "
            f"{int(row['y_size'])}x{int(row['x_size'])} stride {int(row['x_stride'])}"
            + (" pad {}+{} rows {}+{} columns".format(*pads) if any(pads) else "")
        )
    elif row["opcode"] in (Opcode.GEMM, Opcode.ALU):
        gemm = row["opcode"] == Opcode.GEMM
        what = "reset " if row["reset_reg"] else ""
        if row["use_imm"] and not gemm:
            what += f"by {int(row['imm'])} "
        parts.append(f"{what}uop {int(row['uop_bgn'])}..{int(row['uop_end'])}")
        names = ["acc dst", "inp src", "wgt wgt"] if gemm else ["dst dst", "src src"]
        for place in ("out", "in"):
            factors = " ".join(
                f"{n}+{int(row[f'{f}_factor_{place}'])}" for n, f in map(str.split, names)
            )
            parts.append(f"x{int(row[f'iter_{place}'])} ({factors})")
    return " ".join([*parts, *(f"[{token}]" for token in tokens)]).rstrip()


def disassemble(program: Program) -> Iterator[str]:
    """The program as text, a line per instruction, segments and micro-ops included."""
    width = len(str(len(program)))
    for number, segment in enumerate(program.segments):
        if len(program.segments) > 1:
            yield f"; launch {number}: {segment.stop - segment.start} instructions"
        for index in range(segment.start, segment.stop):
            yield f"{index:>{width}} {line(program, index)}"
        yield f"; {len(segment.micro_ops)} micro-ops (acc, inp or acc, wgt)"
        for index, op in enumerate(segment.micro_ops):
            yield f"; {index}: {int(op['dst_idx'])} {int(op['src_idx'])} {int(op['wgt_idx'])}"


def listing(program: Program, index: int) -> str:
    """What ``vtacsp program WORKLOAD --index N`` prints; ``program`` is that of the index."""
    knobs = " ".join(f"{name}={value}" for name, value in program.config.items())
    counters = program.counters()
    head = [
        f"; {program.workload.name} index {index}: {knobs}",
        f"; {program.hardware}",
        "; " + " ".join(f"{name}={value}" for name, value in counters.items()),
    ]
    return "\n".join([*head, *disassemble(program)])
