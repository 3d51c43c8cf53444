"""Live progress of a search on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vtacsp.simulate.simulator import Simulator
    from vtacsp.tune import Trial

__all__ = ["Live"]


@dataclass
class Live:
    """What a search does: a bar per layer on a terminal, and a line when it is done."""

    layers: int
    _bar: Any = field(default=None, init=False)
    _all: Any = field(default=None, init=False)

    def __enter__(self) -> Live:
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(24),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[best]}"),
                progress.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=Console(stderr=True, highlight=False),
                transient=True,
            )
            self._all = self._bar.add_task("layers", total=self.layers, best="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    @contextmanager
    def layer(self, simulator: Simulator, total: int) -> Iterator[Any]:
        """What to call with every trial of a layer."""
        name, clock = simulator.workload.name, simulator.timing.clock_hz
        operations = simulator.workload.operations
        seen: list[Trial] = []
        best = float("inf")
        task = None if self._bar is None else self._bar.add_task(name, total=total, best="")

        def text() -> str:
            failed = sum(not trial.result.ok for trial in seen)
            parts = [f"{failed:,} failed"]
            if best < float("inf"):
                speed = operations / best / 1e9
                parts.append(f"best {round(best * clock):,} cycles ({speed:.1f} GOPS)")
            return ", ".join(parts)

        def advance(trial: Trial) -> None:
            nonlocal best
            seen.append(trial)
            best = min(best, trial.result.seconds)
            if self._bar is not None:
                self._bar.update(task, completed=len(seen), best=text())

        try:
            yield advance
        finally:
            if self._bar is not None:
                self._bar.remove_task(task)
        if seen:
            known = sum(trial.recorded for trial in seen)
            line = f"{name}: {len(seen) - known:,} measured"
            line += f", {known:,} from the log" if known else ""
            line += f", {text()}"
            if self._bar is None:
                click.echo(line, err=True)
            else:
                self._bar.console.print(line)
                self._bar.advance(self._all)
