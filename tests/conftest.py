"""Golden data and strategies that several tests share."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from vtacsp import Problem, VTAConfig, Workload, workload_from_dict

DATA = Path(__file__).parent / "data"

settings.register_profile(
    "vtacsp",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("vtacsp")


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as in a pipe: workers of pytest-xdist set COLUMNS to 80."""
    monkeypatch.delenv("COLUMNS", raising=False)


# minutes in all: what starts last must not be what takes longest
LONG = ("test_snippets", "test_cli_free", "test_cli_streams", "test_tune_initial", "test_races")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, the rest in its order."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker that has nothing left takes over what waits for another one."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files of this package"
    )


@dataclass(frozen=True)
class Measured:
    """What the real stack did with configurations of one workload on one machine."""

    workload: Workload
    hardware: VTAConfig
    indices: tuple[int, ...]
    causes: tuple[str, ...]
    raw: dict[str, Any]

    @property
    def problem(self) -> Problem:
        """The rules that the stack's own functional simulator sees."""
        return Problem(self.workload, self.hardware, stack_only=True)

    @property
    def feasible(self) -> list[int]:
        return [i for i, cause in zip(self.indices, self.causes, strict=True) if cause == "ok"]


def _read(name: str) -> Any:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def truth() -> dict[str, Measured]:
    """Whole spaces, by workload name."""
    return _spaces("truth.json.gz")


@cache
def epilogues() -> dict[str, Measured]:
    """Whole spaces under other epilogues than the tuning scripts', by workload name."""
    return _spaces("epilogue.json.gz")


def _spaces(file: str) -> dict[str, Measured]:
    data = _read(file)
    spaces = {}
    for raw in data["spaces"]:
        causes = [data["labels"][i] for i, n in raw["causes"] for _ in range(n)]
        spaces[raw["workload"]["name"]] = Measured(
            workload=workload_from_dict(raw["workload"]),
            hardware=VTAConfig.from_dict(data["hardware"][raw["hardware"]]),
            indices=tuple(range(len(causes))),
            causes=tuple(causes),
            raw={**raw, "hardware": data["hardware"][raw["hardware"]]},
        )
    return spaces


@cache
def measured() -> list[Measured]:
    """Random workloads on random machines."""
    data = _read("measured.json.gz")
    return [
        Measured(
            workload=workload_from_dict(raw["workload"]),
            hardware=VTAConfig.from_dict(raw["hardware"]),
            indices=tuple(raw["indices"]),
            causes=tuple(data["labels"][i] for i in raw["causes"]),
            raw=raw,
        )
        for raw in data["cases"]
    ]
