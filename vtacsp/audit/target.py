"""What is audited: instructions, micro-ops, the machine, and what is known of the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Opcode, Records

if TYPE_CHECKING:
    from vtacsp.bundle import Bundle

__all__ = ["Region", "Target"]


@dataclass(frozen=True)
class Region:
    """Bytes ``address`` to ``address + bytes`` of DRAM, a buffer of a memory type.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> [(region.memory.name, region.bytes) for region in of_program(program).regions]
    [('UOP', 20), ('INP', 64), ('WGT', 4096), ('ACC', 0), ('OUT', 64)]
    """

    memory: Memory
    address: int
    bytes: int


@dataclass(frozen=True)
class Target:
    """An instruction stream and what it is audited with.

    ``instructions`` with DRAM addresses in elements from address 0; ``launches`` are (start, stop)
    of what one call of the driver runs.  ``micro_ops`` begin at DRAM element ``image`` of their
    type, -1 when that is not known.  ``words`` is the binary form, None where there was none.
    ``regions`` are the buffers that are known: where there are any of a memory type, what it moves
    has to lie in one of them.  ``complete`` says that the whole OUT region has to be stored.
    ``held`` are tokens that the program before left in the queues load->compute, compute->load,
    store->compute and compute->store.  ``remarks`` say what had to be assumed.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> target = of_program(program)
    >>> target.counts["gemm"], target.launches
    (20, ((0, 82),))
    """

    name: str
    hardware: VTAConfig
    instructions: Records = field(repr=False)
    micro_ops: Records = field(repr=False)
    launches: tuple[tuple[int, int], ...]
    image: int
    words: NDArray[np.uint64] | None = field(default=None, repr=False)
    regions: Sequence[Region] = ()
    complete: bool = False
    held: tuple[int, int, int, int] = (0, 0, 0, 0)
    bundle: Bundle | None = field(default=None, repr=False)
    remarks: tuple[str, ...] = ()

    def moves(self, memory: Memory) -> BoolArray:
        """Which instructions move something of a memory type; stores are OUT."""
        ins = self.instructions
        some = (ins["x_size"] > 0) & (ins["y_size"] > 0)
        if memory == Memory.OUT:
            return np.asarray(some & (ins["opcode"] == Opcode.STORE))
        load = (ins["opcode"] == Opcode.LOAD) & (ins["memory_type"] == memory)
        return np.asarray(some & load)

    def boxes(self, memory: Memory) -> tuple[IntArray, IntArray]:
        """First byte, and the one past the last, that each instruction of a memory type moves."""
        ins, size = self.instructions, self.hardware.element_bytes(memory.name.lower())
        first = ins["dram_base"].astype(np.int64)
        rows = (ins["y_size"].astype(np.int64) - 1) * ins["x_stride"]
        return first * size, (first + rows + ins["x_size"]) * size

    @property
    def counts(self) -> Mapping[str, int]:
        """How many instructions of each kind."""
        codes = np.bincount(self.instructions["opcode"], minlength=8)
        return {op.name.lower(): int(codes[op]) for op in Opcode}


def launches_of(instructions: Records) -> tuple[tuple[int, int], ...]:
    """Launches of a stream that is not cut: each ends with a FINISH; the last one may lack it."""
    ends = (np.flatnonzero(instructions["opcode"] == Opcode.FINISH) + 1).tolist()
    if not ends or ends[-1] < len(instructions):
        ends.append(len(instructions))
    return tuple(zip([0, *ends[:-1]], ends, strict=True))
