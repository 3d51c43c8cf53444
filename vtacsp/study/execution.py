"""Running a study: small tasks in processes, every result kept, nothing done twice."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vtacsp.errors import StudyError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload
from vtacsp.study.cost_model import judge
from vtacsp.study.recorded_layer import StudyLayer, prepare
from vtacsp.study.search_cost import METHODS, run_search
from vtacsp.version import __version__
from vtacsp.workers import process_pool, stop_workers

__all__ = ["PARTS", "Job", "Study"]

PARTS = ("validity", "model", "search")
"""What a study looks at: the spaces, the cost model, how many measurements a search needs.

>>> PARTS
('validity', 'model', 'search')
"""

MOST_SEEDS = 10_000  # their tasks are listed before the first one runs

_FORMAT = 1
_PACKAGES = ("numpy", "scipy", "xgboost", "ortools", "numba")


@dataclass(frozen=True)
class Job:
    """A piece of work that ends with one line of results; ``method`` is empty for the model."""

    part: str
    layer: str
    method: str
    seed: int


class Study:
    """A study and its folder.

    ``folder`` holds ``study.json`` (machine, versions, every command that worked on it),
    ``layers/`` (a table of cycles per layer) and ``results.jsonl`` (one line per task).  A study
    of the same machine and versions goes on where another ended, also with more layers, seeds or
    methods.  Raises :class:`~vtacsp.errors.StudyError` when the folder holds something else.

    >>> layers = [vtacsp.Dense(name="mine", in_features=64, out_features=64)]
    >>> study = Study("study", layers, seeds=2, methods=["random"], parts=["search"])
    >>> study.stages()
    {'tables': 1, 'search': 2}
    >>> study.run(jobs=1)
    >>> study.pending()
    0
    """

    def __init__(
        self,
        folder: str | Path,
        workloads: Sequence[Workload],
        hardware: VTAConfig | None = None,
        *,
        seeds: int = 20,
        methods: Sequence[str] = tuple(METHODS),
        parts: Sequence[str] = PARTS,
        command: str = "",
    ) -> None:
        if not 1 <= seeds <= MOST_SEEDS:
            raise StudyError(
                f"seeds is {shortened(seeds)}, must be at least 1 and at most {MOST_SEEDS}"
            )
        for name, given, known in (("method", methods, METHODS), ("part", parts, PARTS)):
            for word in given:
                if word not in known:
                    raise StudyError(
                        f"unknown {name} {shortened(word)}; known are {', '.join(known)}"
                    )
        twice = [name for name, n in Counter(w.name for w in workloads).items() if n > 1]
        if twice:
            raise StudyError(f"two layers have the name {twice[0]!r}")
        self.folder = Path(folder)
        self.workloads = tuple(workloads)
        self.hardware = hardware or VTAConfig()
        self.seeds = seeds
        self.methods = tuple(methods)
        self.parts = tuple(parts)
        self.command = command
        self.about = self._open()
        for workload in self.workloads:
            file = self._layer_file(workload.name)
            if file.is_file() and _load(str(file)).workload != workload:
                raise StudyError(f"{file} is of another layer with the name {workload.name!r}")

    def pending(self) -> int:
        """Tables and tasks that are not done yet."""
        return sum(self.stages().values())

    def stages(self) -> dict[str, int]:
        """What is not done yet, in the order of :meth:`run`: ``tables`` and tasks per part.

        A table, a search and a training take times that have nothing to do with each other.
        """
        parts = Counter(task.part for task in self._undone())
        return {"tables": len(self._missing()), **parts}

    def run(self, jobs: int | None = None, callback: Callable[[], object] | None = None) -> None:
        """Do what is not done yet in ``jobs`` processes (as many as cores by default).

        ``callback`` is called after each table and task.  An interrupted run keeps every result.
        Processes are spawned: a script must guard its start with
        ``if __name__ == "__main__":``.
        """
        if jobs is not None and jobs < 1:
            raise StudyError(f"jobs is {jobs}, must be at least 1")
        callback = callback or (lambda: None)
        if self.pending():
            self._sign()
        with _pool(jobs or os.cpu_count() or 1) as submit:
            missing = [(w.to_dict(), self.hardware) for w in self._missing()]
            for layer in submit(_prepare, missing):
                _write(self._layer_file(layer["workload"]["name"]), json.dumps(layer) + "\n")
                callback()
            with _appended(self.folder / "results.jsonl") as append:
                for line in submit(_perform, [(str(self.folder), t) for t in self._undone()]):
                    append(line)
                    callback()

    def tasks(self) -> list[Job]:
        """Everything that this study consists of, besides the layers' tables."""
        names = [workload.name for workload in self.workloads]
        seeds = range(self.seeds)
        model = [Job("model", name, "", seed) for name in names for seed in seeds]
        runs = [
            Job("search", name, method, seed)
            for name in names
            for method in self.methods
            for seed in seeds
        ]
        chosen = {"search": runs, "model": model}
        return [task for part, tasks in chosen.items() if part in self.parts for task in tasks]

    def layers(self) -> list[StudyLayer]:
        """The layers whose table is there, in order."""
        files = [self._layer_file(workload.name) for workload in self.workloads]
        return [_load(str(file)) for file in files if file.is_file()]

    def results(self) -> dict[Job, Any]:
        """What is known, by task; a torn last line is as if it were not there."""
        file = self.folder / "results.jsonl"
        found: dict[Job, Any] = {}
        lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                data = json.loads(line)
                found[Job(**data["task"])] = data["result"]
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):  # nothing ends it: it was being written
                    continue
                raise StudyError(f"{file} line {number} is no result of a study") from error
        return found

    # -- the folder

    def _layer_file(self, name: str) -> Path:
        return self.folder / "layers" / f"{quote(name, safe='')}.json"

    def _missing(self) -> list[Workload]:
        return [w for w in self.workloads if not self._layer_file(w.name).is_file()]

    def _undone(self) -> list[Job]:
        known = self.results()
        return [task for task in self.tasks() if task not in known]

    def _open(self) -> dict[str, Any]:
        """What ``study.json`` says, or will say."""
        file = self.folder / "study.json"
        about: dict[str, Any] = {
            "format": _FORMAT,
            "hardware": self.hardware.to_dict(),
            "versions": {
                "vtacsp": __version__,
                "python": platform.python_version(),
                **{name: _version(name) for name in _PACKAGES},
            },
            "commands": [],
        }
        if not file.is_file():
            return about
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            found = {key: before[key] for key in about}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{file} is not the description of a study") from error
        for key in ("format", "hardware", "versions"):
            if found[key] != about[key]:
                raise StudyError(
                    f"{self.folder} holds a study with another {key} "
                    f"({_difference(found[key], about[key])}); choose another folder"
                )
        return found

    def _sign(self) -> None:
        """Add the command to ``study.json``."""
        self.about["commands"].append(
            {
                "command": self.command,
                "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "seeds": self.seeds,
                "sources": _sources(),
            }
        )
        try:
            (self.folder / "layers").mkdir(parents=True, exist_ok=True)
            _write(self.folder / "study.json", json.dumps(self.about, indent=1) + "\n")
        except OSError as error:
            raise StudyError(f"cannot write {self.folder}: {error.strerror or error}") from error


