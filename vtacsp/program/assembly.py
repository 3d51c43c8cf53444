"""From a loop nest and its calls to a program: tokens, threads, queue, then every field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program import runtime
from vtacsp.program.isa import (
    INSTRUCTION,
    MICRO_OP,
    Memory,
    Opcode,
    Records,
    Stage,
    as_stored,
    field_bits,
)
from vtacsp.program.kernel import Kernel
from vtacsp.program.nest import VARIABLES, Call, Loop, Node, Scope, Token, expand, simplify
from vtacsp.program.program import Program, Segment
from vtacsp.program.tokens import inject_tokens
from vtacsp.workload import Workload

__all__ = ["Assembly", "Fields", "Queue", "Variables"]

IntArray = NDArray[np.int64]
Variables = dict[str, IntArray]
"""Loop variables of the rows of one call, by name of :data:`~vtacsp.program.nest.VARIABLES`."""

Fields = Mapping[str, "IntArray | int"]
"""Instruction fields of the rows of one DMA call, before they are cut to their width."""

MAX_VARIANTS = 100
"""Kernels that one call site can hold (``UopKernelMap`` of the runtime)."""


@dataclass(frozen=True)
class _Move:
    stage: Stage
    opcode: Opcode
    memory: Memory
    fields: Callable[[Variables], Fields]


@dataclass(frozen=True)
class _Site:
    first: int
    variants: int
    variant: Callable[[Variables], IntArray | int]


@dataclass(frozen=True)
class Queue:
    """State and size of the runtime's queue; see :func:`vtacsp.program.build`."""

    waits: bool = False
    max_transfer: int = runtime.MAX_TRANSFER


