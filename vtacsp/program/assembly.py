"""From a loop nest and its calls to a program: records of every call, then the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program.copies import Copy, Table
from vtacsp.program.isa import (
    INSTRUCTION,
    MICRO_OP,
    Memory,
    Opcode,
    Records,
    Stage,
    as_stored,
    depths,
    fits,
    pack,
)
from vtacsp.program.kernel import Kernel
from vtacsp.program.nest import VARIABLES, Loop
from vtacsp.program.program import Program, Segment
from vtacsp.program.runtime import Calls, Issued, Queue, issue
from vtacsp.program.schedule import schedule
from vtacsp.program.stream import Stream
from vtacsp.workload import Workload

__all__ = ["Assembly"]

IntArray = NDArray[np.int64]

MAX_VARIANTS = 100
"""Kernels that one call site can hold (``UopKernelMap`` of the runtime)."""


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
        self._kernels: list[Kernel] = []
        self._moves: list[bytes] = []
        self._rows: dict[str, list[list[int]]] = {}
        self._tables: dict[str, Mapping[str, Table]] = {}

    def load(self, name: str, memory: Memory, copy: Copy, sram: Sequence[int]) -> None:
        """A DMA load to element ``sram[thread]``.

        Bias goes through the compute module, the rest through the load module.
        """
        stage = Stage.COMPUTE if memory == Memory.ACC else Stage.LOAD
        self._move(name, stage, Opcode.LOAD, memory, copy, sram)

    def store(self, name: str, copy: Copy, sram: Sequence[int]) -> None:
        """A DMA store of the accumulators, cut to the output width."""
        self._move(name, Stage.STORE, Opcode.STORE, Memory.OUT, copy, sram)

    def _move(
        self,
        name: str,
        stage: Stage,
        opcode: Opcode,
        memory: Memory,
        copy: Copy,
        sram: Sequence[int],
    ) -> None:
        self._moves.append(pack(opcode, {**copy.fields, "memory_type": memory}, self.hardware))
        strides = [copy.strides.get(v, 0) * self.split.get(v, 1) for v in VARIABLES]
        rows = []
        for thread in range(self.threads):
            start = copy.start + sum(
                copy.strides.get(v, 0) * (thread % count) for v, count in self.split.items()
            )
            rows.append([stage, len(self._moves) - 1, sram[thread], start, *strides])
        self._rows[name], self._tables[name] = rows, copy.tables

    def kernel(
        self,
        name: str,
        record: Callable[[int, int], Kernel],
        variants: int = 1,
        by: str | None = None,
    ) -> None:
        """A call site with a kernel ``record(thread, variant)`` per thread and variant.

        Iterations of the loop over ``by`` each run a variant of their own.  Kernels are
        recorded here in the order in which the runtime first reaches them, and refused as it
        refuses them.
        """
        first, depth = len(self._kernels), depths(self.hardware)["uop"]
        for number in range(variants * self.threads):
            if number + 1 >= MAX_VARIANTS * self.threads:
                raise ProgramError(
                    "uop_signature", f"more than {MAX_VARIANTS - 1} kernels at one call site"
                )
            variant, thread = divmod(number, self.threads)
            kernel = record(thread, variant)
            size = len(kernel.micro_ops)
            if size > depth:
                raise ProgramError("sram:uop", f"a kernel of {size} micro-ops, UOP holds {depth}")
            self._kernels.append(kernel)
        strides = [self.threads if variants > 1 and v == by else 0 for v in VARIABLES]
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

        ``loop_is_function``: see :func:`~vtacsp.program.schedule.schedule`.
        """
        looped = frozenset(v for v, extent in self.extents.items() if extent > 1)
        steps = schedule(nest, looped, self.threads, loop_is_function)
        calls = Calls(
            np.array([row for name in steps.calls for row in self._rows[name]]),
            _unpack(self._moves),
            _unpack([kernel.instruction for kernel in self._kernels]),
            np.array([len(kernel.micro_ops) for kernel in self._kernels]),
            *self._flat_tables(steps.calls),
        )
        uop_depth = depths(self.hardware)["uop"]
        issued = issue(steps, self.extents, calls, uop_depth, queue)
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

    def _flat_tables(self, calls: Sequence[str]) -> tuple[IntArray, IntArray, IntArray, Records]:
        """The last four fields of :class:`~vtacsp.program.runtime.Calls`."""
        rows: list[list[int]] = []
        shapes: list[bytes] = []
        at = 0
        which, dram = [_NOTHING], [_NOTHING]
        for number, name in enumerate(calls):
            for variable, table in self._tables.get(name, {}).items():
                split = self.split.get(variable, 1)
                for thread in range(self.threads):
                    mine = slice(thread % split, None, split)
                    which.append(table.which[mine])
                    dram.append(table.dram[mine])
                    row = number * self.threads + thread, VARIABLES.index(variable)
                    rows.append([*row, at, len(shapes), len(table.shapes)])
                    at += len(which[-1])
                shapes.extend(table.shapes)
        flat = np.concatenate(which), np.concatenate(dram)
        return np.array(rows, dtype=np.int64).reshape(-1, 5), *flat, _unpack(shapes)

    def _segments(self, issued: Issued) -> tuple[Segment, ...]:
        segments = []
        start = images = 0
        for stop, last in zip(issued.ends.tolist(), issued.image_ends.tolist(), strict=True):
            kernels = [self._kernels[k].micro_ops for k in issued.image[images:last].tolist()]
            image = np.concatenate([_NO_MICRO_OPS, *kernels])
            segments.append(Segment(start, stop, image.view(MICRO_OP).reshape(-1)))
            start, images = stop, last
        return tuple(segments)


_NOTHING = np.zeros(0, dtype=np.int64)
_NO_MICRO_OPS = np.zeros((0, 3), dtype=np.uint32)


def _unpack(records: Sequence[bytes]) -> Records:
    return np.frombuffer(b"".join(records), dtype=INSTRUCTION)