def _prepare(workload: dict[str, Any], hardware: VTAConfig) -> dict[str, Any]:
    return prepare(workload_from_dict(workload), hardware).to_dict()


def _perform(folder: str, task: Job) -> str:
    layer = _load(str(Path(folder) / "layers" / f"{quote(task.layer, safe='')}.json"))
    result: Any
    if task.part == "model":
        result = [training.to_dict() for training in judge(layer, task.seed)]
    else:
        result = run_search(layer, task.method, task.seed).to_dict()
    return json.dumps({"task": task.__dict__, "result": result})


@lru_cache(maxsize=64)
def _load(file: str) -> StudyLayer:
    try:
        return StudyLayer.from_dict(json.loads(Path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"cannot read {file}: {error}") from error


class _pool:  # noqa: N801 - used like a function
    """``submit(function, arguments)`` yields results as they are done; with one job, here."""

    def __init__(self, jobs: int) -> None:
        self._executor: ProcessPoolExecutor | None = None
        if jobs > 1:
            self._executor = process_pool(jobs)

    def __enter__(self) -> Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[Any]]:
        return self._submit

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:  # on Ctrl-C a worker may be in a long table
            stop_workers(self._executor)

    def _submit(
        self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> Iterator[Any]:
        if self._executor is None:
            yield from (function(*words) for words in arguments)
            return
        try:
            futures = [self._executor.submit(function, *words) for words in arguments]
            for future in as_completed(futures):
                yield future.result()
        except BrokenExecutor as error:
            raise StudyError(
                "a worker process died; what was done is kept, run the same study again"
            ) from error


def _version(module: str) -> str:
    """The version of a module that is mostly the distribution of the same name."""
    try:
        return version(module)
    except PackageNotFoundError:  # xgboost may come as xgboost-cpu, say
        return str(import_module(module).__version__)


class _appended:  # noqa: N801 - used like a function
    """Appends lines to a file, each flushed; ends a torn last line first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Callable[[str], None]:
        text = self._path.read_bytes() if self._path.is_file() else b""
        if text and not text.endswith(b"\n"):
            self._path.write_bytes(text[: text.rfind(b"\n") + 1])
        self._file = self._path.open("a", encoding="utf-8")
        return self._append

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _append(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()


def _write(path: Path, text: str) -> None:
    """All or nothing."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _difference(before: Any, now: Any) -> str:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{before}, now {now}"
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ", ".join(f"{key} {before.get(key)}, now {now.get(key)}" for key in keys)


def _sources() -> str:
    """A digest of the package's modules: which code made the results."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
