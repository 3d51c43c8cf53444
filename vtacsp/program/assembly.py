"""From a loop nest and its calls to a program: records of every call, then the queue.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.causes import SRAM_UOP, UOP_SIGNATURE
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import (
    Memory,
    Module,
    Opcode,
    as_stored,
    depths,
    fits,
    module_of,
    places,
)
from vtacsp.operators.workload import Workload
from vtacsp.program.copies import MOVE, Copy, PerTile
from vtacsp.program.kernel import KERNEL, Kernel
from vtacsp.program.loops import VARIABLES, Loop
from vtacsp.program.order import step_table
from vtacsp.program.program import Program, Segment
from vtacsp.program.runtime import Calls, Issued, Queue, issue
from vtacsp.program.stream import Stream

__all__ = ["Assembly"]

MAX_VARIANTS = 100
"""Kernels that one call site can hold (``UopKernelMap`` of the runtime)."""

_LOADS = {memory: Module(int(module_of(Opcode.LOAD, memory))) for memory in Memory}
"""The module that runs a load of each memory."""


class Assembly:
    """Calls of an operator, by the names that its nest gives them.

    ``tiles`` is the number of iterations of every loop, ``threads`` how many of a loop's run
    side by side as virtual threads.
    """

    def __init__(
        self, hardware: VTAConfig, tiles: Mapping[str, int], threads: Mapping[str, int]
    ) -> None:
        self.hardware = hardware
        self.extents = {v: tiles.get(v, 1) // threads.get(v, 1) for v in VARIABLES}
        self.split = threads
        self.threads = prod(threads.values())
        self._uop_depth = depths(hardware)["uop"]
        self._kernels: list[Kernel] = []
        self._moves: list[tuple[int, ...]] = []
        self._rows: dict[str, list[list[int]]] = {}
        self._tables: dict[str, Mapping[str, PerTile]] = {}

    def load(self, name: str, memory: Memory, copy: Copy, sram: Sequence[int]) -> None:
        """A DMA load to element ``sram[thread]``.

        Bias goes through the compute module, the rest through the load module.
        """
        self._move(name, _LOADS[memory], Opcode.LOAD, memory, copy, sram)

    def store(self, name: str, copy: Copy, sram: Sequence[int]) -> None:
        """A DMA store of the accumulators, cut to the output width."""
        self._move(name, Module.STORE, Opcode.STORE, Memory.OUT, copy, sram)

    def _move(
        self,
        name: str,
        stage: Module,
        opcode: Opcode,
        memory: Memory,
        copy: Copy,
        sram: Sequence[int],
    ) -> None:
        self._moves.append((int(opcode), int(memory), *copy.shape))
        strides = [copy.strides.get(v, 0) * self.split.get(v, 1) for v in VARIABLES]
        number, rows = len(self._moves) - 1, []
        for thread in range(self.threads):
            start = copy.start
            for v, count in self.split.items():
                start += copy.strides.get(v, 0) * (thread % count)
            rows.append([int(stage), number, sram[thread], start, *strides])
        self._rows[name], self._tables[name] = rows, copy.tables

    def kernel(self, name: str, kernels: Iterable[Kernel]) -> None:
        """A call site with one kernel per thread.

        Raises :class:`~vtacsp.errors.ProgramError` for one that the runtime refuses.
        """
        rows = [[0, len(self._kernels) + t, 0, 0, *_STILL] for t in range(self.threads)]
        self._rows[name] = rows
        for kernel in kernels:
            size = len(kernel.micro_ops)
            if size > self._uop_depth:
                raise ProgramError(
                    SRAM_UOP, f"a kernel of {size} micro-ops, UOP holds {self._uop_depth}"
                )
            self._kernels.append(kernel)

    @property
    def micro_ops(self) -> int:
        """Micro-ops of all kernels so far."""
        return sum(len(kernel.micro_ops) for kernel in self._kernels)

    def kernels(self, name: str, variants: Iterable[Iterable[Kernel]], by: str) -> None:
        """A call site where each iteration of the loop over ``by`` has kernels of its own.

        They are recorded here in the order in which the runtime first reaches them, and refused
        as it refuses them.
        """
        first = len(self._kernels)
        for number, variant in enumerate(variants):
            if number + 1 >= MAX_VARIANTS:
                raise ProgramError(
                    UOP_SIGNATURE, f"more than {MAX_VARIANTS - 1} kernels at one call site"
                )
            self.kernel(name, variant)
        strides = [self.threads if v == by else 0 for v in VARIABLES]
        self._rows[name] = [[0, first + t, 0, 0, *strides] for t in range(self.threads)]

    def finish(
        self,
        workload: Workload,
        config: Mapping[str, int],
        nest: Loop,
        dram: Mapping[str, int],
        *,
        queue: Queue,
        loop_is_function: bool,
    ) -> Program:
        """Run the calls of a nest through the runtime's queue.

        ``loop_is_function``: see :func:`~vtacsp.program.order.step_table`.
        """
        looped = frozenset(v for v, extent in self.extents.items() if extent > 1)
        steps = step_table(nest, looped, self.threads, loop_is_function)
        calls = Calls(
            np.array([row for name in steps.calls for row in self._rows[name]]),
            np.array(self._moves),
            places(MOVE, self.hardware),
            np.array([kernel.fields for kernel in self._kernels]),
            places(KERNEL, self.hardware),
            np.array([len(kernel.micro_ops) for kernel in self._kernels]),
            *self._flat_tables(steps.calls),
        )
        issued = issue(steps, self.extents, calls, self._uop_depth, queue)
        stream = issued.stream
        if not fits(self.hardware):
            stream = Stream.of(as_stored(stream.expand(), self.hardware))
        return Program(
            workload=workload,
            hardware=self.hardware,
            config=dict(config),
            stream=stream,
            segments=self._segments(issued),
            dram=dict(dram),
            waits=queue.waits,
            leaves=issued.pending,
        )

    def _flat_tables(self, calls: Sequence[str]) -> tuple[IntArray, ...]:
        """The last four fields of :class:`~vtacsp.program.runtime.Calls`."""
        rows: list[tuple[int, ...]] = []
        shapes: list[IntArray] = []
        which: list[IntArray] = []
        dram: list[IntArray] = []
        at = shape = 0
        for number, name in enumerate(calls):
            for variable, table in self._tables.get(name, {}).items():
                place, split = VARIABLES.index(variable), self.split.get(variable, 1)
                for thread in range(self.threads):
                    row, first = number * self.threads + thread, thread % split
                    which.append(table.which[first::split])
                    dram.append(table.dram[first::split])
                    rows.append((row, place, at, shape, len(table.shapes)))
                    at += len(which[-1])
                shapes.append(table.shapes)
                shape += len(table.shapes)
        if not rows:
            return _NO_TABLES
        return np.array(rows), *map(np.concatenate, (which, dram, shapes))

    def _segments(self, issued: Issued) -> tuple[Segment, ...]:
        segments = []
        start = images = 0
        for stop, last in zip(issued.ends.tolist(), issued.image_ends.tolist(), strict=True):
            kernels = [self._kernels[k].micro_ops for k in issued.image[images:last].tolist()]
            segments.append(Segment(start, stop, kernels))
            start, images = stop, last
        return tuple(segments)


_STILL = (0,) * len(VARIABLES)
_NO_TABLES = tuple(np.zeros(shape, dtype=np.int64) for shape in ((0, 5), 0, 0, (0, 8)))
