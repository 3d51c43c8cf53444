"""Loads that the Chisel design ends before their data are there: wrong numbers on the hardware.

Source: ``blocksInFlight`` of ``core/TensorLoadNarrowVME.scala``.  It counts the beats that were
requested and have not arrived, with as many bits as the beats of the scratchpad have places.
A load of the whole scratchpad whose last request leaves before its first beat is counted has all
of them in flight, which the counter takes for none: the load ends, and what arrives later is not
written.  Stack, functional simulators and the cycles of :mod:`.engine` know nothing of it.
"""

from __future__ import annotations

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Opcode, Records
from vtacsp.program import Program
from vtacsp.timing.engine import LaunchCycles
from vtacsp.timing.model import TimingModel

__all__ = ["cut_short", "whole_loads"]

_MEMORIES = (Memory.INP, Memory.WGT, Memory.ACC)
_INSTRUCTION, _GRANTED, _FIRST = 0, 1, 2  # columns of READ_RECORD


def whole_loads(records: Records, hardware: VTAConfig, timing: TimingModel) -> IntArray:
    """Which instructions load a whole scratchpad of elements wider than the bus: int64 of (k,)."""
    found = np.zeros(len(records), dtype=bool)
    elements = records["x_size"].astype(np.int64) * records["y_size"]
    for memory in _MEMORIES:
        name = memory.name.lower()
        if hardware.element_bytes(name) > timing.bus_bytes:
            mine = (records["opcode"] == Opcode.LOAD) & (records["memory_type"] == memory)
            found |= mine & (elements == hardware.depth(name))
    return np.flatnonzero(found).astype(np.int64)


def cut_short(
    program: Program, launches: tuple[LaunchCycles, ...], timing: TimingModel
) -> list[int]:
    """Instructions whose load ends early with this memory; ``launches`` as recorded.

    Measured on both sides of the limit: of 1,024 beats in 4 requests it is a latency of 4 cycles,
    of 2,048 beats in 8 requests one of 12.
    """
    whole = set(whole_loads(program.instructions, program.hardware, timing).tolist())
    found: list[int] = []
    for segment, launch in zip(program.segments, launches, strict=True):
        for number in sorted(whole & set(range(segment.start, segment.stop))):
            reads = launch.reads[launch.reads[:, _INSTRUCTION] == number - segment.start]
            if not len(reads):
                continue
            counted = reads[0, _FIRST] + timing.narrow_drain - 1
            # a request leaves the load a cycle before it waits at the port
            left = reads[-2, _GRANTED] + timing.request_interval - 1 if len(reads) > 1 else -1
            if left < counted:
                found.append(number)
    return found
