"""Tuning logs in AutoTVM's format: one JSON object per line (``autotvm/record.py``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from vtacsp.errors import ConfigError, LogError
from vtacsp.knobs import Config, KnobSpace
from vtacsp.tune.result import FAILED_COST, MeasureErrorNo, Result
from vtacsp.tune.task import Task

__all__ = [
    "LogLine",
    "Record",
    "TuningLog",
    "best_records",
    "load_records",
    "merge_records",
    "read_log",
    "records_for_vta",
    "refuse_mixed",
    "write_records",
]

_VERSION = 0.2  # AUTOTVM_LOG_VERSION


@dataclass(frozen=True)
class Record:
    """One measurement of one configuration.

    ``workload`` is the name of the layer and ``device`` that of what measured
    (:attr:`vtacsp.tune.Measurer.device`), both empty in a log that AutoTVM wrote.  The target of
    the task says the device too: it is completed here, also for a log of before it did.
    ``line`` is the line that the record was read from, without its end.

    Raises :class:`ValueError` when target and ``device`` name two devices.
    """

    task: Task
    index: int
    config: Config
    result: Result
    workload: str = ""
    device: str = ""
    line: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        said = self.task.device
        if said and self.device not in ("", said):
            raise ValueError(f"its target is of device {said!r}, its key of {self.device!r}")
        if said:
            object.__setattr__(self, "device", said)
        elif (task := self.task.on(self.device)) is not self.task:
            moved = _rewritten(self.line, task.target, {}) if self.line else ""
            object.__setattr__(self, "task", task)
            object.__setattr__(self, "line", moved)

    def measured_on(self, device: str) -> Record:
        """The record of a device that it does not name; one that names any stays as it is."""
        if self.device:
            return self
        task = self.task.on(device)
        line = _rewritten(self.encode(), task.target, {"device": device})
        return replace(self, task=task, device=device, line=line)

    def for_vta(self) -> Record:
        """The record for VTA's own target, whatever measured it; ``measured_on`` keeps that."""
        task = self.task.on("")
        line = _rewritten(self.encode(), task.target, {"device": "", "measured_on": self.device})
        return replace(self, task=task, device="", line=line)

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for records of one layer on one machine and device."""
        return (*self.task.key, self.task.bias, self.device)

    def encode(self) -> str:
        """The line of a log, as AutoTVM encodes it; ``vtacsp`` is a key that AutoTVM ignores."""
        if self.line:
            return self.line
        from vtacsp import __version__

        entity = [
            [name, "sp", [-1, value]] if name.startswith("tile_") else [name, "ot", value]
            for name, value in self.config.items()
        ]
        result = self.result
        ours = {
            "workload": self.workload,
            "bias": self.task.bias,
            "device": self.device,
            "cause": result.cause,
        }
        row = {
            "input": [self.task.target, self.task.name, self.task.args, {}],
            "config": {"index": self.index, "code_hash": None, "entity": entity},
            "result": [
                list(result.costs) if result.ok else [FAILED_COST],
                int(result.error),
                result.all_cost,
                result.timestamp,
            ],
            "version": _VERSION,
            "tvm_version": f"vtacsp {__version__}",
            "vtacsp": {k: v for k, v in ours.items() if v not in ("", None)},
        }
        return json.dumps(row)

    @classmethod
    def decode(cls, line: str) -> Record:
        """A record from a line.  Raises :class:`ValueError` with the reason."""
        row = json.loads(line)
        try:
            target, name, args, _ = row["input"]
            costs, error, all_cost, timestamp = row["result"]
            config = {str(key): _value(kind, value) for key, kind, value in row["config"]["entity"]}
            number = MeasureErrorNo(error)
            ours = row.get("vtacsp", {})
            good = number == MeasureErrorNo.NO_ERROR
            result = Result(
                costs=tuple(float(cost) for cost in costs) if good else (),
                error=number,
                all_cost=float(all_cost),
                timestamp=float(timestamp),
                cause=str(ours.get("cause", "")),
            )
            if good and not costs:
                raise ValueError("a result without an error has no costs")
            task = Task(str(target), str(name), _tuples(args), ours.get("bias"))
            index = int(row["config"]["index"])
            workload, device = str(ours.get("workload", "")), str(ours.get("device", ""))
        except (KeyError, TypeError, AttributeError) as failure:
            raise ValueError(f"not an AutoTVM record ({failure})") from None
        return cls(task, index, config, result, workload, device, line)


def _rewritten(line: str, target: str, ours: Mapping[str, str]) -> str:
    """A line for another target, everything else as it is; what is empty of ours is left out."""
    row = json.loads(line)
    row["input"][0] = target
    known = {**row.get("vtacsp", {}), **ours}
    row["vtacsp"] = {key: value for key, value in known.items() if value != ""}
    return json.dumps(row)


def _value(kind: str, value: Any) -> int:
    if kind == "sp":
        return int(value[-1])
    if kind == "ot":
        return int(value)
    raise ValueError(f"no knob of VTA's templates is of kind {kind!r}")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class LogLine:
    """A line of a log that is not empty: its record, or the ``problem`` with it.

    A comment, or a record of AutoTVM's format before 0.2, has neither: AutoTVM skips it too.
    ``torn`` is a last line that was not written to its end.
    """

    number: int
    text: str
    record: Record | None = None
    problem: str = ""
    torn: bool = False


def read_log(path: str | Path) -> list[LogLine]:
    """Every line of a log, whatever it is.

    Raises :class:`~vtacsp.errors.LogError` when the file cannot be read.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8", errors="replace")
    except OSError as failure:
        raise LogError(f"cannot read {path}: {failure.strerror or failure}") from failure
    lines = text.split("\n")
    return [
        _read(number, line, last=number == len(lines))
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _read(number: int, line: str, last: bool) -> LogLine:
    try:
        if line.startswith("#") or _is_old(line):
            return LogLine(number, line)
        return LogLine(number, line, Record.decode(line))
    except ValueError as failure:
        return LogLine(number, line, problem=str(failure), torn=last and not _is_json(line))


def load_records(path: str | Path) -> list[Record]:
    """All records of a log; a last line that is torn (no end of line, no JSON) is left out.

    Comments and records of AutoTVM's format before 0.2 are skipped, as AutoTVM does.  Raises
    :class:`~vtacsp.errors.LogError` naming file and line for anything else.
    """
    lines = read_log(path)
    for line in lines:
        if line.problem and not line.torn:
            raise LogError(f"{path}, line {line.number}: {line.problem}")
    return [line.record for line in lines if line.record is not None]


def _is_old(line: str) -> bool:
    row = json.loads(line)
    return isinstance(row, dict) and row.get("v") == 0.1


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class TuningLog:
    """A log that is appended to; a context manager.

    Every record is on its way to the disk before :meth:`append` returns.  A torn last line that
    an earlier run left becomes a comment, so that AutoTVM can read the log and nothing is lost.
    Raises :class:`~vtacsp.errors.LogError` when the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: IO[bytes] | None = None

    def results(
        self, task: Task, knob_space: KnobSpace, device: str | None = None
    ) -> dict[int, Result]:
        """Results of a task by index, the best of several for the same configuration.

        Without ``device`` those of every device; with it, what is known to come from another one
        is left out, and for a nameless one (empty) what is of another target.  Raises
        :class:`~vtacsp.errors.LogError` for a record that is not of the knob space.
        """
        if not self.path.exists():
            return {}
        found: dict[int, Result] = {}
        task = task.on("")  # who measured is compared apart: a record may not say
        for record in load_records(self.path):
            if not _may_be_of(record, device) or not record.task.on("").matches(task):
                continue
            try:
                index = knob_space.index(record.config)
            except ConfigError as failure:
                raise LogError(f"{self.path}: a record of {task.name}: {failure}") from None
            if index not in found or record.result.seconds < found[index].seconds:
                found[index] = record.result
        return found

    def append(self, record: Record) -> None:
        """Write one record."""
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a+b")
                _mend(self._file)
            self._file.write(record.encode().encode() + b"\n")
            self._file.flush()
        except OSError as failure:
            raise LogError(f"cannot write {self.path}: {failure.strerror or failure}") from failure

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> TuningLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _may_be_of(record: Record, device: str | None) -> bool:
    if device is None:
        return True
    return record.device in ("", device) if device else not record.task.device


def _mend(file: IO[bytes]) -> None:
    """End the last line; what is torn becomes a comment."""
    file.seek(0)
    text = file.read()
    start = text.rfind(b"\n") + 1
    tail = text[start:]
    if not tail:
        return
    if not tail.startswith(b"#") and not _is_json(tail.decode("utf-8", errors="replace")):
        file.truncate(start)
        file.write(b"# torn: " + tail)
    file.write(b"\n")


def merge_records(records: Iterable[Record]) -> list[Record]:
    """One record per task, device and configuration: the fastest, in order of appearance.

    Raises as :func:`refuse_mixed`.
    """
    records = list(records)
    refuse_mixed(records)
    return list(_fastest(records, lambda r: (r.key, r.index)).values())


def best_records(records: Iterable[Record]) -> list[Record]:
    """The fastest record of each task on each device; tasks where nothing ran are left out."""
    return list(_fastest((r for r in records if r.result.ok), lambda r: r.key).values())


def refuse_mixed(records: Iterable[Record]) -> None:
    """Raise :class:`~vtacsp.errors.LogError` when AutoTVM would compare what two devices took.

    It would when some records of a layer's target name a device and others do not say.
    """
    _of_one_device((record, record.task) for record in records)


def records_for_vta(records: Iterable[Record]) -> list[Record]:
    """The records for VTA's own target, whatever measured them.

    Raises :class:`~vtacsp.errors.LogError` when two devices measured one layer on one machine.
    """
    records = list(records)
    _of_one_device((record, record.task.on("")) for record in records)
    return [record.for_vta() for record in records]


def _of_one_device(pairs: Iterable[tuple[Record, Task]]) -> None:
    seen: dict[tuple[Any, ...], str] = {}
    for record, task in pairs:
        other = seen.setdefault(task.key, record.device)
        if record.device != other:
            who = [repr(name) if name else "a device they do not name" for name in
                   (other, record.device)]  # fmt: skip
            raise LogError(
                f"AutoTVM would compare records of {record.workload or task.name} on {task.model} "
                f"that were measured on {who[0]} and on {who[1]}: keep those of one device "
                "(--device), or say what measured the others (--assume)"
            )


def _fastest(records: Iterable[Record], key: Any) -> Mapping[Any, Record]:
    chosen: dict[Any, Record] = {}
    for record in records:
        known = chosen.get(key(record))
        if known is None or record.result.seconds < known.result.seconds:
            chosen[key(record)] = record
    return chosen


def write_records(
    path: str | Path, records: Iterable[Record], others: Iterable[LogLine] = ()
) -> None:
    """Write a log anew, whole or not at all.

    ``others`` are lines to keep that are no records of ours; what AutoTVM could not read becomes
    a comment.  Raises :class:`~vtacsp.errors.LogError` when the file cannot be written.
    """
    target = Path(path)
    draft = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [*map(_kept, others), *(record.encode() for record in records)]
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        draft.replace(target)
    except OSError as failure:
        raise LogError(f"cannot write {path}: {failure.strerror or failure}") from failure


def _kept(line: LogLine) -> str:
    if not line.problem or line.text.startswith("#") or ('"input"' in line.text and not line.torn):
        return line.text
    return f"# {'torn' if line.torn else 'no record'}: {line.text}"
