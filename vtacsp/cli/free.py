"""``vtacsp best --free``: what schedules beyond the template reach, and the limit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from textwrap import fill
from typing import TYPE_CHECKING

from vtacsp.cli.free_saved import Saved, compared
from vtacsp.cli.layers import Done, each
from vtacsp.cli.network import short
from vtacsp.cli.output import Row, emit, table, write, wrote
from vtacsp.cli.terminal import width
from vtacsp.errors import SpaceError
from vtacsp.network.value import Network

if TYPE_CHECKING:
    from vtacsp.free import Found
    from vtacsp.timing.simulator import Simulator

__all__ = ["FreeSearch", "print_free"]

COLUMNS = (
    *("layer", "index", "template_cycles", "cycles", "limit", "gap", "bound", "simulated"),
    *("faster", "schedule", "count"),
)
TABLE = ("layer", "n", "template", "free", "faster", "limit", "gap", "bound")


@dataclass
class FreeSearch:
    """What is asked of the search, and the schedules that an earlier one has saved.

    A layer is not searched again when its saved schedule is within ``gap`` of the limit, nor when
    the same search was through with it.
    """

    gap: float
    seed: int
    saved: Saved = field(default_factory=Saved)

    def rows(self, simulators: Sequence[Simulator], executor: Executor | None) -> Done[Row]:
        """A row per layer, with the schedule as an object, None when the template is faster.

        What is found is saved after every layer.
        """
        kept = {s.workload.name: self.saved.row(s, self.gap, self.seed) for s in simulators}
        if executor is None:

            def one(simulator: Simulator) -> Row:
                row = kept[simulator.workload.name]
                return row or self._found(simulator, self._search(simulator), None)

            return each(simulators, one)
        from vtacsp.free.search import ready

        ready()
        tasks = {
            s.workload.name: executor.submit(_search, s, self.gap, self.seed)
            for s in simulators
            if kept[s.workload.name] is None
        }

        def done(simulator: Simulator) -> Row:
            name = simulator.workload.name
            return kept[name] or self._found(simulator, tasks[name].result(), executor)

        return each(simulators, done)

    def _search(self, simulator: Simulator) -> Found | None:
        return _search(simulator, self.gap, self.seed)

    def _found(self, simulator: Simulator, found: Found | None, executor: Executor | None) -> Row:
        row = self.saved.better(simulator, _row(simulator, found, executor))
        self.saved.add(simulator, row, self.gap, self.seed)
        return row


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
    total = _total(rows, clock_hz)
    named = [{**r, "schedule": str(r["schedule"]) if r["schedule"] else None} for r in rows]
    if form == "table":
        write(_text(rows, total, title, network, to_file=output is not None), output)
    elif form == "json" and network is not None:
        data = {"layers": named, "total": total, "host": network.host_rows()}
        write(json.dumps(data, indent=1) + "\n", output)
    else:
        emit(named, COLUMNS, form, output)
    layers.end(feasible=any(row["cycles"] for row in rows))


def _text(
    rows: Sequence[Row], total: Row, title: str, network: Network | None, *, to_file: bool
) -> str:
    title += "\nfree: the fastest schedule found; gap: of it to the limit"
    title += "\nlimit: no program of the instruction set needs fewer cycles"
    shown = [
        {**r, "layer": short(r["layer"]), "n": r["count"], "template": r["template_cycles"],
         "free": r["cycles"]}
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
    text = table([{c: r.get(c) for c in columns} for r in shown], columns, title, to_file=to_file)
    if not counted:
        return text
    if total["cycles"] and not total["missing"]:
        sentence = (
            f"{total['cycles']:,} cycles; no program of this instruction set needs fewer than "
            f"{total['limit']:,} ({total['gap']:.1%})"
        )
        text += fill(sentence, width()) + "\n"
    if total["missing"]:
        text += f"not in the total: {', '.join(map(short, total['missing']))}\n"
    hosted = sum(node.count for node in network.host) if network is not None else 0
    return text + (f"on the host: {hosted:,} nodes, see `vtacsp network`\n" if hosted else "")


def _total(rows: Sequence[Row], clock_hz: int) -> Row:
    """Sums over all runs; ``missing`` names the layers that have no program.

    The template's sum is None when it lacks one of the layers that a free schedule has.
    """
    ran = [row for row in rows if row["cycles"]]

    def of(key: str) -> int | None:
        if any(row[key] is None for row in ran):
            return None
        return sum(int((row["count"] or 1) * row[key]) for row in ran)

    template, cycles, limit = of("template_cycles"), of("cycles") or 0, of("limit") or 0
    return {
        "layers": len(rows),
        "count": sum(row["count"] or 1 for row in rows),
        "template_cycles": template,
        "cycles": cycles,
        "limit": limit,
        "gap": cycles / limit - 1 if limit else None,
        "faster": template / cycles - 1 if template and cycles else None,
        "ms": cycles / clock_hz * 1e3,
        "clock_hz": clock_hz,
        "missing": [row["layer"] for row in rows if not row["cycles"]],
    }


def _row(simulator: Simulator, found: Found | None, executor: Executor | None) -> Row:
    from vtacsp.free import limit
    from vtacsp.timing.exhaustive import simulate_all

    bound = limit(simulator.workload, simulator.hardware, simulator.timing)
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"layer": simulator.workload.name, "limit": bound.cycles, "bound": bound.bound}
    row["count"] = simulator.workload.extra.get("count")
    if len(simulator.space):
        every = simulate_all(simulator, executor)
        row["index"] = int(simulator.space.indices[every.best])
        row["template_cycles"] = int(every.cycles[every.best])
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
