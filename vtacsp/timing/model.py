"""The timing model: every constant that the cycle simulator uses, its unit and its source.

The sources are files of tvm-vta's Chisel design (``hardware/chisel/src/main/scala``): the
pipelined GEMM and ALU, the 64-bit memory interface.  What the design leaves open is the memory
behind its AXI port; the defaults are those of the memory model that the RTL was simulated with.

The cycle bound, which is made of nests, is another reading of the same constants; this side is
independent of it on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any

from vtacsp.errors import TimingError, shortened
from vtacsp.machine.fields import INSTRUCTION_BYTES

__all__ = ["PRESETS", "PYNQ", "RTL", "TimingModel", "constants"]


def _constant(default: int, unit: str, source: str, meaning: str, low: int = 0) -> Any:
    return field(
        default=default,
        metadata={"unit": unit, "source": source, "meaning": meaning, "low": low},
    )


_LARGEST = 1 << 30
_INTEGER = re.compile(r" *-?[0-9]{1,30} *")


@dataclass(frozen=True)
class TimingModel:
    """Constants of the machine and its memory; :func:`constants` lists units and sources.

    Raises :class:`~vtacsp.errors.TimingError` for a value out of range.

    >>> slow = RTL.override(["memory_latency=64"])
    >>> simulator = Simulator(vtacsp.suite("resnet18")[9], timing=slow)
    >>> simulator.cycles(0)
    23285332
    """

    memory_latency: int = _constant(
        16, "cycles", "memory model of the RTL simulation",
        "from the acceptance of a read request to its first beat", 1,
    )  # fmt: skip
    write_latency: int = _constant(
        1,
        "cycles",
        "memory model of the RTL simulation",
        "from the last beat written to the response",
        1,
    )
    bus_bytes: int = _constant(
        8, "bytes per cycle", "shell/Configs.scala: memParams.dataBits",
        "one beat of the AXI data bus", 1,
    )  # fmt: skip
    burst_beats: int = _constant(
        256, "beats", "shell/Configs.scala: memParams.lenBits",
        "longest burst; a burst does not cross a multiple of its bytes in DRAM", 2,
    )  # fmt: skip
    read_requests: int = _constant(
        16, "requests", "shell/VME.scala: RequestQueueDepth", "reads in flight", 1
    )
    memory_queue: int = _constant(
        256, "requests", "memory model of the RTL simulation", "reads that the memory queues", 1
    )
    request_interval: int = _constant(
        2, "cycles", "shell/VME.scala: clientCmdQueueDepth",
        "between two requests of one client (a queue of one entry)", 1,
    )  # fmt: skip
    request_delay: int = _constant(
        2, "cycles", "core/TensorLoad*.scala: GenVMECmd; shell/VME.scala: VMEcmd_Qs",
        "from the start of a load to its first request at the port", 1,
    )  # fmt: skip
    narrow_drain: int = _constant(
        3, "cycles", "shell/VME.scala: localTag_out; core/TensorLoadNarrowVME.scala: "
        "vmeDataValidPipe, blocksInFlight",
        "from the last beat to the end of a load of elements wider than the bus",
    )  # fmt: skip
    wide_drain: int = _constant(
        2, "cycles", "shell/VME.scala: localTag_out; core/TensorLoadWideVME.scala: clInFlight",
        "the same for elements that fit the bus (micro-ops)",
    )  # fmt: skip
    launch_delay: int = _constant(
        2, "cycles", "core/FetchVME64.scala: sIdle, sReadCmd",
        "from launch to the first request of the fetch module", 1,
    )  # fmt: skip
    fetch_drain: int = _constant(
        2, "cycles", "shell/VME.scala: localTag_out; core/FetchVME64.scala: sReadMSB",
        "from the last beat of a burst of instructions to the first dispatch",
    )  # fmt: skip
    fetch_restart: int = _constant(
        3, "cycles", "core/FetchVME64.scala: sDrain, sReadCmd",
        "from the last dispatch of a burst to the next request", 1,
    )  # fmt: skip
    wide_fetch_drain: int = _constant(
        5, "cycles", "core/FetchWideVME.scala: pipeDelayQueueDeqV, clInFlight, sDrain, "
        "readInstrPipe",
        "the same from the last beat to the first dispatch of a bus that carries an instruction",
    )  # fmt: skip
    fetch_ahead: int = _constant(
        2, "instructions", "core/FetchWideVME.scala: readInstrPipe",
        "not yet dispatched when such a bus asks for the next burst",
    )  # fmt: skip
    queue_entries: int = _constant(
        512, "instructions", "core/Configs.scala: instQueueEntries", "queue of each module", 1
    )
    queue_delay: int = _constant(
        1, "cycles", "core/Load.scala, Compute.scala, Store.scala: inst_q",
        "from dispatch to the head of an empty queue",
    )  # fmt: skip
    token_delay: int = _constant(
        1, "cycles", "core/Semaphore.scala: cnt", "from the push of a token to its pop"
    )
    restart_delay: int = _constant(
        1, "cycles", "core/Load.scala, Compute.scala, Store.scala: sExe, sIdle",
        "from the end of an instruction to the start of the next", 1,
    )  # fmt: skip
    sync_cycles: int = _constant(
        1, "cycles", "core/Load.scala, Compute.scala, Store.scala: sSync",
        "an instruction that only carries tokens, or FINISH",
    )  # fmt: skip
    pipeline_depth: int = _constant(
        6, "cycles", "core/Compute.scala: RegNext(start); core/TensorGemm.scala: wrpipe0, "
        "wrpipeNs, inflight; core/TensorAlu.scala: valid_r4, inflight",
        "fill and drain of the GEMM and ALU pipelines around their micro-ops",
    )  # fmt: skip
    gemm_interval: int = _constant(
        1, "cycles per micro-op", "core/TensorGemm.scala: TensorGemmIndexGenerator",
        "initiation interval of GEMM and reset", 1,
    )  # fmt: skip
    alu_interval: int = _constant(
        1, "cycles per micro-op", "core/TensorAlu.scala: advance",
        "initiation interval of an ALU operation with an immediate", 1,
    )  # fmt: skip
    alu_pair_interval: int = _constant(
        2, "cycles per micro-op", "core/TensorAlu.scala: stutter",
        "initiation interval of an ALU operation with two operands", 1,
    )  # fmt: skip
    write_command: int = _constant(
        2, "cycles", "core/TensorStore*.scala: sWriteCmd; shell/VME.scala: sWriteAddr",
        "from a write command to its first beat", 1,
    )  # fmt: skip
    write_reload: int = _constant(
        1, "cycles", "core/TensorStoreNarrowVME.scala: sReadMem",
        "between two rows of tensors that are wider than the bus",
    )  # fmt: skip
    clock_hz: int = _constant(
        100_000_000, "cycles per second", "Pynq's fabric clock", "to turn cycles into seconds", 1
    )
    note: str = field(default="cycles of the RTL with a memory of fixed latency", repr=False)

    def __post_init__(self) -> None:
        for constant in constants():
            value, low = getattr(self, constant.name), constant.metadata["low"]
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value < _LARGEST:
                raise TimingError(
                    f"timing constant {constant.name} is {shortened(value)}, allowed is an "
                    f"integer from {low} to {_LARGEST - 1} ({constant.metadata['unit']})"
                )
        for name in ("bus_bytes", "burst_beats"):
            value = getattr(self, name)
            if value & (value - 1):
                raise TimingError(f"timing constant {name} is {value}, not a power of two")
        if not self.burst_instructions:
            raise TimingError(
                f"timing constants bus_bytes {self.bus_bytes} and burst_beats {self.burst_beats}: "
                f"a burst must hold an instruction of {INSTRUCTION_BYTES} bytes"
            )

    def seconds_of(self, cycles: int) -> float:
        """Seconds of so many cycles, at :attr:`clock_hz`."""
        return cycles / self.clock_hz

    def cycles_of(self, seconds: float) -> int:
        """The cycles behind seconds, which is what logs hold; inverse of :meth:`seconds_of`."""
        return round(seconds * self.clock_hz)

    @property
    def carries_instructions(self) -> bool:
        """Whether a beat holds an instruction: another fetch module (``core/Fetch.scala``)."""
        return self.bus_bytes >= INSTRUCTION_BYTES

    @property
    def burst_instructions(self) -> int:
        """Instructions in one burst of the fetch module.

        ``core/FetchVME64.scala``; a bus that carries an instruction or more reads into a buffer
        of one instruction per beat of the longest burst (``core/FetchWideVME.scala``).
        """
        return min(self.bus_bytes, INSTRUCTION_BYTES) * self.burst_beats // INSTRUCTION_BYTES

    @property
    def instructions_ahead(self) -> int:
        """Instructions of a burst not yet dispatched when the next is asked for, on this bus."""
        return min(self.fetch_ahead, self.burst_instructions - 1) * self.carries_instructions

    @property
    def drain_of_fetch(self) -> int:
        """Cycles from the last beat of instructions to the first dispatch, on this bus."""
        return self.wide_fetch_drain if self.carries_instructions else self.fetch_drain

    @property
    def name(self) -> str:
        """``rtl``, and the constants that differ from it: ``rtl memory_latency=64``."""
        words = [
            f"{constant.name}={value}"
            for constant in constants()
            if (value := getattr(self, constant.name)) != constant.default
        ]
        return " ".join(["rtl", *words])

    def override(self, words: Iterable[str]) -> TimingModel:
        """The model with constants replaced, from words such as ``memory_latency=64``.

        Raises :class:`~vtacsp.errors.TimingError` naming the word and what is allowed.
        """
        known = [constant.name for constant in constants()]
        changes: dict[str, int] = {}
        for word in words:
            name, _, value = word.partition("=")
            if not _INTEGER.fullmatch(value):
                raise TimingError(
                    f"timing {shortened(word)} is not NAME=VALUE with an integer value"
                )
            if name not in known:
                raise TimingError(
                    f"no timing constant {shortened(name)}; constants are {', '.join(known)}"
                )
            changes[name] = int(value)
        if not changes:
            return self
        note = ", ".join(f"{name} {value}" for name, value in changes.items())
        return replace(self, **changes, note=f"{self.note}; with {note}")


def constants() -> tuple[Field[Any], ...]:
    """The constants in order; ``metadata`` has unit, source, meaning and the smallest value."""
    return tuple(spec for spec in fields(TimingModel) if "unit" in spec.metadata)


RTL = TimingModel()
"""The RTL of tvm-vta as measured: 16 cycles of memory latency.

>>> Simulator(vtacsp.suite("resnet18")[9], timing=RTL).cycles(0)
18471932
"""

PYNQ = TimingModel(
    memory_latency=40,
    write_latency=20,
    note="an estimate: the RTL's cycles with DDR latencies guessed for a Zynq-7020 at 100 MHz, "
    "64-bit AXI; no board was measured",
)
"""A Pynq-class board (100 MHz, 64-bit AXI): an estimate, no board was measured.

>>> Simulator(vtacsp.suite("resnet18")[9], timing=PYNQ).cycles(0)
20907484
"""

PRESETS = {"rtl": RTL, "pynq": PYNQ}
