"""``vtacsp best --free`` under rules of one's own: the fastest of that space, and a proof."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from textwrap import fill
from typing import TYPE_CHECKING

from vtacsp.cli.free import template_of
from vtacsp.cli.layers import each
from vtacsp.cli.network import short
from vtacsp.cli.output import Row, print_rows, rows_as_table, write, wrote
from vtacsp.cli.own_rules import OwnRules
from vtacsp.cli.terminal import printable, say, width
from vtacsp.errors import SpaceError
from vtacsp.files import write_text

if TYPE_CHECKING:
    from vtacsp.free import Proven
    from vtacsp.timing.simulator import Simulator

__all__ = ["best_under"]

COLUMNS = ("layer", "index", "template_cycles", "cycles", "least", "proven_gap", "optimal", "limit",
           "gap", "simulated", "schedule", "count")  # fmt: skip
TABLE = ("layer", "template", "free", "no less than", "limit", "gap")
SECONDS = 10.0
"""Of CP-SAT, in its own measure, for the bound of a space too large to go through."""


def best_under(
    simulators: Sequence[Simulator],
    own: OwnRules,
    gap: float,
    seed: int,
    executor: Executor | None,
    title: str,
    form: str,
    output: str | None,
    save: str | None,
) -> None:
    """Search every layer in the space that the rules leave, and prove what can be proven.

    The rows are of free schedules only: the template's best need not keep the rules.
    """
    from vtacsp.free.search import compile_search

    own.of_free()  # raises before the work
    tasks: dict[int, Future[Proven | None]] = {}
    if executor is not None:
        compile_search()
        for place, simulator in enumerate(simulators):
            tasks[place] = executor.submit(_search, simulator, own, gap, seed)

    def one(place: int) -> tuple[Row, str]:
        simulator, task = simulators[place], tasks.get(place)
        found = _search(simulator, own, gap, seed) if task is None else task.result()
        row = _row(simulator, found, template_of(simulator, executor))
        return row, "" if found is None else f"{row['layer']}: {found}"

    done = each(range(len(simulators)), one)
    rows = [row for row, _ in done.results]
    if save is not None:
        _save(rows, simulators, own, seed, save)
    if form == "table":
        shown = [
            {**row, "layer": short(row["layer"]), "template": row["template_cycles"],
             "free": row["cycles"], "no less than": row["least"]}
            for row in rows
        ]  # fmt: skip
        title += "\nfree: the fastest schedule found under your rules; gap: of it to the limit"
        title += "\nno less than: no schedule of the space under your rules needs fewer cycles"
        title += "\nlimit: no program of the instruction set does"
        text = rows_as_table([{c: r.get(c) for c in TABLE} for r in shown], TABLE, title,
                     to_file=output is not None)  # fmt: skip
        lines = [fill(printable(line), width()) for _, line in done.results if line]
        write(text + "".join(f"{line}\n" for line in lines), output)
    else:
        named = [{**r, "schedule": str(r["schedule"]) if r["schedule"] else None} for r in rows]
        print_rows(named, COLUMNS, form, output)
    wrote(save)
    done.end(feasible=any(row["cycles"] for row in rows))


def _search(simulator: Simulator, own: OwnRules, gap: float, seed: int) -> Proven | None:
    """A task of an executor; None when nothing was found that can run."""
    from vtacsp.free import best, search
    from vtacsp.free.space import LISTABLE

    space = own.space(simulator.workload, simulator.hardware)
    start = []
    try:
        if space.points.count() > LISTABLE:
            found = search(
                simulator.workload, simulator.hardware, simulator.timing, gap=gap, seed=seed,
                within=space,
            )  # fmt: skip
            start = [found.schedule]
        small = space.points.count() <= LISTABLE
        return best(
            space, simulator.timing, gap=0.0 if small else gap, start=start, seed=seed,
            seconds=SECONDS, **({"simulations": LISTABLE} if small else {}),
        )  # fmt: skip
    except SpaceError as nothing:
        say(f"nothing under your rules: {nothing}")
        return None


def _row(
    simulator: Simulator, found: Proven | None, template: tuple[int | None, int | None]
) -> Row:
    from vtacsp.free import limit

    layer = simulator.workload
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"layer": layer.name, "count": layer.extra.get("count")}
    row["index"], row["template_cycles"] = template
    row["limit"] = limit(layer, simulator.hardware, simulator.timing).cycles
    if found is not None:
        row |= {
            "cycles": found.cycles,
            "least": found.least,
            "proven_gap": found.gap,
            "optimal": int(found.optimal),
            "gap": found.cycles / found.limit - 1,
            "simulated": found.simulated,
            "schedule": found.schedule,
        }
    return row


def _save(
    rows: Sequence[Row], simulators: Sequence[Simulator], own: OwnRules, seed: int, path: str
) -> None:
    """The rows with their schedules as objects; no search goes on from them."""
    data = [
        {
            **row,
            "schedule": None if row["schedule"] is None else row["schedule"].to_dict(),
            "rules": list(own.rules),
            "fixed": list(own.fixed),
            "seed": seed,
            "timing": simulator.timing.name,
            "hardware": simulator.hardware.to_dict(),
            "workload": simulator.workload.to_dict(),
        }
        for row, simulator in zip(rows, simulators, strict=False)
    ]
    write_text(path, json.dumps(data, indent=1) + "\n")
