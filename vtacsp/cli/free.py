"""``vtacsp best --free``: what schedules beyond the template reach, and the limit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from textwrap import fill
from typing import TYPE_CHECKING

from vtacsp.cli.free_saved import Saved, compared
from vtacsp.cli.layers import Done, each
from vtacsp.cli.network import short
from vtacsp.cli.output import Row, print_rows, rows_as_table, write, wrote
from vtacsp.cli.terminal import width
from vtacsp.errors import SpaceError
from vtacsp.network.value import Network

if TYPE_CHECKING:
    from vtacsp.free import Found
    from vtacsp.free.compared import ScheduleComparison
    from vtacsp.timing.simulator import Simulator

__all__ = [
    "FreeSearch",
    "comparison",
    "free_cycles",
    "free_text",
    "print_free",
    "template_of",
    "totals",
]

COLUMNS = (
    *("layer", "index", "template_cycles", "cycles", "limit", "gap", "bound", "simulated"),
    *("faster", "schedule", "count"),
)
Template = tuple[int | None, int | None]
"""Index and cycles of the template's best; both None when it cannot run the layer."""

TABLE = ("layer", "n", "template", "free", "faster", "limit", "gap", "bound")


@dataclass
class FreeSearch:
    """What is asked of the search, and the schedules that an earlier one has saved.

    A layer is not searched again when its saved schedule is within ``gap`` of the limit, nor when
    the same search was through with it.  ``templates`` are index and cycles of the template's best
    by layer, where they are known already.  No search begins once ``stop`` says so.
    """

    gap: float
    seed: int
    saved: Saved = field(default_factory=Saved)
    templates: Mapping[str, Template] | None = None
    stop: Callable[[], bool] | None = None

    def rows(
        self, simulators: Sequence[Simulator], executor: Executor | None, *, search: bool = True
    ) -> Done[Row]:
        """A row per layer, with the schedule as an object, None when the template is faster.

        What is found is saved after every layer.  Without ``search`` there is what was saved.
        """
        kept = {s.workload.name: self.saved.row(s, self.gap, self.seed) for s in simulators}
        tasks: dict[str, Future[Found | None]] = {}
        if executor is not None and search:
            from vtacsp.free.search import compile_search

            compile_search()
            for simulator in simulators:
                name = simulator.workload.name
                if kept[name] is None:
                    tasks[name] = executor.submit(_search, simulator, self.gap, self.seed)

        def one(simulator: Simulator) -> Row:
            name = simulator.workload.name
            row, task = kept[name], tasks.get(name)
            if row is None and search and not (self.stop is not None and self.stop()):
                found = _search(simulator, self.gap, self.seed) if task is None else task.result()
                row = _row(simulator, found, self._template(simulator, executor))
                row = self.saved.better(simulator, row)
                self.saved.add(simulator, row, self.gap, self.seed)
            elif row is None:
                if task is not None:
                    task.cancel()
                row = self.saved.known(simulator)
                row = row or _row(simulator, None, self._template(simulator, executor))
            return self._current(row)

        return each(simulators, one)

    def _template(self, simulator: Simulator, executor: Executor | None) -> Template:
        """Index and cycles of the template's best, which nobody looks for twice."""
        if self.templates is not None:
            return self.templates.get(simulator.workload.name, (None, None))
        return template_of(simulator, executor)

    def _current(self, row: Row) -> Row:
        """The row with the template's best of now: that of a file may be of another search."""
        if self.templates is None:
            return row
        free = row["cycles"] if row["schedule"] is not None else None
        index, cycles = self.templates.get(row["layer"], (None, None))
        return compared({**row, "index": index, "template_cycles": cycles}, free)


def template_of(simulator: Simulator, executor: Executor | None) -> Template:
    """Index and cycles of the template's best."""
    from vtacsp.timing.exhaustive import simulate_all

    if not len(simulator.space):
        return None, None
    every = simulate_all(simulator, executor)
    return int(simulator.space.indices[every.best]), int(every.cycles[every.best])


def print_free(
    layers: Done[Row],
    title: str,
    form: str,
    output: str | None,
    save: str | None,
    network: Network | None,
    clock_hz: int,
) -> None:
    """Print the rows of :meth:`FreeSearch.rows`; of a network also what the host has."""
    wrote(save)
    rows = layers.results
    total = totals(rows, clock_hz)
    named = [{**r, "schedule": str(r["schedule"]) if r["schedule"] else None} for r in rows]
    if form == "table":
        text = free_text(rows, clock_hz, title, network, to_file=output is not None)
        write(text, output)
    elif form == "json" and network is not None:
        data = {"layers": named, "total": total, "host": network.host_rows()}
        write(json.dumps(data, indent=1) + "\n", output)
    else:
        print_rows(named, COLUMNS, form, output)
    layers.end(feasible=any(row["cycles"] for row in rows))


