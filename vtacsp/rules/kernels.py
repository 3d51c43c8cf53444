"""Micro-op kernels: which loops the hardware runs and which become a list of micro-ops.

Source: ``FoldUopLoop`` of ``vta/transform.py`` and ``UopKernel`` of ``runtime.cc``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vtacsp.expr import Bool, Int, any_of, const, count, if_else, truth
from vtacsp.machine import fields as isa

__all__ = ["KEY_LIMIT", "LOOP_LIMIT", "MicroOpLoop", "loop_fields_fit", "micro_ops", "unrolled"]

HARDWARE_LOOPS = 2
KEY_LIMIT = 99
LOOP_LIMIT = 1 << isa.LOOP_EXTENT
ALWAYS = truth(True)


@dataclass(frozen=True)
class MicroOpLoop:
    """A loop of a kernel: what one iteration adds to the ACC, source and WGT index.

    ``linear`` when every index is linear in it.
    """

    extent: Int
    steps: tuple[Int, Int, Int]
    linear: Bool = ALWAYS

    @property
    def exists(self) -> Bool:
        """Loops of extent 1 vanish."""
        return self.extent > 1


def unrolled(loops: Sequence[MicroOpLoop]) -> list[Bool]:
    """For each loop, whether it is part of the micro-op list.

    The two outermost loops that exist become hardware loops, as long as every index is linear
    in them; everything further inside is unrolled.
    """
    result = []
    for i, loop in enumerate(loops):
        outer = loops[:i]
        full = truth(False)
        if i >= HARDWARE_LOOPS:
            full = count(*(o.exists for o in outer)) >= HARDWARE_LOOPS
        stopped = any_of(*(o.exists & ~o.linear for o in (*outer, loop)))
        result.append(loop.exists & (full | stopped))
    return result


def micro_ops(loops: Sequence[MicroOpLoop]) -> Int:
    """Length of the micro-op list of a kernel."""
    length: Int = const(1)
    for loop, inside in zip(loops, unrolled(loops), strict=True):
        length = length * if_else(inside, loop.extent, 1)
    return length


def loop_fields_fit(loops: Sequence[MicroOpLoop]) -> Bool:
    """Hardware loop extents fit 14 bits."""
    bad = [
        loop.exists & ~inside & (loop.extent >= LOOP_LIMIT)
        for loop, inside in zip(loops, unrolled(loops), strict=True)
    ]
    return ~any_of(*bad)
