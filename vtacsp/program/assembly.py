"""From a loop nest and its calls to a program: records of every call, then the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program.copies import Copy
from vtacsp.program.isa import (
    INSTRUCTION,
    MICRO_OP,
    Memory,
    Opcode,
    Records,
    Stage,
    as_stored,
    depths,
    pack,
)
from vtacsp.program.kernel import Kernel
from vtacsp.program.nest import VARIABLES, Loop
from vtacsp.program.program import Program, Segment
from vtacsp.program.runtime import Calls, Issued, Queue, issue
from vtacsp.program.schedule import schedule
from vtacsp.workload import Workload

__all__ = ["Assembly"]

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
        self._records: list[bytes] = []
        self._rows: dict[str, list[list[int]]] = {}

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
        fields = {**copy.fields, "memory_type": memory}
        strides = [copy.strides.get(v, 0) * self.split.get(v, 1) for v in VARIABLES]
        rows = []
        for thread in range(self.threads):
            first = {v: thread % count for v, count in self.split.items()}
            fields["sram_base"] = sram[thread]
            fields["dram_base"] = copy.start + sum(
                copy.strides.get(v, 0) * tile for v, tile in first.items()
            )
            record = self._append([pack(opcode, fields, self.hardware)])
            tables = [-1] * len(VARIABLES)
            for v, table in copy.tables.items():
                mine = table[first.get(v, 0) :: self.split.get(v, 1)]
                tables[VARIABLES.index(v)] = self._append(mine)
            rows.append([stage, record, *strides, *tables])
        self._rows[name] = rows

    def _append(self, records: Sequence[bytes]) -> int:
        self._records.extend(records)
        return len(self._records) - len(records)

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
        tables = [-1] * len(VARIABLES)
        self._rows[name] = [[0, first + t, *strides, *tables] for t in range(self.threads)]

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
        sizes = [len(kernel.micro_ops) for kernel in self._kernels]
        calls = Calls(
            np.array([row for name in steps.calls for row in self._rows[name]]),
            _unpack(self._records),
            _unpack([kernel.instruction for kernel in self._kernels]),
            np.array(sizes),
        )
        uop_depth = depths(self.hardware)["uop"]
        issued = issue(steps, self.extents, calls, uop_depth, queue)
        return Program(
            workload=workload,
            hardware=self.hardware,
            config=dict(config),
            instructions=as_stored(issued.instructions, self.hardware),
            segments=self._segments(issued),
            dram=dict(dram),
            waits=queue.waits,
            leaves=issued.pending,
        )

    def _segments(self, issued: Issued) -> tuple[Segment, ...]:
        segments = []
        start = images = 0
        for stop, last in zip(issued.ends.tolist(), issued.image_ends.tolist(), strict=True):
            kernels = [self._kernels[k].micro_ops for k in issued.image[images:last].tolist()]
            image = np.concatenate([_NO_MICRO_OPS, *kernels])
            segments.append(Segment(start, stop, image.view(MICRO_OP).reshape(-1)))
            start, images = stop, last
        return tuple(segments)


_NO_MICRO_OPS = np.zeros((0, 3), dtype=np.uint32)


def _unpack(records: Sequence[bytes]) -> Records:
    return np.frombuffer(b"".join(records), dtype=INSTRUCTION)
