"""The epilogue of a tile: loads of its operands and ALU operations, all in place in ACC.

Made by doing: independent of the rules on purpose, two oracles that are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from vtacsp.causes import ALU_PATTERN, OTHER
from vtacsp.epilogue.steps import CHANNEL, NARROW, Epilogue
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import PAGE
from vtacsp.machine.instructions import AluOp, Memory, Module
from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy
from vtacsp.program.kernel import KernelLoop, alu_loops, alu_micro_ops, record_alu
from vtacsp.program.loops import Call, Scope, Statement

__all__ = [
    "ALU_OPS",
    "Slots",
    "check_chain",
    "check_store",
    "elements_out_of_place",
    "epilogue",
    "operand_bases",
    "wrap_epilogue",
]

_REUSE = 16
"""Largest ratio of a free buffer and one that takes its place (``StoragePlanRewriter``)."""

ALU_OPS = {
    "min": AluOp.MIN,
    "max": AluOp.MAX,
    "add": AluOp.ADD,
    "shr": AluOp.SHR,
    "mul": AluOp.MUL,
}


@dataclass
class Slots:
    """Where a tile's operands lie: first element of each, counted from the tile's own buffers.

    ``tile`` and ``channel`` are the elements of a tensor's and of a channel operand's part.
    Operands on the left lie in front of the accumulators, at ``acc``, the others behind them; a
    slot is taken again once what was in it has been used.
    """

    chain: Epilogue
    tile: int
    channel: int
    acc: int = 0
    of: dict[int, int] = field(default_factory=dict)
    total: int = 0

    def __post_init__(self) -> None:
        sizes: list[int] = []  # of all buffers, the accumulators included
        held: dict[int, int] = {}
        free: list[int] = []

        def take(number: int) -> None:
            need = self.tile if self.chain.operands[number] != CHANNEL else self.channel
            large = [s for s in free if need <= sizes[s] <= need * _REUSE]
            small = [s for s in free if need // _REUSE <= sizes[s] < need]
            if large or small:
                slot = (
                    min(large, key=sizes.__getitem__)
                    if large
                    else max(small, key=sizes.__getitem__)
                )
                free.remove(slot)
                sizes[slot] = max(sizes[slot], need)
            else:
                slot = len(sizes)
                sizes.append(need)
            held[number] = slot

        takes = [p for p in self.chain.passes if p.operand is not None]
        for p in reversed(takes):
            if p.left and p.operand is not None:
                take(p.operand)
        accumulators = len(sizes)
        sizes.append(self.tile)
        for p in takes:
            assert p.operand is not None
            if not p.left:
                take(p.operand)
            free.append(held[p.operand])
        # widened operands never run, but their buffers are counted before that is found out
        sizes += [-(-self.tile // 4) for kind in self.chain.operands if kind == NARROW]
        starts = [sum(sizes[:slot]) for slot in range(len(sizes))]
        self.acc = starts[accumulators]
        self.of = {number: starts[slot] for number, slot in held.items()}
        self.total = sum(sizes)


def elements_out_of_place(chain: Epilogue, tile: int, channel: int) -> int:
    """Elements of a thread when no buffer is used twice: each stage has its own."""
    total = tile * (1 + len(chain.stages))
    for kind in chain.operands:
        total += {CHANNEL: channel, NARROW: -(-tile // 4)}.get(kind, tile)
    return total


def check_chain(chain: Epilogue, *, out_of_place: bool = False) -> None:
    """Raise for the first stage that the compiler does not recognise."""
    for number, p in enumerate(chain.stages, 1):
        if p.op == "sub":
            raise ProgramError(OTHER, f"stage {number} subtracts, the ALU does not")
        if p.op == "cast":
            raise ProgramError(ALU_PATTERN, f"stage {number} is a cast")
        pair = p.op != "copy" and p.value is None
        if out_of_place and pair:
            raise ProgramError(ALU_PATTERN, f"stage {number} has two operands and is not in place")


def check_store(chain: Epilogue) -> None:
    """Raise when the last step is none that the store can do."""
    if not chain.stores:
        raise ProgramError(OTHER, "the epilogue does not end with a cast")


@lru_cache(maxsize=256)
def wrap_epilogue(chain: Epilogue) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """The epilogue's place in a nest: what comes before the reset, what after the GEMM."""
    before: list[Statement] = [
        Call(f"operand{p.operand}") for p in reversed(chain.passes) if p.left
    ]
    after: list[Statement] = []
    for number, p in enumerate(chain.passes):
        if p.operand is not None and not p.left:
            after.append(Call(f"operand{p.operand}"))
        after.append(Call(f"alu{number}"))
    return _scope(before), _scope(after)


def _scope(calls: list[Statement]) -> tuple[Statement, ...]:
    return (Scope(Module.COMPUTE, calls),) if calls else ()


def operand_bases(sizes: Iterable[int], hardware: VTAConfig) -> tuple[list[int], int]:
    """First DRAM element of operands of these sizes, each on a page, and the end of the last."""
    page = PAGE // hardware.element_bytes("acc")
    bases, end = [], 0
    for size in sizes:
        start = -(-end // page) * page
        bases.append(start)
        end = start + size
    return bases, end


def epilogue(
    a: Assembly,
    chain: Epilogue,
    tile: Sequence[KernelLoop],
    broadcast: Sequence[KernelLoop],
    slots: Slots,
    acc: Sequence[int],
    copies: Mapping[int, Copy],
) -> None:
    """The calls of :func:`wrap_epilogue` over one tile.

    ``tile`` and ``broadcast`` are the loops over the accumulators, with a second operand of the
    tile's shape and with one value per channel; ``acc`` is the first accumulator of each thread,
    ``copies`` the load of each operand.
    """
    in_place = [(base, base) for base in acc]
    for number, p in enumerate(chain.passes):
        loops, bases = tile, in_place
        if p.operand is not None:
            offset = slots.of[p.operand] - slots.acc
            a.load(f"operand{p.operand}", Memory.ACC, copies[p.operand], [b + offset for b in acc])
            bases = [(base, base + offset) for base in acc]
            loops = broadcast if p.kind == CHANNEL else tile
        micro_ops = alu_micro_ops(bases, a.hardware)
        immediate = None if p.value is None else p.immediate
        a.kernel(f"alu{number}", record_alu(ALU_OPS[p.op], alu_loops(loops), micro_ops, immediate))
