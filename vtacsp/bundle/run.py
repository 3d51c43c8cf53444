"""A bundle on a driver: in a process of its own, which a library may end as it likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vtacsp.bundle.bundle import Bundle
from vtacsp.bundle.driver import Driver
from vtacsp.errors import DriverError, HardwareError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import (
    DEPENDENCY_FLAG,
    DRAM_ADDRESS,
    INSTRUCTION_BYTES,
    MEMORY_ID,
    OPCODE,
    SRAM_ADDRESS,
)
from vtacsp.machine.instructions import Memory, Opcode

__all__ = ["CONFIG", "Run", "check_machine", "drive", "run"]

CONFIG = "vta_config.json"
"""The description of the machine that a library was built for, in the library's folder."""


@dataclass(frozen=True)
class Run:
    """What a driver computed: how many bytes differ, the first of them, seconds of the host.

    ``counters`` is what the device's profiler says, None where the library has none.
    """

    bytes: int
    wrong: int
    first_wrong: int | None
    seconds: float
    counters: dict[str, int] | None = None

    @property
    def cycles(self) -> int | None:
        """Cycles that the device counted, None where it counts none."""
        return None if self.counters is None else self.counters.get("cycle_count")


def check_machine(bundle: Bundle, library: str | Path, hardware: str | None = None) -> str | None:
    """The machine of a library, None when nothing says it.

    It is described by ``hardware``, else by a ``vta_config.json`` beside the library: a library
    itself does not tell.  Raises :class:`~vtacsp.errors.DriverError` when it is another one than
    the bundle was made for; what a machine is called there (TARGET) does not matter.
    """
    beside = Path(library).resolve().parent / CONFIG
    source = hardware if hardware is not None else str(beside) if beside.is_file() else None
    if source is None:
        return None
    machine = VTAConfig.load(source)
    own = bundle.hardware
    for key, value in own.symbols.items():
        if machine.symbols[key] != value:
            raise DriverError(
                f"{source}: {key} is {machine.symbols[key]}, the bundle is for a machine with "
                f"{value} ({own.model})"
            )
    return machine.model


def run(
    folder: str | Path,
    library: str | Path,
    *,
    preload: Sequence[str] = (),
    address_bits: int = 32,
    timeout: float | None = None,
    tsim: str | None = None,
) -> Run:
    """Run a bundle on a library, in a process of its own.

    ``tsim`` is the library of the RTL (``libvta_hw.so``) that ``libvta_tsim`` simulates.

    Raises :class:`~vtacsp.errors.DriverError` when the library cannot be used, ends the process
    or does not answer within ``timeout`` seconds, :class:`~vtacsp.errors.BundleError` as
    :meth:`Bundle.load` does.
    """
    Bundle.load(folder)
    task = {"folder": str(folder), "library": str(library), "preload": list(preload),
            "address_bits": address_bits, "tsim": tsim}  # fmt: skip
    command = [sys.executable, "-m", "vtacsp.bundle.run", json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise DriverError(f"{library} did not answer within {timeout:g} seconds") from None
    # a library may print on its own: the answer is the last line
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    answer: Any = None
    if lines and lines[-1].startswith(_MARK):
        answer = json.loads(lines[-1][len(_MARK) :])
    if isinstance(answer, dict) and "error" not in answer:
        return Run(**answer)
    if isinstance(answer, dict):
        raise DriverError(answer["error"])
    told = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    last = f"; its last words: {told[-1].strip()[:160]}" if told else ""
    raise DriverError(f"{library} ended the process (exit code {done.returncode}){last}")


def drive(bundle: Bundle, driver: Driver, tsim: str | None = None) -> Run:
    """Run a bundle on a driver of this process; ``tsim`` as :func:`run`."""
    manifest, content = bundle.manifest, bundle.content
    buffers = {name: driver.allocate(buffer.bytes) for name, buffer in manifest.files.items()}
    words = _relocate(bundle, {name: phy for name, (_, phy) in buffers.items()})
    expected = np.frombuffer(content["out"], dtype=np.uint8)
    for name, buffer in buffers.items():
        if name == "instructions":
            driver.upload(buffer, words)
        else:
            # the output is first everywhere what it must not be
            driver.upload(buffer, content[name] if name != "out" else (~expected).tobytes())
    driver.profiler.start(tsim)
    device = driver.open()
    start = time.perf_counter()
    for launch in manifest.launches:
        address = buffers["instructions"][1] + INSTRUCTION_BYTES * launch.first
        driver.run(device, address, launch.count)
    seconds = time.perf_counter() - start
    counters = driver.profiler.counters()
    found = driver.download(buffers["out"], len(expected))
    driver.close(device)
    for buffer in buffers.values():
        driver.free(buffer)
    wrong = np.flatnonzero(np.frombuffer(found, dtype=np.uint8) != expected)
    first = int(wrong[0]) if len(wrong) else None
    return Run(len(expected), len(wrong), first, seconds, counters)


def _relocate(bundle: Bundle, addresses: dict[str, int]) -> bytes:
    """The stream for buffers at other addresses: its DRAM fields change, and nothing else."""
    words = bundle.words.copy()
    instructions = bundle.instructions
    moves = np.isin(instructions["opcode"], (Opcode.LOAD, Opcode.STORE))
    moves &= instructions["x_size"] > 0
    shift, mask = np.uint64(_DRAM_SHIFT), np.uint64((1 << DRAM_ADDRESS) - 1)
    for name, buffer in bundle.manifest.buffers.items():
        if addresses[name] % buffer.element_bytes:
            raise DriverError(f"the driver's memory for {name} is not aligned to its elements")
        mine = moves & (instructions["memory_type"] == Memory[name.upper()])
        move = (addresses[name] - buffer.address) // buffer.element_bytes
        moved = instructions["dram_base"][mine].astype(np.int64) + move
        words[mine, 0] &= ~(mask << shift)
        words[mine, 0] |= (moved.astype(np.uint64) & mask) << shift
    return bytes(words.tobytes())


_DRAM_SHIFT = OPCODE + 4 * DEPENDENCY_FLAG + MEMORY_ID + SRAM_ADDRESS
_MARK = "vtacsp-run "


def _main(task: dict[str, Any]) -> None:
    """The process of :func:`run`."""
    answer: dict[str, Any]
    try:
        driver = Driver(task["library"], task["preload"], task["address_bits"])
        answer = asdict(drive(Bundle.load(task["folder"]), driver, task["tsim"]))
    except (DriverError, HardwareError) as error:
        answer = {"error": str(error)}
    sys.stdout.write(f"\n{_MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()
    os._exit(0)  # libvta_tsim's thread goes on and uses what its destructors have destroyed


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