def free_text(
    rows: Sequence[Row],
    clock_hz: int,
    title: str,
    network: Network | None = None,
    *,
    to_file: bool,
) -> str:
    """The rows as a table with a total, and what that proves; of a network what the host has."""
    total = totals(rows, clock_hz)
    title += "\nfree: the fastest schedule found; gap: of it to the limit"
    title += "\nlimit: no program of the instruction set needs fewer cycles"
    shown = [
        {**r, "layer": short(r["layer"]), "n": r["count"], "template": r["template_cycles"],
         "free": free_cycles(r)}
        for r in rows
    ]  # fmt: skip
    counted = network is not None or (len(rows) > 1 and all(r["count"] for r in rows))
    if counted:
        title += "\nn: how often the network has the layer; total: of all runs"
        shown.append(
            {**total, "layer": "total", "n": total["count"], "template": total["template_cycles"],
             "free": total["cycles"]}
        )  # fmt: skip
    columns = [c for c in TABLE if c != "n" or counted]
    text = rows_as_table(
        [{c: r.get(c) for c in columns} for r in shown], columns, title, to_file=to_file
    )
    alone = len(rows) == 1 and not counted  # of several layers that nobody counts there is no sum
    proven = totals([{**r, "count": 1} for r in rows], clock_hz) if alone else total
    if (counted or alone) and proven["cycles"] and not proven["missing"]:
        sentence = (
            f"{proven['cycles']:,} cycles; no program of this instruction set needs fewer than "
            f"{proven['limit']:,} ({proven['gap']:.1%})"
        )
        text += fill(sentence, width()) + "\n"
    if counted and total["missing"]:
        text += f"not in the total: {', '.join(map(short, total['missing']))}\n"
    hosted = sum(node.count for node in network.host) if network is not None else 0
    return text + (f"on the host: {hosted:,} nodes, see `vtacsp network`\n" if hosted else "")


def totals(rows: Sequence[Row], clock_hz: int) -> Row:
    """Sums over all runs; ``missing`` names the layers that have no program.

    The template's sum is None when it lacks one of the layers that a free schedule has.
    """
    from vtacsp.free.compared import ScheduleComparison

    found = ScheduleComparison.total(map(comparison, rows))
    cycles = 0 if found is None else found.cycles or 0
    return {
        "layers": len(rows),
        "count": sum(row["count"] or 1 for row in rows),
        "template_cycles": 0 if found is None else found.template,
        "cycles": cycles,
        "limit": 0 if found is None else found.limit,
        "gap": None if found is None else found.gap,
        "faster": None if found is None else found.faster,
        "ms": cycles / clock_hz * 1e3,
        "clock_hz": clock_hz,
        "missing": [row["layer"] for row in rows if not row["cycles"]],
    }


def free_cycles(row: Row) -> int | None:
    """Cycles of a layer beyond the template: no more than the template's; None: never searched."""
    looked = row["simulated"] is not None or row["schedule"] is not None
    cycles: int | None = row["cycles"]
    return cycles if looked else None


def comparison(row: Row) -> ScheduleComparison:
    """The numbers of a row, for sums and pages."""
    from vtacsp.free.compared import ScheduleComparison

    return ScheduleComparison(
        row["layer"], row["count"], row["template_cycles"],
        row["cycles"] if row["schedule"] is not None else None, row["limit"],
    )  # fmt: skip


def _row(simulator: Simulator, found: Found | None, template: Template) -> Row:
    from vtacsp.free import limit

    bound = limit(simulator.workload, simulator.hardware, simulator.timing)
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"layer": simulator.workload.name, "limit": bound.cycles, "bound": bound.bound}
    row["count"] = simulator.workload.extra.get("count")
    row["index"], row["template_cycles"] = template
    if found is not None:
        row["simulated"], row["schedule"] = found.simulated, found.schedule
    return compared(row, None if found is None else found.cycles)


def _search(simulator: Simulator, gap: float, seed: int) -> Found | None:
    """A task of an executor; None when no schedule can run."""
    from vtacsp.free import search

    try:
        return search(simulator.workload, simulator.hardware, simulator.timing, gap=gap, seed=seed)
    except SpaceError:
        return None
