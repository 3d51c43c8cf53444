"""A log of measured free schedules: JSON lines, appended to, so that a run can go on.

AutoTVM's log is of configurations of the template; what has none is kept beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from vtacsp.errors import LogError, VtacspError, shortened
from vtacsp.files import check_writable, decode_json
from vtacsp.free.schedule import Schedule
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload
from vtacsp.tune.records import end_last_line, keep_alone
from vtacsp.tune.result import MeasureErrorNo, Result

__all__ = ["ScheduleLog"]

_Origin = tuple[str, str, str]
"""Layer and machine in JSON, and device."""
_KEYS = ("layer", "schedule", "device", "result", "workload", "hardware")


class ScheduleLog:
    """Results of free schedules, by layer, machine and device; a context manager, one run's alone.

    A line has the keys ``layer`` (its name), ``schedule``, ``device``, ``result`` (``costs`` in
    seconds, ``error`` with AutoTVM's number, ``all_cost``, ``timestamp``, ``cause``), ``workload``
    and ``hardware``.  A torn last line becomes a comment.  Raises
    :class:`~vtacsp.errors.LogError` for a line that is something else, for a file that cannot be
    read or written, and for one that another run has open.

    >>> layer = Dense(in_features=32, out_features=32)
    >>> schedule = Schedule(channels=(2,), rows=(1,), columns=(1,), reduction=(2,))
    >>> with ScheduleLog("board.jsonl") as log:
    ...     log.append(layer, VTAConfig(), "board", schedule, Result((1e-3,)))
    ...     log.results(layer, VTAConfig(), "board")[schedule].seconds
    ...
    0.001
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: FileIO | None = None
        self._known: dict[_Origin, dict[Schedule, Result]] = {}

    def __enter__(self) -> ScheduleLog:
        check_writable(self.path, LogError)
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        return self

    def _read(self) -> None:
        """Open the file and remember what it says."""
        try:
            self._file = self.path.open("a+b", buffering=0)
            keep_alone(self._file, self.path)
            end_last_line(self._file)
            self._file.seek(0)
            lines = self._file.read().decode("utf-8", "replace").splitlines()
        except OSError as failure:
            raise LogError(f"cannot use {self.path}: {failure.strerror or failure}") from failure
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.startswith("#"):
                try:
                    self._remember(*_record(line))
                except (VtacspError, ValueError) as error:
                    raise LogError(f"{self.path}:{number}: {error}") from None

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which is not kept when there is nothing in it."""
        file, self._file = self._file, None
        if file is not None and not file.closed:  # by a lock that another run has
            empty = not os.fstat(file.fileno()).st_size
            file.close()
            if empty and self.path.is_file():
                self.path.unlink()

    def results(self, layer: Workload, machine: VTAConfig, device: str) -> dict[Schedule, Result]:
        """What a device measured of a layer on a machine; the last of several."""
        return dict(self._known.get(_origin(layer, machine, device), {}))

    def append(
        self, layer: Workload, machine: VTAConfig, device: str, schedule: Schedule, result: Result
    ) -> None:
        """Write a result; it is on its way to the disk when this returns."""
        record = {
            "layer": layer.name,
            "schedule": schedule.to_dict(),
            "device": device,
            "result": {
                "costs": list(result.costs),
                "error": int(result.error),
                "all_cost": result.all_cost,
                "timestamp": result.timestamp,
                "cause": result.cause,
            },
            "workload": layer.to_dict(),
            "hardware": machine.to_dict(),
        }
        if self._file is None:
            raise LogError(f"{self.path} is not open")
        try:
            rest = memoryview(json.dumps(record).encode() + b"\n")
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as failure:
            raise LogError(f"cannot write {self.path}: {failure.strerror or failure}") from failure
        self._remember(_origin(layer, machine, device), schedule, result)

    def _remember(self, origin: _Origin, schedule: Schedule, result: Result) -> None:
        self._known.setdefault(origin, {})[schedule] = result


def _origin(layer: Workload, machine: VTAConfig, device: str) -> _Origin:
    return json.dumps(layer.to_dict()), json.dumps(machine.to_dict()), device


def _record(line: str) -> tuple[_Origin, Schedule, Result]:
    """What a line says."""
    data = decode_json(line)
    if not isinstance(data, Mapping) or set(data) != set(_KEYS):
        raise LogError(f"a line is an object with the keys {', '.join(_KEYS)}")
    device, result = data["device"], data["result"]
    if not isinstance(device, str):
        raise LogError(f"device is {shortened(device)}, allowed is text")
    for name in ("workload", "hardware", "result"):
        if not isinstance(data[name], Mapping):
            raise LogError(f"{name} is {shortened(data[name])}, allowed is an object")
    layer = workload_from_dict(dict(data["workload"]))
    machine = VTAConfig.from_dict(dict(data["hardware"]))
    schedule = Schedule.from_dict(data["schedule"])
    return _origin(layer, machine, device), schedule, _result(result)


def _result(data: Mapping[str, Any]) -> Result:
    names = ("costs", "error", "all_cost", "timestamp", "cause")
    if set(data) != set(names):
        raise LogError(f"result has the keys {', '.join(names)}, not {shortened(sorted(data))}")
    known = [int(error) for error in MeasureErrorNo]
    if type(data["error"]) is not int or data["error"] not in known:
        raise LogError(f"result.error is {shortened(data['error'])}, allowed are 0 to {known[-1]}")
    if not isinstance(data["costs"], list) or not isinstance(data["cause"], str):
        raise LogError("result.costs is a list of seconds, result.cause is text")
    return Result(
        tuple(data["costs"]), MeasureErrorNo(data["error"]), data["all_cost"], data["timestamp"],
        data["cause"],
    )  # fmt: skip