@dataclass
class Assembly:
    """Calls of an operator, collected while its nest is written down."""

    hardware: VTAConfig
    threads: int
    _calls: list[_Move | _Site] = field(default_factory=list)
    _kernels: list[Kernel] = field(default_factory=list)

    def load(self, memory: Memory, fields: Callable[[Variables], Fields]) -> Call:
        """A DMA load; bias goes through the compute module, the rest through the load module."""
        stage = Stage.COMPUTE if memory == Memory.ACC else Stage.LOAD
        return self._call(_Move(stage, Opcode.LOAD, memory, fields))

    def store(self, fields: Callable[[Variables], Fields]) -> Call:
        """A DMA store of the accumulators, cut to the output width."""
        return self._call(_Move(Stage.STORE, Opcode.STORE, Memory.OUT, fields))

    def kernel(
        self,
        record: Callable[[int], Kernel],
        variants: int,
        variant: Callable[[Variables], IntArray | int],
    ) -> Call:
        """A call site with kernels ``record(0)`` to ``record(variants - 1)``.

        Kernels are recorded here in the order in which the runtime first reaches them, and
        refused as it refuses them.
        """
        first = len(self._kernels)
        for number in range(variants):
            if number + 1 >= MAX_VARIANTS * self.threads:
                raise ProgramError(
                    "uop_signature", f"more than {MAX_VARIANTS - 1} kernels at one call site"
                )
            kernel = record(number)
            if len(kernel) > self.hardware.depth("uop"):
                raise ProgramError(
                    "sram:uop",
                    f"a kernel of {len(kernel)} micro-ops, UOP holds {self.hardware.depth('uop')}",
                )
            self._kernels.append(kernel)
        return self._call(_Site(first, variants, variant))

    def _call(self, call: _Move | _Site) -> Call:
        self._calls.append(call)
        return Call(len(self._calls) - 1)

    def finish(
        self,
        workload: Workload,
        config: Mapping[str, int],
        nest: Sequence[Node],
        dram: Mapping[str, int],
        *,
        queue: Queue,
        loop_is_function: bool,
    ) -> Program:
        """Run the calls through the runtime's queue.

        ``loop_is_function``: the accelerator's loop is all there is in the function, so the
        synchronisation lands between the loop and the pops that follow it, and the last pop
        stays pending.
        """
        tree = inject_tokens(simplify(nest))
        trailing = 0
        if loop_is_function and self.threads == 1:
            loops = [i for i, node in enumerate(tree) if isinstance(node, Loop)]
            others = [n for n in tree if not isinstance(n, (Loop, Token))]
            if len(loops) == 1 and not others:
                trailing = len(tree) - 1 - loops[0]
        tokens = sorted(set(_tokens(tree)), key=lambda t: (t.push, t.source, t.target))
        rows = expand(tree, self.threads, tokens)
        kind, first, second, moves = self._calls_of(rows, tokens)
        at = rows.shape[1] - trailing
        second = np.insert(second, at, np.int32(0))
        issued = runtime.issue(
            np.insert(kind, at, np.int8(runtime.SYNC)),
            np.insert(first, at, np.int32(0)),
            second,
            np.array([len(kernel) for kernel in self._kernels], dtype=np.int64),
            self.hardware.depth("uop"),
            queue.waits,
            queue.max_transfer,
        )
        return Program(
            workload=workload,
            hardware=self.hardware,
            config=dict(config),
            instructions=as_stored(self._instructions(issued, moves, second), self.hardware),
            segments=self._segments(issued),
            dram=dict(dram),
            waits=queue.waits,
            leaves=bool(issued.pending),
        )

    def _calls_of(
        self, rows: NDArray[np.int32], tokens: Sequence[Token]
    ) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.int32], list[Records]]:
        shift = len(tokens)
        size = shift + len(self._calls)
        kinds = np.full(size, runtime.KERNEL, dtype=np.int8)
        firsts, seconds = np.zeros((2, size), dtype=np.int32)
        for i, token in enumerate(tokens):
            kinds[shift - 1 - i] = runtime.PUSH if token.push else runtime.POP
            firsts[shift - 1 - i], seconds[shift - 1 - i] = token.source, token.target
        for i, call in enumerate(self._calls):
            if isinstance(call, _Move):
                kinds[shift + i], firsts[shift + i] = runtime.DMA, call.stage
            else:
                firsts[shift + i] = call.first
        number = rows[0] + np.int32(shift)
        kind, first, second = kinds[number], firsts[number], seconds[number]
        bits = field_bits(self.hardware)
        moves: list[Records] = []
        moved = 0
        for i, call in enumerate(self._calls):
            if isinstance(call, _Site) and call.variants == 1:
                continue
            mine = np.flatnonzero(number == shift + i)
            variables = dict(zip(VARIABLES, rows[1:, mine].astype(np.int64), strict=True))
            if isinstance(call, _Site):
                first[mine] += np.asarray(call.variant(variables), dtype=np.int32)
                continue
            second[mine] = moved + np.arange(len(mine), dtype=np.int32)
            moved += len(mine)
            part = np.zeros(len(mine), dtype=INSTRUCTION)
            part["opcode"], part["memory_type"] = call.opcode, call.memory
            for name, value in call.fields(variables).items():
                part[name] = value & ((1 << bits[name]) - 1)
            kind[mine[part["x_size"] == 0]] = runtime.EMPTY_DMA
            moves.append(part)
        return kind, first, second, moves

    def _instructions(
        self, issued: runtime.Issued, moves: Sequence[Records], move_of_call: NDArray[np.int32]
    ) -> Records:
        """Fill in every field: gather rows of a table, then set what differs."""
        kernels = self._kernel_records()
        sizes = np.array([len(kernel) for kernel in self._kernels], dtype=np.uint16)
        loads = np.zeros(len(kernels), dtype=INSTRUCTION)
        loads["memory_type"], loads["y_size"] = Memory.UOP, 1
        loads["x_size"] = loads["x_stride"] = sizes
        others = np.zeros(len(Stage) + 1, dtype=INSTRUCTION)  # no-ops by module, then FINISH
        others["opcode"][Stage.STORE] = Opcode.STORE
        others["memory_type"][Stage.LOAD] = Memory.INP
        others["opcode"][-1] = Opcode.FINISH
        start = np.zeros(5, dtype=np.int64)  # rows of the table, by kind of instruction
        start[runtime.EXECUTE] = sum(map(len, moves))
        start[runtime.UOP_LOAD] = start[runtime.EXECUTE] + len(kernels)
        start[runtime.NOOP] = start[runtime.UOP_LOAD] + len(loads)
        start[runtime.FINISH] = start[runtime.NOOP] + len(others) - 1
        parts = [*moves, kernels, loads, others]
        return runtime.fill(issued, parts, start, move_of_call)

    def _kernel_records(self) -> Records:
        records = np.zeros(len(self._kernels), dtype=INSTRUCTION)
        bits = field_bits(self.hardware)
        for record, kernel in zip(records, self._kernels, strict=True):
            # a GEMM with one loop runs it outside, an ALU operation inside
            inner_first = kernel.opcode is Opcode.ALU and len(kernel.loops) == 1
            places = ("in",) if inner_first else ("out", "in")
            values: dict[str, int] = {"iter_out": 1, "iter_in": 1}
            for place, loop in zip(places, kernel.loops, strict=False):
                values[f"iter_{place}"] = loop.extent
                values[f"dst_factor_{place}"] = loop.dst
                values[f"src_factor_{place}"] = loop.src
                values[f"wgt_factor_{place}"] = loop.wgt
            for name, value in values.items():
                width = bits[name]
                if kernel.opcode is Opcode.ALU and name.startswith("src"):
                    width = bits["dst_factor_out"]
                record[name] = value & ((1 << width) - 1)
            record["opcode"], record["reset_reg"] = kernel.opcode, kernel.reset
            record["alu_opcode"] = kernel.alu if kernel.opcode is Opcode.ALU else 0
            record["use_imm"] = kernel.immediate is not None
            record["imm"] = kernel.immediate or 0
        return records

    def _segments(self, issued: runtime.Issued) -> tuple[Segment, ...]:
        segments = []
        start = images = 0
        for stop, last in zip(issued.ends.tolist(), issued.image_ends.tolist(), strict=True):
            kernels = [self._kernels[k].micro_ops for k in issued.image[images:last]]
            image = np.concatenate(kernels) if kernels else np.zeros(0, dtype=MICRO_OP)
            segments.append(Segment(start, stop, image))
            start, images = stop, last
        return tuple(segments)


def _tokens(nodes: Sequence[Node]) -> list[Token]:
    found: list[Token] = []
    for node in nodes:
        if isinstance(node, Token):
            found.append(node)
        elif isinstance(node, (Loop, Scope)):
            found.extend(_tokens(node.body))
    return found
