"""Golden data, read when they are first asked for; the names of what is in them at once."""

from __future__ import annotations

import csv
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import vtacsp
from tests.support import DATA
from vtacsp import Conv2D, ProgramError, Simulator, VTAConfig, build, workload_from_dict
from vtacsp.timing import RTL

PACKAGED = Path(vtacsp.__file__).parent / "data" / "rtl"  # the study needs it

SMALL = Conv2D(
    name="small", batch=1, in_channels=32, height=8, width=8, out_channels=64, kernel=(3, 3),
    padding=(1, 1), bias=True,
)  # fmt: skip


@cache
def golden(name: str) -> Any:
    """A golden file, by the name of its data."""
    folder = PACKAGED if name == "cycles" else DATA
    with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def free_schedules() -> dict[str, dict[str, str]]:
    """What was found and proved of free schedules, by layer."""
    lines = (DATA / "free_schedules.csv").read_text(encoding="utf-8").splitlines()
    return {row["layer"]: row for row in csv.DictReader(lines)}


def names(data: str) -> list[str]:
    """The names of the cases in a golden file, without reading it: a test for each is collected.

    ``tests/data/names.json`` has them; ``tests/test_golden.py`` holds it to the files.
    """
    return _index()[data]


@cache
def _index() -> dict[str, list[str]]:
    return json.loads((DATA / "names.json").read_text(encoding="utf-8"))


def case_name(case: dict[str, Any]) -> str:
    """What a case of the RTL's cycles is called: the layer, and the memory latency."""
    return f"{case['workload']['name']}-{case['memory_latency']}"


@cache
def _cycles() -> dict[str, Any]:
    return {case_name(case): case for case in golden("cycles")["cases"]}


def cycle_case(name: str) -> Any:
    """A case of the RTL's cycles."""
    return _cycles()[name]


def machine_name(part: dict[str, Any]) -> str:
    """What a machine with a bus is called, of those that were measured on the RTL or refused."""
    return f"{VTAConfig.from_dict(part['hardware']).model}-{part['bus_bytes']}"


def machine_part(
    name: str, kind: str = "machines", file: str = "machines"
) -> tuple[VTAConfig, int, dict[str, Any]]:
    """A machine, its bus in bytes and what is recorded of it in a golden file."""
    part = next(part for part in golden(file)[kind] if machine_name(part) == name)
    return VTAConfig.from_dict(part["hardware"]), part["bus_bytes"], part


def simulator(case: dict[str, Any]) -> Simulator:
    """The simulator of a case of the RTL's cycles."""
    workload, hardware = case["workload"], VTAConfig.from_dict(case["hardware"])
    timing = RTL.override([f"memory_latency={case['memory_latency']}"])
    return Simulator(workload_from_dict(workload), hardware, timing)


def cause_of(workload: vtacsp.Workload, hardware: VTAConfig, index: int) -> str:
    """What the builder says of a configuration."""
    try:
        build(workload, hardware, index)
    except ProgramError as error:
        return error.cause
    return "ok"


def races() -> list[tuple[vtacsp.Workload, int]]:
    """(workload, index) of programs that were wrong on the RTL or under another legal order."""
    return [(workload_from_dict(c["workload"]), c["index"]) for c in golden("races")["cases"]]
