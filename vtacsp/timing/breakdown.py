"""What a timing simulation found: cycles, where they went, and what bounds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import DeadlockError
from vtacsp.machine.fields import INSTRUCTION_BYTES
from vtacsp.machine.instructions import Memory, Opcode
from vtacsp.program import Program
from vtacsp.timing.cut_short import cut_short, whole_loads
from vtacsp.timing.engine import LaunchCycles, first_tokens, schedule
from vtacsp.timing.model import TimingModel

__all__ = [
    "KINDS",
    "MODULES",
    "STALLS",
    "WORK",
    "ModuleTime",
    "Span",
    "TimingResult",
    "kinds",
    "spans",
]

MODULES = ("load", "compute", "store")

KINDS = (
    *("load inp", "load wgt", "load uop", "load acc"),
    *("gemm", "reset", "alu", "store", "sync", "finish"),
)
"""What a module can be busy with."""

WORK = {
    "fetch": ("read", "dispatch"),
    "load": ("load_inp", "load_wgt", "sync"),
    "compute": ("load_uop", "load_acc", "gemm", "reset", "alu", "sync", "finish"),
    "store": ("store", "sync"),
}
"""What each module can be busy with, in :meth:`TimingResult.to_dict`."""

STALLS = {
    "fetch": ("memory", "queue", "done"),
    "load": ("memory", "fetch", "compute", "done"),
    "compute": ("memory", "fetch", "load", "store", "done"),
    "store": ("fetch", "compute", "done"),
}
"""What each module can wait for, in :meth:`TimingResult.to_dict`."""

# what REASONS of the schedule mean to a module
_WAITS = {
    "load": ("fetch", "", "compute"),
    "compute": ("fetch", "load", "store"),
    "store": ("fetch", "compute", ""),
}
_BUSY = 0.75  # below this share nothing is the bound: the modules wait for each other


class Span(NamedTuple):
    """An instruction on the time line of its module: it holds it from ``start`` to ``end``.

    From ``idle`` on the module had nothing to do; ``waited_for`` says why it did not start then:
    ``fetch``, the module of a token, or "" when it did not wait.
    """

    instruction: int
    idle: int
    start: int
    end: int
    waited_for: str


def spans(launch: LaunchCycles, module: str) -> Iterator[Span]:
    """The instructions of a module in the order in which it ran them."""
    idle = 0
    for i in np.flatnonzero(launch.module == MODULES.index(module)).tolist():
        start, end, reason = int(launch.start[i]), int(launch.done[i]) + 1, int(launch.reason[i])
        waited = _WAITS[module][reason - 1] if reason and start > idle else ""
        yield Span(i, idle, start, end, waited)
        idle = end


def kinds(program: Program) -> NDArray[np.int8]:
    """Index into :data:`KINDS` of every instruction."""
    records = program.stream.records
    opcode, memory = records["opcode"], records["memory_type"]
    moves = np.isin(opcode, (Opcode.LOAD, Opcode.STORE))
    result = np.full(len(records), KINDS.index("sync"), dtype=np.int8)
    for name in ("inp", "wgt", "uop", "acc"):
        result[(opcode == Opcode.LOAD) & (memory == Memory[name.upper()])] = KINDS.index(
            f"load {name}"
        )
    result[opcode == Opcode.STORE] = KINDS.index("store")
    result[moves & (records["x_size"] == 0)] = KINDS.index("sync")
    gemm = opcode == Opcode.GEMM
    result[gemm] = KINDS.index("gemm")
    result[gemm & (records["reset_reg"] == 1)] = KINDS.index("reset")
    result[opcode == Opcode.ALU] = KINDS.index("alu")
    result[opcode == Opcode.FINISH] = KINDS.index("finish")
    return result[program.stream.which]


def _filled(cycles: Mapping[str, int], names: Sequence[str]) -> dict[str, int]:
    """Cycles under these names, which have no spaces; 0 where there are none."""
    return {name: cycles.get(name.replace("_", " "), 0) for name in names}


@dataclass(frozen=True)
class ModuleTime:
    """Cycles of a module: busy, by what it did, and stalled, by what it waited for.

    Stalls: ``memory`` inside of a load (latency, and beats of others), ``fetch`` no instruction
    yet, ``load``/``compute``/``store`` a token of that module, ``queue`` (fetch) a full queue,
    ``done`` nothing left to do.  All of them add up to the cycles of the program.

    >>> result = Simulator(vtacsp.suite("resnet18")[9]).run(0)
    >>> result.modules["compute"].busy
    {'load uop': 5, 'gemm': 802816, 'reset': 12544, 'alu': 37632, 'sync': 2, 'finish': 1}
    """

    busy: Mapping[str, int]
    stalls: Mapping[str, int]

    @property
    def busy_cycles(self) -> int:
        """Cycles in which the module worked."""
        return sum(self.busy.values())


@dataclass(frozen=True)
class TimingResult:
    """Cycles of a program, and where they went; only the first is counted at once.

    Raises :class:`~vtacsp.errors.DeadlockError` when the modules wait for each other.

    >>> result = Simulator(vtacsp.suite("resnet18")[9]).run(0)
    >>> result.cycles, result.bound
    (18471932, 'load')
    """

    program: Program = field(repr=False)
    timing: TimingModel = field(repr=False)

    @cached_property
    def cycles(self) -> int:
        """Cycles from launch to finish, summed over launches."""
        return sum(int(launch.cycles) for launch in self._schedule(record=False))

    @cached_property
    def launches(self) -> tuple[LaunchCycles, ...]:
        """The cycles of every instruction and read (:class:`~vtacsp.timing.engine.LaunchCycles`).

        Only a program that overflows the instruction queue has more than one launch.
        """
        return tuple(self._schedule(record=True))

    def _schedule(self, record: bool) -> Iterator[LaunchCycles]:
        program = self.program
        parts = [slice(segment.start, segment.stop) for segment in program.segments]
        tokens = first_tokens(program.waits)
        for launch in schedule(
            program.stream, parts, program.hardware, self.timing, tokens, record=record
        ):
            if launch.cycles < 0:
                raise DeadlockError(
                    "deadlock: every module waits for a token; simulate() says which"
                )
            yield launch

    @cached_property
    def cut_short(self) -> tuple[int, ...]:
        """Instructions whose load the Chisel design ends before all data are there.

        It computes wrong numbers then, in other cycles than these: see :mod:`.cut_short`.
        """
        if not len(whole_loads(self.program.stream.records, self.program.hardware, self.timing)):
            return ()
        return tuple(cut_short(self.program, self.launches, self.timing))

    @property
    def seconds(self) -> float:
        """Cycles at the clock of the timing model."""
        return self.timing.seconds_of(self.cycles)

    @cached_property
    def counters(self) -> dict[str, int]:
        """DMA bytes, micro-ops and instructions: :meth:`~vtacsp.program.Program.counters`."""
        return self.program.counters()

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes moved per memory, the instructions themselves included."""
        names = ("inp_load", "wgt_load", "acc_load", "uop_load", "out_store")
        moved = {name: self.counters[f"{name}_nbytes"] for name in names}
        return {**moved, "instructions": INSTRUCTION_BYTES * len(self.program)}

    @property
    def arithmetic_intensity(self) -> float:
        """Operations (two per multiply-accumulate) per byte moved."""
        return self.program.workload.operations / sum(self.bytes.values())

    @property
    def gops(self) -> float:
        """Billions of operations per second."""
        return self.program.workload.operations / self.seconds / 1e9

    @property
    def gemm_utilisation(self) -> float:
        """Share of the cycles in which the GEMM core multiplies."""
        return self.counters["gemm_counter"] / self.cycles

    @property
    def read_utilisation(self) -> float:
        """Share of the cycles in which the memory returns a beat."""
        fetched = INSTRUCTION_BYTES * len(self.program) // self.timing.bus_bytes
        return (sum(int(part.beats.sum()) for part in self.launches) + fetched) / self.cycles

    @property
    def write_utilisation(self) -> float:
        """Share of the cycles in which a beat is written."""
        return self.bytes["out_store"] / self.timing.bus_bytes / self.cycles

    @cached_property
    def modules(self) -> dict[str, ModuleTime]:
        """Where the cycles of ``fetch``, ``load``, ``compute`` and ``store`` went."""
        found: dict[str, ModuleTime] = {"fetch": self._fetch()}
        kind = kinds(self.program)
        for number, name in enumerate(MODULES):
            busy = np.zeros(len(KINDS), dtype=np.int64)
            waits = np.zeros(len(_WAITS[name]) + 1, dtype=np.int64)
            memory = done = 0
            for segment, launch in zip(self.program.segments, self.launches, strict=True):
                mine = np.flatnonzero(launch.module == number)
                # an instruction holds its module up to the cycle of its end; tokens that were left
                # over can let FINISH overtake a load, of which the launch counts what it saw
                start = np.minimum(launch.start[mine], launch.cycles)
                end = np.minimum(launch.done[mine] + 1, launch.cycles)
                part = slice(segment.start, segment.stop)
                held, reading = end - start, launch.beats[mine] > 0
                transfer = np.minimum(launch.beats[mine], held)
                memory += int((held - transfer)[reading].sum())
                held = np.where(reading, transfer, held)
                np.add.at(busy, kind[part][mine], held)
                gap = start - np.concatenate([[0], end[:-1]])
                np.add.at(waits, launch.reason[mine], gap)
                # idle without a reason: the machine's own cycles between two instructions
                done += int(launch.cycles - end[-1]) if len(end) else launch.cycles
            waits[1] += waits[0]
            stalls = {r: int(w) for r, w in zip(_WAITS[name], waits[1:], strict=True) if r}
            found[name] = ModuleTime(
                busy={k: int(b) for k, b in zip(KINDS, busy, strict=True) if b},
                stalls={
                    **({"memory": memory} if name != "store" else {}),
                    **stalls,
                    "done": done,
                },
            )
        return found

    @property
    def shares(self) -> dict[str, float]:
        """How much of the time each resource works, at most 1: what :attr:`bound` compares.

        ``compute``: GEMM and ALU instructions; ``load``: beats read; ``store``: the store module,
        which waits for every acknowledgement.
        """
        busy = self.modules["compute"].busy
        compute = sum(busy.get(kind, 0) for kind in ("gemm", "reset", "alu"))
        return {
            "compute": compute / self.cycles,
            "load": self.read_utilisation,
            "store": self.modules["store"].busy_cycles / self.cycles,
        }

    @property
    def bound(self) -> str:
        """``compute``, ``load`` or ``store``, what works most; ``latency`` when nothing is busy.

        Latency: no resource works three quarters of the time, the modules wait for each other.
        """
        name, share = max(self.shares.items(), key=lambda item: item[1])
        return name if share >= _BUSY else "latency"

    def to_dict(self) -> dict[str, object]:
        """Everything but the schedule, ready for JSON: the same keys for every program."""
        return {
            "cycles": self.cycles,
            "seconds": self.seconds,
            "gops": self.gops,
            "bound": self.bound,
            "shares": self.shares,
            "gemm_utilisation": self.gemm_utilisation,
            "read_utilisation": self.read_utilisation,
            "write_utilisation": self.write_utilisation,
            "arithmetic_intensity": self.arithmetic_intensity,
            "bytes": self.bytes,
            "modules": {
                name: {"busy": _filled(time.busy, WORK[name]), "stalls": dict(time.stalls)}
                for name, time in self.modules.items()
            },
            "timing": self.timing.note,
        }

    def _fetch(self) -> ModuleTime:
        """Reading instructions, handing them out, waiting for the memory or a full queue."""
        read = dispatch = memory = queue = done = 0
        for launch in self.launches:
            arrived, last, count = launch.fetches.T[1:]
            beats = -(-INSTRUCTION_BYTES * count // self.timing.bus_bytes)
            since = np.concatenate([[-1], last[:-1]])
            # a bus that carries instructions reads the next burst beside the last dispatches
            waited = np.maximum(arrived + self.timing.drain_of_fetch - 1 - since, 0)
            seen = np.minimum(beats, waited)
            read += int(seen.sum())
            dispatch += int(count.sum())
            memory += int((waited - seen).sum())
            queue += int((last - since - waited - count).sum())
            done += int(launch.cycles - last[-1] - 1)
        return ModuleTime(
            busy={"read": read, "dispatch": dispatch},
            stalls={"memory": memory, "queue": queue, "done": done},
        )
