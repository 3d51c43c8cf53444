"""``vtacsp best --free``: what schedules beyond the template reach, and the limit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from vtacsp.cli.layers import Done, each
from vtacsp.cli.output import Row, emit, write, wrote
from vtacsp.errors import SpaceError

if TYPE_CHECKING:
    from vtacsp.free import Found
    from vtacsp.timing.simulator import Simulator

__all__ = ["free_best", "print_free"]

COLUMNS = (
    *("layer", "index", "template_cycles", "cycles", "limit", "gap", "bound", "simulated"),
    *("faster", "schedule"),
)
TABLE = ("layer", "template", "free", "faster", "limit", "gap", "bound")


def free_best(
    simulators: Sequence[Simulator], executor: Executor | None, gap: float, seed: int
) -> Done[Row]:
    """A row per layer, with the schedule as an object, None when the template is faster."""
    if executor is None:
        return each(simulators, lambda s: _row(s, _search(s, gap, seed), None))
    from vtacsp.free.search import ready

    ready()
    tasks = {s.workload.name: executor.submit(_search, s, gap, seed) for s in simulators}
    return each(simulators, lambda s: _row(s, tasks[s.workload.name].result(), executor))


def print_free(
    layers: Done[Row], title: str, form: str, output: str | None, save: str | None
) -> None:
    """Print the rows of :func:`free_best`; ``save`` is a file for the schedules, as JSON."""
    rows = layers.results
    if save is not None:
        found = [{**r, "schedule": r["schedule"].to_dict()} for r in rows if r["schedule"]]
        write(json.dumps(found, indent=1) + "\n", save)
        wrote(save)
    if form == "table":
        title += "\nfree: the fastest schedule found; gap: of it to the limit"
        title += "\nlimit: no program of the instruction set needs fewer cycles"
        shown = [{**r, "template": r["template_cycles"], "free": r["cycles"]} for r in rows]
        emit([{c: r[c] for c in TABLE} for r in shown], TABLE, form, output, title)
    else:
        named = [{**r, "schedule": str(r["schedule"]) if r["schedule"] else None} for r in rows]
        emit(named, COLUMNS, form, output)
    layers.end(feasible=any(row["cycles"] for row in rows))


def _row(simulator: Simulator, found: Found | None, executor: Executor | None) -> Row:
    from vtacsp.free import limit
    from vtacsp.timing.exhaustive import simulate_all

    bound = limit(simulator.workload, simulator.hardware, simulator.timing)
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"layer": simulator.workload.name, "limit": bound.cycles, "bound": bound.bound}
    reached = []
    if len(simulator.space):
        every = simulate_all(simulator, executor)
        row["index"] = int(simulator.space.indices[every.best])
        row["template_cycles"] = int(every.cycles[every.best])
        reached.append(row["template_cycles"])
    if found is not None:
        row["simulated"] = found.simulated
        reached.append(found.cycles)
    if reached:
        row["cycles"] = min(reached)
        row["gap"] = row["cycles"] / bound.cycles - 1
    if len(reached) == 2:
        row["faster"] = reached[0] / row["cycles"] - 1
    if found is not None and found.cycles == row["cycles"]:
        row["schedule"] = found.schedule
    return row


def _search(simulator: Simulator, gap: float, seed: int) -> Found | None:
    """A task of an executor; None when no schedule can run."""
    from vtacsp.free import search

    try:
        return search(simulator.workload, simulator.hardware, simulator.timing, gap=gap, seed=seed)
    except SpaceError:
        return None
