"""Live progress of a search on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vtacsp.cli.terminal import printable, say

if TYPE_CHECKING:
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import Trial, TuningResult

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
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(24),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[best]}", markup=False),
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
        name = printable(simulator.workload.name)
        seen: list[Trial] = []
        task = None if self._bar is None else self._bar.add_task(name, total=total, best="")

        def advance(trial: Trial) -> None:
            seen.append(trial)
            if self._bar is not None:
                self._bar.update(task, completed=len(seen), best=_found(simulator, seen))

        try:
            yield advance
        finally:
            if self._bar is not None:
                self._bar.remove_task(task)

    def done(self, simulator: Simulator, result: TuningResult) -> None:
        """Say what the search of a layer found: the trials of its result, as the table counts."""
        known = len(result.trials) - result.measured
        line = f"{simulator.workload.name}: {result.measured:,} measured"
        line += f", {known:,} from the log" if known else ""
        line += f", {_found(simulator, result.trials)}"
        if self._bar is None:
            say(line)
        else:
            self._bar.console.print(printable(line), markup=False)
            self._bar.advance(self._all)


def _found(simulator: Simulator, trials: Sequence[Trial]) -> str:
    failed = sum(not trial.result.ok for trial in trials)
    parts = [f"{failed:,} failed"]
    ran = [trial.result for trial in trials if trial.result.ok]
    if ran:
        best = min(ran, key=lambda result: result.seconds)
        speed = simulator.workload.operations / best.seconds / 1e9
        cycles = best.cycles(simulator.timing)
        parts.append(f"best {cycles:,} cycles ({speed:.1f} GOPS)")
    return ", ".join(parts)
