"""The layers of a command: compiled spaces, chosen configurations, their rows, a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
import numpy as np

from vtacsp.cli.options import load_hardware, pick_config
from vtacsp.cli.output import Row
from vtacsp.errors import VtacspError
from vtacsp.hardware import VTAConfig
from vtacsp.knobs import KnobSpace
from vtacsp.space.feasible import FeasibleSpace, compile
from vtacsp.space.problem import Problem
from vtacsp.suites import find_workloads

__all__ = [
    "NOTHING_FEASIBLE",
    "chosen",
    "compile_all",
    "config_columns",
    "config_rows",
    "config_text",
    "exit_when_empty",
    "progress",
]

NOTHING_FEASIBLE = 3
PATIENCE = 1.0  # seconds before a progress bar appears


def compile_all(workload: str, hardware_file: str | None) -> list[FeasibleSpace]:
    """The compiled space of every layer."""
    machine: VTAConfig = load_hardware(hardware_file)
    return [compile(layer, machine) for layer in find_workloads(workload)]


def exit_when_empty(spaces: Sequence[FeasibleSpace]) -> None:
    """End the command with its own exit code when no layer has a feasible configuration."""
    if not any(len(space) for space in spaces):
        click.echo("nothing is feasible; `vtacsp advise` says what would help", err=True)
        sys.exit(NOTHING_FEASIBLE)


def chosen(
    space: KnobSpace, indices: Sequence[int], knobs: Sequence[str], everything: bool
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The configurations a command is asked about; exactly one way of asking."""
    if sum(map(bool, (indices, knobs, everything))) != 1:
        raise VtacspError(
            "choose configurations with --index, or --knob, or --all where there is one"
        )
    if everything:
        return np.arange(len(space), dtype=np.int64)
    if knobs:
        return np.array([space.index(pick_config(knobs))], dtype=np.int64)
    for index in indices:
        space.config(index)
    return np.array(indices, dtype=np.int64)


def config_rows(
    problem: Problem, indices: np.ndarray[tuple[int, ...], np.dtype[np.int64]], named: bool
) -> list[Row]:
    """Index and knobs of configurations, after the workload's name when ``named``."""
    columns = problem.knob_space.columns(indices)
    lists = [indices.tolist(), *(column.tolist() for column in columns.values())]
    names = ["index", *columns]
    prefix: Row = {"workload": problem.workload.name} if named else {}
    return [{**prefix, **dict(zip(names, row, strict=True))} for row in zip(*lists, strict=True)]


def config_text(config: Mapping[str, int]) -> str:
    """The knobs that are not 1, for tables that people read in 80 columns."""
    return " ".join(f"{knob}={n}" for knob, n in config.items() if n != 1)


def config_columns(spaces: Sequence[FeasibleSpace] | Sequence[Problem]) -> list[str]:
    """``index`` and the knobs, after the workload's name when there are several."""
    knobs = dict.fromkeys(name for space in spaces for name in space.knob_space.names)
    return [*(["workload"] if len(spaces) > 1 else []), "index", *knobs]


@contextmanager
def progress(total: int, what: str = "layers") -> Iterator[Any]:
    """A callable to advance a bar on standard error, which appears after a second."""
    from rich.console import Console
    from rich.progress import Progress

    begun = time.monotonic()
    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=total)
    running = False

    def advance() -> None:
        nonlocal running
        bar.advance(task)
        if not running and time.monotonic() - begun > PATIENCE:
            bar.start()
            running = True

    try:
        yield advance
    finally:
        if running:
            bar.stop()
