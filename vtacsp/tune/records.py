"""Tuning logs in AutoTVM's format: one JSON object per line (``autotvm/record.py``)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import ConfigError, LogError
from vtacsp.files import check_writable, decode_json, open_input, replacing
from vtacsp.operators.knobs import Config, KnobSpace
from vtacsp.tune.result import FAILED_COST, MeasureErrorNo, Result
from vtacsp.tune.task import RTL_DEVICE, Task
from vtacsp.tune.task_knobs import knobs_of

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Digest",
    "LogLine",
    "Record",
    "TuningLog",
    "best_records",
    "load_records",
    "merge_records",
    "read_log",
    "records_for_vta",
    "refuse_mixed",
    "scan_log",
    "write_records",
]

_Known = dict[tuple[Any, ...], dict[tuple[Any, ...], Result]]  # by task, then by origin

LONGEST_LINE = 1 << 20
"""Bytes of the longest line of a log that is looked at."""

_VERSION = 0.2  # AUTOTVM_LOG_VERSION


@dataclass(frozen=True)
class Record:
    """One measurement of one configuration.

    ``workload`` is the name of the layer and ``device`` that of what measured
    (:attr:`vtacsp.tune.Measurer.device`), both empty in a log that AutoTVM wrote.  The target of
    the task says the device too: it is completed here, also for a log of before it did.
    ``line`` is the line that the record was read from, without its end.

    Raises :class:`ValueError` when target and ``device`` name two devices.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> records[1].result.seconds
    0.0005
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
        return (*self.task.key, self.task.bias, self.task.epilogue, self.device)

    def encode(self) -> str:
        """The line of a log, as AutoTVM encodes it; ``vtacsp`` is a key that AutoTVM ignores."""
        if self.line:
            return self.line
        from vtacsp.version import __version__

        entity = [
            [name, "sp", [-1, value]] if name.startswith("tile_") else [name, "ot", value]
            for name, value in self.config.items()
        ]
        result = self.result
        ours = {
            "workload": self.workload,
            "bias": self.task.bias,
            "epilogue": self.task.epilogue and self.task.epilogue.to_list(),
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
        """A record from a line.  Raises :class:`ValueError` with the reason.

        Costs that are no positive finite numbers are a failed measurement, see
        :class:`~vtacsp.tune.Result`; an index that is not that of the configuration is an error.
        """
        return _record(decode_json(line, finite=False), line)


def _rewritten(line: str, target: str, ours: Mapping[str, str]) -> str:
    """A line for another target, everything else as it is; what is empty of ours is left out."""
    row = json.loads(line)
    row["input"][0] = target
    known = {**row.get("vtacsp", {}), **ours}
    row["vtacsp"] = {key: value for key, value in known.items() if value != ""}
    return json.dumps(row)


def _record(row: Any, line: str) -> Record:  # noqa: PLR0912 - one way of being wrong each
    try:
        target, name, args, _ = row["input"]
        costs, error, all_cost, timestamp = row["result"]
        index, entity = row["config"]["index"], row["config"]["entity"]
        ours = row.get("vtacsp", {})
        words = [ours.get(key, "") for key in ("workload", "device", "cause")]
        bias = ours.get("bias")
        epilogue = Epilogue.from_list(ours["epilogue"]) if "epilogue" in ours else None
        config = {_text(key, "a knob"): _value(kind, value) for key, kind, value in entity}
    except (KeyError, TypeError, AttributeError, ValueError) as failure:
        raise ValueError(f"not an AutoTVM record ({failure})") from None
    if bias not in (None, True, False):
        raise ValueError(f"bias is {bias!r:.40}, not true or false")
    if not config or len(config) != len(entity):
        raise ValueError("the entity is empty" if not config else "a knob is there twice")
    workload, device, cause = (_text(word, "workload, device or cause") for word in words)
    arguments = _ARGUMENTS.get(text := repr(args))  # faster than making them anew
    if arguments is None:
        if len(_ARGUMENTS) >= 1024:
            _ARGUMENTS.clear()
        arguments = _ARGUMENTS[text] = _frozen(args)
    if not isinstance(arguments, tuple):
        raise ValueError(f"the arguments are {args!r:.40}, not a list")
    task = _task(_text(target, "the target"), _text(name, "the name"), arguments, bias, epilogue)
    number = _error(error)
    if number == MeasureErrorNo.NO_ERROR and not costs:
        raise ValueError("a result without an error has no costs")
    for what, value in (("all_cost", all_cost), ("timestamp", timestamp)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
            raise ValueError(f"{what} is {value!r:.40}, not a number")
    result = Result(costs, number, float(all_cost), float(timestamp), cause)
    if isinstance(index, bool) or not isinstance(index, int):
        raise ValueError(f"the index is {index!r:.40}, not an integer")
    if (knobs := knobs_of(task)) is not None:
        try:
            expected = knobs.index(config)
        except ConfigError as failure:
            raise ValueError(str(failure)) from None
        if index != expected:
            raise ValueError(f"the index is {index}, that of its entity is {expected}")
    return Record(task, index, config, result, workload, device, line)


_ARGUMENTS: dict[str, Any] = {}


@lru_cache(maxsize=1024)
def _task(
    target: str, name: str, args: tuple[Any, ...], bias: bool | None, epilogue: Epilogue | None
) -> Task:
    # one object for all records of a task
    return Task(target, name, args, bias, epilogue)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r:.40}, not a text")
    return value


def _error(value: Any) -> MeasureErrorNo:
    if isinstance(value, bool) or value not in list(MeasureErrorNo):
        raise ValueError(f"the error is {value!r:.40}, allowed are 0 to {max(MeasureErrorNo)}")
    return MeasureErrorNo(value)


def _value(kind: str, value: Any) -> int:
    if kind not in ("sp", "ot"):
        raise ValueError(f"no knob of VTA's templates is of kind {kind!r:.40}")
    last = value[-1] if kind == "sp" and isinstance(value, list) and value else value
    if isinstance(last, bool) or not isinstance(last, int):
        raise ValueError(f"the value of a knob is {value!r:.40}, not an integer")
    return last


def _frozen(value: Any) -> Any:
    """Arguments as tuples, all the way down."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    if isinstance(value, dict) or (isinstance(value, float) and value - value != 0):
        raise ValueError(f"an argument is {value!r:.40}, AutoTVM has no such")
    return value


@dataclass(frozen=True)
class LogLine:
    """A line of a log that is not empty: its record, or the ``problem`` with it.

    A comment, or a record of AutoTVM's format before 0.2, has neither: AutoTVM skips it too.
    ``torn`` is a last line that was not written to its end.

    >>> from pathlib import Path
    >>> _ = Path("bad.log").write_text("not a record\\n")
    >>> read_log("bad.log")[0].record is None
    True
    """

    number: int
    text: str
    record: Record | None = None
    problem: str = ""
    torn: bool = False


def scan_log(path: str | Path) -> Iterator[LogLine]:
    """Every line of a log, whatever it is, one at a time.

    Raises :class:`~vtacsp.errors.LogError` when the file cannot be read.

    >>> from pathlib import Path
    >>> _ = Path("bad.log").write_text("not a record\\n")
    >>> next(scan_log("bad.log")).number
    1
    """
    with open_input(path, LogError) as file:
        try:
            number = 0
            while raw := file.readline(LONGEST_LINE):
                number += 1
                ended = raw.endswith(b"\n")
                if len(raw) == LONGEST_LINE and not ended:
                    while rest := file.readline(LONGEST_LINE):  # the rest of it
                        if rest.endswith(b"\n"):
                            break
                    problem = f"more than {LONGEST_LINE:,} bytes in one line"
                    yield LogLine(number, raw[:80].decode(errors="replace"), problem=problem)
                elif raw.strip():
                    text = raw.decode(errors="replace").rstrip("\n")
                    yield _read(number, text, last=not ended)
        except OSError as failure:
            raise LogError(f"cannot read {path}: {failure.strerror or failure}") from failure


def read_log(path: str | Path) -> list[LogLine]:
    """The lines of :func:`scan_log`, all at once.

    >>> from pathlib import Path
    >>> _ = Path("bad.log").write_text("not a record\\n")
    >>> read_log("bad.log")[0].problem
    'Expecting value: line 1 column 1 (char 0)'
    """
    return list(scan_log(path))


def _read(number: int, line: str, last: bool) -> LogLine:
    if line.startswith("#"):
        return LogLine(number, line)
    try:
        row = decode_json(line, finite=False)
    except ValueError as failure:
        return LogLine(number, line, problem=str(failure), torn=last and _is_torn(line))
    if isinstance(row, dict) and row.get("v") == 0.1:
        return LogLine(number, line)
    try:
        return LogLine(number, line, _record(row, line))
    except ValueError as failure:
        return LogLine(number, line, problem=str(failure))


def _is_torn(line: str) -> bool:
    try:
        json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False


def load_records(path: str | Path) -> list[Record]:
    """All records of a log; a last line that is torn (no end of line, no JSON) is left out.

    Comments and records of AutoTVM's format before 0.2 are skipped, as AutoTVM does.  Raises
    :class:`~vtacsp.errors.LogError` naming file and line for anything else.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> write_records("two.log", records)
    >>> [record.index for record in load_records("two.log")]
    [0, 1]
    """
    return list(_records(path))


def _records(path: str | Path) -> Iterator[Record]:
    for line in scan_log(path):
        if line.problem and not line.torn:
            raise LogError(f"{path}, line {line.number}: {line.problem}")
        if line.record is not None:
            yield line.record


class TuningLog:
    """A log that is appended to; a context manager, in which it is one run's alone.

    It is read once, when something first asks for its results, and what is kept is the fastest
    result of each configuration.  Every record is on its way to the disk before :meth:`append`
    returns.  A torn last line that an earlier run left becomes a comment, so that AutoTVM can read
    the log and nothing is lost.  ``assume`` is the device of the records that name none, such as
    AutoTVM's own: the simulated RTL, whose records are of the same target; with None they count
    for no device that has a name.  Raises :class:`~vtacsp.errors.LogError` when the file cannot be
    written, and when another run has it open: neither would know what the other measures.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> searcher = GridSearcher(search_space(layer))
    >>> with TuningLog("c11.log") as log:
    ...     result = tune(searcher, SimulatorMeasurer(layer), trials=2, log=log)
    ...
    >>> len(load_records("c11.log"))
    2
    """

    def __init__(self, path: str | Path, assume: str | None = RTL_DEVICE) -> None:
        self.path = Path(path)
        self.assume = assume
        self._nameless: Counter[tuple[Any, ...]] = Counter()
        self._file: FileIO | None = None
        self._last: tuple[int, bytes] = 0, b""  # where the last append began, and what it wrote
        self._mended = self._created = self._locked = False
        self._known: _Known | None = None

    def results(
        self, task: Task, knob_space: KnobSpace, device: str | None = None
    ) -> dict[int, Result]:
        """Results of a task by index, the best of several for the same configuration.

        Without ``device`` those of every device; with it, what another one measured is left out,
        and for a nameless one (empty) what is of another target.  Raises
        :class:`~vtacsp.errors.LogError` for a record that is not of the knob space.
        """
        found: dict[int, Result] = {}
        task = task.on("")  # who measured is compared apart: a record may not say
        known = self._read_once().get(task.key, {})
        for (bias, epilogue, measured_on, of_target, config), result in known.items():
            said = None not in (bias, task.bias)
            unlike = (bias, epilogue) != (task.bias, task.epilogue)
            if (said and unlike) or not _may_be_of(measured_on, of_target, device):
                continue
            try:
                index = knob_space.index(dict(config))
            except ConfigError as failure:
                raise LogError(f"{self.path}: a record of {task.name}: {failure}") from None
            if index not in found or result.seconds < found[index].seconds:
                found[index] = result
        return found

    def nameless(self, task: Task) -> int:
        """How many records of a task name no device, as far as the log was there to be read."""
        self._read_once()
        return self._nameless[task.on("").key]

    def _read_once(self) -> _Known:
        if self._known is None:
            self._known = self._read()
        return self._known

    def _read(self) -> _Known:
        """The fastest result by task, then by bias, epilogue, device and configuration."""
        known: _Known = {}
        if not self.path.exists():
            return known
        keys: dict[Task, tuple[Any, ...]] = {}
        for record in _records(self.path):
            task = record.task
            if task not in keys:
                keys[task] = task.on("").key
            mine = known.setdefault(keys[task], {})
            key = _origin(record)
            if not record.device:
                self._nameless[keys[task]] += 1
                key = _origin(record, self.assume or "")
            if key not in mine or record.result.seconds < mine[key].seconds:
                mine[key] = record.result
        return known

    def append(self, record: Record) -> None:
        """Write one record."""
        self._write(record, _encoded(record))

    def complete(self, record: Record) -> None:
        """Write a record of which nobody knows whether :meth:`append` was interrupted in it.

        What the last call of it wrote of this record stays or is replaced, so that the log has the
        record once.
        """
        data, (begin, last) = _encoded(record), self._last
        if data == last:
            with self._errors():
                file = self._open()
                written = _size(file) - begin
                if 0 < written < len(data):
                    file.truncate(begin)
            if written == len(data):
                self._remember(record)
                return
        self._write(record, data)

    def _write(self, record: Record, data: bytes) -> None:
        with self._errors():
            file = self._open()
            if not self._mended:
                end_last_line(file)
                self._mended = True
            self._last = _size(file), data
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
        self._remember(record)

    def _remember(self, record: Record) -> None:
        if self._known is not None:  # a log that is read again holds it too
            self._known.setdefault(record.task.on("").key, {})[_origin(record)] = record.result

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as failure:
            raise LogError(f"cannot write {self.path}: {failure.strerror or failure}") from failure

    def _open(self) -> FileIO:
        if self._file is None or self._file.closed:
            check_writable(self.path, LogError)
            self._created, self._locked = not self.path.exists(), False
            # kept before it is opened: wherever Ctrl-C comes, close() knows of the file
            self._file = FileIO.__new__(FileIO)
            try:
                # without a buffer: what is written is in the file, all of it or a known part
                self._file.__init__(self.path, "a+")  # type: ignore[misc]
            except OSError as failure:
                self._file = None
                raise LogError(f"cannot write {self.path}: {failure.strerror}") from failure
        if not self._locked:
            try:
                keep_alone(self._file, self.path)
            except LogError:
                self._file = None
                raise
            self._locked = True
        return self._file

    def close(self) -> None:
        """Close the file, which is not kept when there is nothing in it."""
        if self._file is not None:
            if self._created and self.path.is_file() and not self.path.stat().st_size:
                self.path.unlink()
            with suppress(OSError):  # tries what could not be written again: that was said
                self._file.close()
            self._file = None

    def __enter__(self) -> TuningLog:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _may_be_of(measured_on: str, of_target: str, device: str | None) -> bool:
    if device is None:
        return True
    return measured_on == device if device else not of_target


def _origin(record: Record, device: str | None = None) -> tuple[Any, ...]:
    """Bias, epilogue, device by its name and by its target, configuration."""
    task = record.task
    measured_on = record.device if device is None else device
    return task.bias, task.epilogue, measured_on, task.device, tuple(record.config.items())


def _encoded(record: Record) -> bytes:
    return record.encode().encode() + b"\n"


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def keep_alone(file: FileIO, path: Path) -> None:
    """Keep other runs off a file until it is closed; the system ends a lock with its process."""
    if fcntl is None or not path.is_file():
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise LogError(
            f"{path} is in use by another run: wait for it, or give another log "
            "(`vtacsp log --merge` joins them)"
        ) from None


def end_last_line(file: FileIO) -> None:
    """End the last line; what is torn becomes a comment."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and b"\n" not in tail:
        start = max(start - (1 << 16), 0)
        file.seek(start)
        tail = file.read(end - start)
    start += tail.rfind(b"\n") + 1
    tail = tail[tail.rfind(b"\n") + 1 :]
    if not tail:
        return
    if not tail.startswith(b"#") and _is_torn(tail.decode(errors="replace")):
        file.truncate(start)
        file.write(b"# torn: " + tail)
    file.write(b"\n")


class Digest:
    """What many records say, in memory for one of each configuration.

    ``records`` are the fastest of each layer, machine, device and configuration, in order of
    appearance; :meth:`count` and :meth:`failed` say how many there were of such a one.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> digest = Digest()
    >>> for record in records:
    ...     digest.add(record)
    ...
    >>> len(digest.records), digest.count(records[0])
    (2, 1)
    """

    def __init__(self) -> None:
        self._fastest: dict[tuple[Any, ...], Record] = {}
        self._count: Counter[tuple[Any, ...]] = Counter()
        self._failed: Counter[tuple[Any, ...]] = Counter()

    @property
    def records(self) -> list[Record]:
        """One record of each configuration."""
        return list(self._fastest.values())

    def add(self, record: Record) -> None:
        """Count a record, and keep it when it is the fastest of its configuration."""
        key = _identity(record)
        self._count[key] += 1
        if not record.result.ok:
            self._failed[key] += 1
        if key not in self._fastest or record.result.seconds < self._fastest[key].result.seconds:
            self._fastest[key] = record

    def count(self, record: Record) -> int:
        """How many records there were of the layer, device and configuration of this one."""
        return self._count[_identity(record)]

    def failed(self, record: Record) -> int:
        """How many of them failed."""
        return self._failed[_identity(record)]


def _identity(record: Record) -> tuple[Any, ...]:
    return record.task, record.device, record.workload, record.index


def merge_records(records: Iterable[Record]) -> list[Record]:
    """One record per task, device and configuration: the fastest, in order of appearance.

    Raises as :func:`refuse_mixed`.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> len(merge_records(records + records))
    2
    """
    records = list(records)
    refuse_mixed(records)
    return list(_fastest(records, lambda r: (r.key, r.index)).values())


def best_records(records: Iterable[Record]) -> list[Record]:
    """The fastest record of each task on each device; tasks where nothing ran are left out.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> [record.index for record in best_records(records)]
    [1]
    """
    return list(_fastest((r for r in records if r.result.ok), lambda r: r.key).values())


def refuse_mixed(records: Iterable[Record]) -> None:
    """Raise :class:`~vtacsp.errors.LogError` when AutoTVM would compare what two devices took.

    It would when some records of a layer's target name a device and others do not say.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> refuse_mixed(records)  # of one device
    """
    _of_one_device((record, record.task) for record in records)


def records_for_vta(records: Iterable[Record]) -> list[Record]:
    """The records for VTA's own target, whatever measured them.

    Raises :class:`~vtacsp.errors.LogError` when two devices measured one layer on one machine.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> records_for_vta(records) == records
    True
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

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> task, knobs = Task.of(layer, VTAConfig()), KnobSpace.of(layer, VTAConfig())
    >>> records = [Record(task, i, knobs.config(i), Result((1e-3 / (i + 1),))) for i in range(2)]
    >>> write_records("two.log", records)
    >>> len(load_records("two.log"))
    2
    """
    if Path(path).exists() and not Path(path).is_file():
        raise LogError(f"cannot write {path}: a log is a file")
    with replacing(path, LogError) as file:
        for line in chain(map(_kept, others), (record.encode() for record in records)):
            file.write(f"{line}\n".encode())


def _kept(line: LogLine) -> str:
    if not line.problem or line.text.startswith("#") or ('"input"' in line.text and not line.torn):
        return line.text
    return f"# {'torn' if line.torn else 'no record'}: {line.text}"
