"""What was simulated, by program and machine: in memory, and in a file that a run continues.

A file has one JSON value a line: first what the cycles depend on besides (timing constants, widths
of values), then a line per layer when it is first met, then ``[layer, LOG_BATCH, LOG_BLOCK,
LOG_BUS_WIDTH, program, LOG_UOP_BUFF_SIZE or -1, cycles]``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from vtacsp.codesign.machines import MachineSpace
from vtacsp.errors import LogError, VtacspError, shortened
from vtacsp.files import check_writable, decode_json, read_text
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import constants

__all__ = ["Key", "Store", "circumstances"]

Key = tuple[int, ...]
"""Layer, LOG_BATCH, LOG_BLOCK, LOG_BUS_WIDTH, program, LOG_UOP_BUFF_SIZE or -1."""

VERSION = 1
LENGTH = 7


def circumstances(space: MachineSpace) -> dict[str, Any]:
    """What cycles depend on besides the layer, the free keys and the configuration.

    >>> circumstances(MachineSpace())["widths"]
    {'LOG_INP_WIDTH': 3, 'LOG_WGT_WIDTH': 3, 'LOG_ACC_WIDTH': 5}
    """
    return {
        "timing": {
            c.name: getattr(space.timing, c.name) for c in constants() if c.name != "bus_bytes"
        },
        "widths": {k: v for k, v in space.base.symbols.items() if k.endswith("_WIDTH")},
    }


class Store:
    """Cycles of programs.

    With a ``path``, what is there is read and what is put is added to it.  ``about`` are the
    :func:`circumstances`.  Raises :class:`~vtacsp.errors.LogError` for a file that is none, or of
    other circumstances.

    A second run finds in the file what the first one has simulated:

    >>> layers, space = vtacsp.suite("resnet18")[9:], MachineSpace()
    >>> for run in ("first", "second"):
    ...     store = Store("cycles.jsonl", circumstances(space))
    ...     proof = codesign(layers, space, store=store).proof
    ...     store.close()
    ...     run, proof.programs, proof.recalled
    ('first', 1, 0)
    ('second', 0, 1)
    """

    def __init__(
        self, path: str | Path | None = None, about: Mapping[str, Any] | None = None
    ) -> None:
        self.recalled = 0
        """Programs that were known before this run."""
        self._cycles: dict[Key, int] = {}
        self._layers: dict[Workload, int] = {}
        self._path = path
        self._file: IO[str] | None = None
        self._about = {"vtacsp_codesign": VERSION, **(about or {})}
        if path is not None:
            check_writable(path, LogError)
            if Path(path).exists() and Path(path).stat().st_size:
                self._read(read_text(path, LogError, limit=1 << 30))
            self.recalled = len(self._cycles)

    def __len__(self) -> int:
        return len(self._cycles)

    @property
    def layers(self) -> list[Workload]:
        """The layers, by number."""
        return list(self._layers)

    def layer(self, workload: Workload) -> int:
        """The number of a layer."""
        number = self._layers.get(workload)
        if number is None:
            number = self._layers[workload] = len(self._layers)
            self._write(workload.to_dict())
        return number

    def get(self, key: Key) -> int | None:
        """Cycles, None when they are not known."""
        return self._cycles.get(key)

    def put(self, key: Key, cycles: int) -> None:
        """Cycles of a program that was simulated."""
        self._cycles[key] = cycles
        self._write([*key, cycles])

    def flush(self) -> None:
        """Write what was put to the file."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, value: Any) -> None:
        if self._path is None:
            return
        try:
            if self._file is None:
                fresh = not Path(self._path).exists() or not Path(self._path).stat().st_size
                self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
                if fresh:
                    self._file.write(json.dumps(self._about) + "\n")
            self._file.write(json.dumps(value) + "\n")
        except OSError as failure:
            raise LogError(f"cannot write {self._path}: {failure.strerror}") from failure

    def _read(self, text: str) -> None:
        lines = text.split("\n")
        if lines[-1]:
            # a run that was killed while it wrote: the line is cut off here, too
            lines[-1] = ""
            with open(str(self._path), "r+b") as file:
                file.truncate(len("\n".join(lines).encode()))
        for number, line in enumerate(lines[:-1], 1):
            where = f"{self._path}, line {number}"
            try:
                value = decode_json(line)
            except ValueError as error:
                raise LogError(f"{where} is not JSON that can be used: {error}") from None
            if number == 1:
                self._check_head(value, where)
            elif isinstance(value, Mapping):
                try:
                    self._layers[workload_from_dict(value)] = len(self._layers)
                except VtacspError as error:
                    raise LogError(f"{where}: {error}") from None
            else:
                self._cycles |= read_lines([value], len(self._layers), where)

    def _check_head(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping) or "vtacsp_codesign" not in value:
            raise LogError(f"{where}: this is no file of `vtacsp codesign --resume`")
        for key, mine in self._about.items():
            if value.get(key) != mine:
                raise LogError(
                    f"{where}: {key} is {shortened(value.get(key))}, here it is {shortened(mine)}; "
                    "another file is needed"
                )


def read_lines(values: Iterable[Any], layers: int, where: str) -> dict[Key, int]:
    """Cycles from lists; raises :class:`~vtacsp.errors.LogError` for what is no line of cycles."""
    found = {}
    for value in values:
        good = isinstance(value, list) and len(value) == LENGTH
        good = good and all(isinstance(n, int) and not isinstance(n, bool) for n in value)
        if not good or not 0 <= value[0] < layers or value[-1] < 1:
            raise LogError(f"{where}: {shortened(value)} is no line of cycles")
        found[tuple(value[:-1])] = value[-1]
    return found
