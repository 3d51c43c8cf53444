"""Recorded tables: cycles that were measured on the RTL of VTA."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload

__all__ = ["recorded_cycles"]

_LATENCY = 16  # of the memory behind the RTL, in cycles: that of the timing model's preset


def recorded_cycles(workload: Workload, hardware: VTAConfig) -> dict[int, int] | None:
    """RTL cycles by AutoTVM index of everything in the grid that runs; the rest of it fails.

    None where no table was recorded.  The workload's name does not matter.

    >>> cycles = recorded_cycles(vtacsp.suite("resnet18")[9], VTAConfig())
    >>> len(cycles), min(cycles.values())
    (40, 465099)
    """
    for layer, machine, cycles in _tables():
        if machine == hardware and replace(layer, name=workload.name) == workload:
            return dict(cycles)
    return None


@cache
def _tables() -> list[tuple[Workload, VTAConfig, dict[int, int]]]:
    packed = (files("vtacsp") / "data" / "rtl" / "cycles.json.gz").read_bytes()
    cases: list[dict[str, Any]] = json.loads(gzip.decompress(packed))["cases"]
    return [
        (
            workload_from_dict(case["workload"]),
            VTAConfig.from_dict(case["hardware"]),
            dict(zip(case["indices"], case["cycles"], strict=True)),
        )
        for case in cases
        if case["memory_latency"] == _LATENCY
    ]
