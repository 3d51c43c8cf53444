"""What was measured on the real stack, read when it is first asked for."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support import DATA
from vtacsp import Problem, VTAConfig, Workload, workload_from_dict


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
