"""What is wrong with instructions one by one: fields, bounds, addresses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vtacsp.arrays import BoolArray
from vtacsp.audit.findings import Finding
from vtacsp.audit.target import Target
from vtacsp.machine.instructions import AluOp, Memory, Module, Opcode, encode, fits, modules_of

__all__ = ["check_fields"]

LOADED = (Memory.UOP, Memory.WGT, Memory.INP, Memory.ACC)


def check_fields(target: Target) -> Iterator[Finding]:
    """Findings that an instruction shows by itself."""
    yield from _operations(target)
    yield from _padding_and_work(target)
    yield from _addresses(target)
    for start, stop in target.launches:
        last = stop - 1
        if stop == start or target.instructions["opcode"][last] != Opcode.FINISH:
            yield Finding("no_finish", "the last instruction is no FINISH", last)
    if not fits(target.hardware):
        yield Finding("instruction_bits", "GEMM or ALU instructions need more than 128 bits")
    elif target.words is not None:
        again = encode(target.instructions, target.hardware)
        yield from _each("unused_bits", (again != target.words).any(axis=1), "bits are set")


def _each(kind: str, mask: BoolArray, text: str) -> Iterator[Finding]:
    """One finding for all instructions that are alike: the first of them, and how many."""
    found = np.flatnonzero(mask)
    if len(found):
        yield Finding(kind, text, int(found[0]), count=len(found))


def _operations(target: Target) -> Iterator[Finding]:
    ins = target.instructions
    opcode, memory, moves = ins["opcode"], ins["memory_type"], ins["x_size"] > 0
    load, store = opcode == Opcode.LOAD, opcode == Opcode.STORE
    for code in np.unique(opcode[opcode > Opcode.ALU]).tolist():
        yield from _each("no_operation", opcode == code, f"there is no opcode {code}")
    strange = load & ~np.isin(memory, LOADED) & moves
    yield from _each("no_operation", strange, "a load of no scratchpad")
    other = store & (memory != Memory.OUT) & moves
    yield from _each("no_operation", other, "a store of something else than OUT")
    alu = (opcode == Opcode.ALU) & (ins["alu_opcode"] > max(AluOp))
    yield from _each("no_operation", alu, "there is no such ALU operation")
    flags = (modules_of(ins) == Module.LOAD) & ((ins["pop_prev_dep"] | ins["push_prev_dep"]) != 0)
    flags |= store & ((ins["pop_next_dep"] | ins["push_next_dep"]) != 0)
    yield from _each("no_queue", flags, "it pops or pushes where there is no module")


def _padding_and_work(target: Target) -> Iterator[Finding]:
    ins, hardware = target.instructions, target.hardware
    opcode, memory = ins["opcode"], ins["memory_type"]
    pads = ins["y_pad_0"] | ins["y_pad_1"] | ins["x_pad_0"] | ins["x_pad_1"]
    padded = (opcode == Opcode.STORE) & (ins["x_size"] > 0) & (pads != 0)
    yield from _each("store_padding", padded, "it has padding, which only loads have")
    shaped = (opcode == Opcode.LOAD) & (memory == Memory.UOP) & (ins["x_size"] > 0)
    shaped &= (pads != 0) | (ins["y_size"] > 1)
    yield from _each("micro_op_shape", shaped, "a load of micro-ops is one row without padding")
    kernel = np.isin(opcode, (Opcode.GEMM, Opcode.ALU))
    idle = kernel & ((ins["iter_out"] == 0) | (ins["iter_in"] == 0))
    idle |= kernel & (ins["uop_end"] <= ins["uop_bgn"])
    yield from _each("zero_extent", idle, "it has no iterations or no micro-ops")
    moves = np.isin(opcode, (Opcode.LOAD, Opcode.STORE)) & (ins["x_size"] > 0)
    empty = moves & (ins["y_size"] == 0)
    yield from _each("zero_extent", empty, "it moves no row")
    for name in ("inp", "wgt", "acc"):
        mine = (opcode == Opcode.LOAD) & (memory == Memory[name.upper()])
        size = ins["x_size"].astype(np.int64) * ins["y_size"]
        whole = mine & (size >= hardware.depth(name))
        text = f"a load of {hardware.depth(name):,} elements fills {name.upper()}: its beats "
        text += "overflow the design's counter when memory is slow (docs/timing.md)"
        yield from _each("beat_counter", whole, text)


def _addresses(target: Target) -> Iterator[Finding]:
    for memory in Memory:
        moves = target.moves(memory)
        if not moves.any():
            continue
        first, end = target.boxes(memory)
        far = moves & (end > 1 << 32)
        yield from _each("address_bits", far, f"{memory.name} beyond 4 GiB")
        mine = [region for region in target.regions if region.memory == memory]
        if not mine:
            continue
        inside = np.zeros(len(moves), dtype=np.bool_)
        for region in mine:
            inside |= (first >= region.address) & (end <= region.address + region.bytes)
        for at in np.flatnonzero(moves & ~inside)[:1].tolist():
            where = ", ".join(f"{r.address:#x} to {r.address + r.bytes:#x}" for r in mine)
            yield Finding(
                "dram_bounds",
                f"it moves bytes {first[at]:#x} to {end[at]:#x}, {memory.name} lies in {where}",
                at,
                memory=memory.name,
                count=int((moves & ~inside).sum()),
            )
