"""A stream of instructions, of which those that are alike are written down once.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.machine.instructions import DEPENDENCIES, INSTRUCTION, Records

__all__ = ["POP_NEXT", "POP_PREV", "PUSH_NEXT", "PUSH_PREV", "Stream"]

POP_PREV, POP_NEXT, PUSH_PREV, PUSH_NEXT = (1 << bit for bit in range(len(DEPENDENCIES)))
"""Bits of ``flags``."""


class Stream(NamedTuple):
    """Instructions in the order in which they are issued.

    Instruction ``i`` is ``records[which[i]]``, ``dram[i]`` elements further in DRAM (modulo
    2**32), with the dependency flags ``flags[i]``.  ``records`` (r,) has the dtype
    ``INSTRUCTION``, ``which``, ``dram`` and ``flags`` have shape (n,).
    """

    records: Records
    which: NDArray[np.uint32]
    dram: NDArray[np.uint32]
    flags: NDArray[np.uint8]

    @classmethod
    def of(cls, instructions: Records) -> Stream:
        """The stream of these instructions, each with a record of its own."""
        flags = np.zeros(len(instructions), dtype=np.uint8)
        for bit, name in enumerate(DEPENDENCIES):
            flags |= (instructions[name] != 0).astype(np.uint8) << np.uint8(bit)
        which = np.arange(len(instructions), dtype=np.uint32)
        return cls(instructions, which, np.zeros(len(instructions), dtype=np.uint32), flags)

    def expand(self) -> Records:
        """Every instruction with all of its fields, shape (n,)."""
        words = self.records.view(np.uint64).reshape(len(self.records), -1)
        instructions = words[self.which].reshape(-1).view(INSTRUCTION)
        instructions["dram_base"] += self.dram
        for bit, name in enumerate(DEPENDENCIES):
            instructions[name] = self.flags >> np.uint8(bit) & np.uint8(1)
        return instructions
