"""The audit of a program: everything that is looked for, in one result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.audit import vector_clocks as clocks
from vtacsp.audit.findings import ERROR, Finding
from vtacsp.audit.instruction_checks import check_fields
from vtacsp.audit.numbers import check_numbers
from vtacsp.audit.target import Target
from vtacsp.errors import AuditError, DeadlockError
from vtacsp.machine.instructions import (
    INSTRUCTION,
    MICRO_OP,
    Memory,
    Module,
    Opcode,
    TokenQueue,
    modules_of,
)
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.workload import Workload
from vtacsp.program import Program, Segment, Stream
from vtacsp.program.listing import line
from vtacsp.timing.breakdown import TimingResult
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["Audit", "audit"]

MOST_STEPS = 2_000_000_000  # accesses that are followed
MOST_GRANULES = 1 << 24  # of DRAM
QUEUES = ("load->compute", "compute->load", "store->compute", "compute->store")


@dataclass(frozen=True)
class Audit:
    """What was found; :attr:`clean` when nothing of it is an error.

    ``program`` is what the simulators take; an unknown layer has a placeholder there.  ``doubtful``
    of ``stored`` bytes of DRAM depend on an order that no token fixes, or on what was
    there before.  ``timing`` is None for a program that cannot be timed.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> found = audit(of_program(program))
    >>> found.clean, found.stored, found.doubtful, found.timing.cycles
    (True, 64, 0, 1790)
    """

    target: Target
    program: Program = field(repr=False)
    findings: tuple[Finding, ...]
    stored: int
    doubtful: int
    timing: TimingResult | None = field(repr=False)

    @property
    def clean(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def errors(self) -> list[Finding]:
        """The findings that are defects."""
        return [finding for finding in self.findings if finding.severity == ERROR]

    @cached_property
    def limit(self) -> int | None:
        """Cycles below which no program computes the layer; None when that is not known."""
        bundle = self.target.bundle
        return None if bundle is None else bundle.manifest.limit

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        target, timing = self.target, self.timing
        known = target.bundle is not None
        return {
            "name": target.name,
            "model": target.hardware.model,
            "layer": target.bundle.manifest.layer.name if target.bundle is not None else None,
            "instructions": len(target.instructions),
            "micro_ops": len(target.micro_ops),
            "launches": len(target.launches),
            "clean": self.clean,
            "findings": [finding.to_dict() for finding in self.findings],
            "stored_bytes": self.stored,
            "doubtful_bytes": self.doubtful,
            "remarks": list(target.remarks),
            "cycles": timing.cycles if timing else None,
            "limit": self.limit if known else None,
            "bound": timing.bound if timing else None,
            "gemm_utilisation": timing.gemm_utilisation if timing else None,
            "read_utilisation": timing.read_utilisation if timing else None,
            "write_utilisation": timing.write_utilisation if timing else None,
            "timing": timing.timing.note if timing else None,
        }


def audit(target: Target, timing: TimingModel = RTL) -> Audit:
    """Audit a program.

    Raises :class:`~vtacsp.errors.AuditError` for one that is too large to be followed: more than
    two billion accesses, or too much DRAM.

    A store that does not wait for the ALU stores too early:

    >>> from vtacsp.machine.instructions import Memory
    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> target = of_program(program)
    >>> target.instructions["pop_prev_dep"][target.moves(Memory.OUT)] = 0
    >>> sorted({finding.kind for finding in audit(target).findings})
    ['race', 'tokens_left', 'unwritten']
    """
    program = _program(target)
    findings = list(check_fields(target))
    _refuse_giants(target)
    followed, stored, doubtful = _follow(target, program)
    findings += followed
    kinds = {finding.kind for finding in findings if finding.severity == ERROR}
    blocked = kinds & {"deadlock", "no_operation", "instruction_bits", "no_finish", "zero_extent"}
    if target.bundle is not None and not blocked and not kinds & _OUTSIDE:
        findings += check_numbers(target, program)
    timed = None
    if not blocked and not kinds & {"sram_bounds"}:
        timed = TimingResult(program, timing)
        try:
            timed.cycles  # noqa: B018 raises
        except DeadlockError:
            text = f"with queues of {timing.queue_entries} instructions FINISH is never reached"
            findings.append(Finding("queue_deadlock", text))
            timed = None
    order = {ERROR: 0}
    findings.sort(key=lambda f: (order.get(f.severity, 1), f.instruction or 0))
    return Audit(target, program, tuple(findings), stored, doubtful, timed)


_OUTSIDE = {"sram_bounds", "dram_bounds", "image_bounds"}


def _program(target: Target) -> Program:
    """The program for the simulators; of an unknown layer with one that says nothing."""
    layer: Workload
    if target.bundle is not None:
        layer = target.bundle.manifest.layer
    else:
        block = target.hardware.block
        layer = Dense(name="unknown", batch=target.hardware.batch, in_features=block,
                      out_features=block)  # fmt: skip
    image = np.ascontiguousarray(target.micro_ops).view(np.uint32).reshape(-1, 3)
    segments = tuple(Segment(start, stop, [image]) for start, stop in target.launches)
    stream = Stream.of(target.instructions)
    waits = target.held[TokenQueue.S2C] > 0
    return Program(layer, target.hardware, {}, stream, segments, {}, waits=waits)


def _refuse_giants(target: Target) -> None:
    """Raise for what would take hours: a field may say billions."""
    ins = {n: target.instructions[n].astype(np.float64) for n in _SIZES}
    kernel = np.isin(target.instructions["opcode"], (Opcode.GEMM, Opcode.ALU))
    moves = np.isin(target.instructions["opcode"], (Opcode.LOAD, Opcode.STORE))
    work = ins["iter_out"] * ins["iter_in"] * np.maximum(ins["uop_end"] - ins["uop_bgn"], 0)
    depth = max(target.hardware.depth(name) for name in ("uop", "inp", "wgt", "acc"))
    moved = (ins["x_size"] + ins["x_pad_0"] + ins["x_pad_1"]) * (
        ins["y_size"] + ins["y_pad_0"] + ins["y_pad_1"]
    )
    steps = float(work[kernel].sum() + np.minimum(moved, depth)[moves].sum())
    if steps > MOST_STEPS:
        raise AuditError(
            f"{target.name} has {steps:.3g} accesses, at most {MOST_STEPS:.3g} are followed"
        )


_SIZES = ("iter_out", "iter_in", "uop_end", "uop_bgn", "x_size", "y_size",
          "x_pad_0", "x_pad_1", "y_pad_0", "y_pad_1")  # fmt: skip


def _places(target: Target) -> tuple[IntArray, IntArray, int]:
    """Granule of the first element of every move, granules per element, how many there are.

    DRAM that nothing touches has no granule.
    """
    sizes = {m: target.hardware.element_bytes(m.name.lower()) for m in _DATA}
    granule = min(sizes.values())
    place = np.zeros(len(target.instructions), dtype=np.int64)
    rows, starts, ends = [], [], []
    for memory in _DATA:
        mine = np.flatnonzero(target.moves(memory))
        first, end = target.boxes(memory)
        rows.append(mine)
        starts.append(first[mine] // granule)
        ends.append(end[mine] // granule)
    row, start, end = map(np.concatenate, (rows, starts, ends))
    order = np.argsort(start, kind="stable")
    row, start, end = row[order], start[order], end[order]
    # boxes that touch become one stretch; stretches lie one after the other
    reach = np.maximum.accumulate(end) if len(end) else end
    fresh = np.ones(len(start), dtype=np.bool_)
    fresh[1:] = start[1:] > reach[:-1]
    heads = np.flatnonzero(fresh)
    last = np.append(heads[1:], len(start)) - 1
    lengths = (reach[last] - start[heads]).tolist() if len(heads) else []
    base = np.array([0, *accumulate(lengths)], dtype=np.int64)
    which = np.cumsum(fresh) - 1
    if len(start):
        place[row] = base[which] + start - start[heads][which]
    if base[-1] > MOST_GRANULES:
        raise AuditError(
            f"{target.name} touches {int(base[-1]) * granule:,} bytes of DRAM, at most "
            f"{MOST_GRANULES * granule:,} are followed"
        )
    per = np.ones(len(Memory), dtype=np.int64)
    for memory, size in sizes.items():
        per[memory] = size // granule
    return place, per, int(base[-1])


_DATA = (Memory.WGT, Memory.INP, Memory.ACC, Memory.OUT)


def _follow(target: Target, program: Program) -> tuple[list[Finding], int, int]:
    """Run the compiled audit over all launches."""
    ins, hardware = target.instructions, target.hardware
    table = np.stack([ins[name].astype(np.int64) for name in INSTRUCTION.names or ()], axis=1)
    module = modules_of(ins).astype(np.int64) - 1
    place, per, granules = _places(target)
    image = np.stack([target.micro_ops[n].astype(np.int64) for n in _UOP], axis=1)
    depths = (hardware.depth(name) for name in ("uop", "inp", "wgt", "acc"))
    pads, dram = clocks.ScratchpadClocks.of(*depths), clocks.DramClocks.of(granules)
    state = clocks.State.of(np.array(target.held, dtype=np.int64))
    findings = []
    for start, stop in target.launches:
        where, _ = clocks.follow(
            table, module, start, stop, image, target.image, place, per, pads, dram, state
        )
        if where.max() >= 0:
            findings.append(_deadlock(program, where))
            break
    left = {name: int(n) for name, n in zip(QUEUES, state.held, strict=True) if n}
    if left and not findings:
        text = ", ".join(f"{n} in {name}" for name, n in left.items())
        findings.append(Finding("tokens_left", f"left over: {text}"))
    findings += _records(dram, state)
    written = dram.writer >= 0
    size = int(min(hardware.element_bytes(m.name.lower()) for m in _DATA))
    doubtful = int((written & (dram.taint != 0)).sum()) * size
    if target.complete and not any(f.kind == "deadlock" for f in findings):
        findings += _not_stored(target)
    return findings, int(written.sum()) * size, doubtful


_UOP = MICRO_OP.names or ()


def _deadlock(program: Program, where: Sequence[int] | IntArray) -> Finding:
    waits = [
        f"{Module(m + 1).name.lower()} waits at instruction {int(i)} ({line(program, int(i))})"
        for m, i in enumerate(where)
        if i >= 0
    ]
    return Finding("deadlock", "; ".join(waits), int(max(where)))


def _records(dram: clocks.DramClocks, state: clocks.State) -> Iterator[Finding]:
    harm = int(state.harm[0]) | int(np.bitwise_or.reduce(dram.taint)) if len(dram.taint) else 0
    merged: dict[tuple[int, ...], list[int]] = {}
    for kind, *key, element, count, changes in state.found[: int(state.number[0])].tolist():
        known = merged.setdefault((kind, *key), [element, 0, 0])
        known[0] = max(known[0], element) if kind == clocks.TOKENS else known[0]
        known[1] += count
        known[2] |= changes
    for (kind, i, other, memory), (element, count, changes) in merged.items():
        bit = clocks.bit(i, other, kind, memory)
        name = _kind(kind, bool(changes) and bool(harm >> bit & 1))
        some = kind not in (
            clocks.TOKENS,
            clocks.EARLY_FINISH,
            clocks.DRAM_ORDER,
        )
        yield Finding(
            name,
            _text(kind, other, memory, element),
            i,
            None if other < 0 else other,
            None if kind == clocks.TOKENS else Memory(memory).name,
            element if some else None,
            count,
        )


def _kind(kind: int, harmful: bool) -> str:
    if kind in (clocks.UNORDERED, clocks.STORE_ORDER):
        return "race" if harmful else "unordered"
    if kind == clocks.UNWRITTEN:
        return "unwritten" if harmful else "unwritten_unused"
    return _NAMES[kind]


_NAMES = {
    clocks.SRAM_BOUNDS: "sram_bounds",
    clocks.IMAGE_BOUNDS: "image_bounds",
    clocks.OUT_STALE: "stale_output",
    clocks.TOKENS: "token_overflow",
    clocks.EARLY_FINISH: "early_finish",
    clocks.DRAM_ORDER: "dram_race",
    clocks.HAZARD: "micro_op_hazard",
}


def _text(kind: int, other: int, memory: int, element: int) -> str:
    if kind == clocks.TOKENS:
        return f"{QUEUES[memory]} may hold {element} tokens"
    name = f"{Memory(memory).name} element {element:,}"
    return {
        clocks.UNORDERED: f"it reads {name}, which instruction {other} loads",
        clocks.STORE_ORDER: f"it writes {name}, which instruction {other} stores",
        clocks.UNWRITTEN: f"it reads {name}, which nothing has written",
        clocks.SRAM_BOUNDS: f"it uses {name}",
        clocks.IMAGE_BOUNDS: f"it loads micro-op {element:,} of the image",
        clocks.OUT_STALE: f"it stores {name}, which a load or reset wrote last",
        clocks.EARLY_FINISH: f"it does not wait for instruction {other}",
        clocks.DRAM_ORDER: f"it touches DRAM that instruction {other} touches",
        clocks.HAZARD: f"two micro-ops in a row, or nearly, write {name}",
    }[kind]


def _not_stored(target: Target) -> Iterator[Finding]:
    """Bytes of the output that no store covers."""
    size = target.hardware.element_bytes("out")
    for region in (r for r in target.regions if r.memory == Memory.OUT):
        covered = np.zeros(region.bytes // size, dtype=np.bool_)
        for at in np.flatnonzero(target.moves(Memory.OUT)).tolist():
            row = target.instructions[at]
            first = int(row["dram_base"]) - region.address // size
            for y in range(int(row["y_size"])):
                start = first + y * int(row["x_stride"])
                covered[max(start, 0) : max(start + int(row["x_size"]), 0)] = True
        missing = np.flatnonzero(~covered)
        if len(missing):
            text = f"{len(missing):,} of {len(covered):,} output elements, the first is "
            text += f"{int(missing[0]):,}"
            element = int(missing[0])
            yield Finding("not_stored", text, None, None, "OUT", element, len(missing))
