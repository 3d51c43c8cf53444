"""Progress bars on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["estimate", "stages"]

PATIENCE = 1.0  # seconds before a bar appears
EVIDENCE = 0.1  # the share of a stage that is done before its end is estimated


@contextmanager
def stages(totals: Mapping[str, int]) -> Iterator[Any]:
    """A callable to advance the bars of work in stages, each with its own pace.

    Bars appear after a second.  The time a stage still needs is estimated when enough of it is
    done: the first steps also start processes and compile.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
    )
    waiting = [
        (bar.add_task(name, total=total, left=""), total) for name, total in totals.items() if total
    ]
    begun = first = time.monotonic()
    done = 0
    running = False

    def advance() -> None:
        nonlocal done, first, running
        now = time.monotonic()
        if waiting:
            task, total = waiting[0]
            done += 1
            first = now if done == 1 else first
            left = estimate(now - first, done, total)
            bar.update(task, completed=done, left="" if left is None else f"{left:,.0f} s left")
            if done == total:
                waiting.pop(0)
                done = 0
        if not running and console.is_terminal and now - begun > PATIENCE:
            bar.start()
            running = True

    try:
        yield advance
    finally:
        if running:
            bar.stop()


def estimate(seconds: float, done: int, total: int) -> float | None:
    """Seconds that a stage still takes, from those since its first step ended.

    None when too little is done to say; the first step also starts processes and compiles.
    """
    if done < max(EVIDENCE * total, 2):
        return None
    return seconds / (done - 1) * (total - done)
