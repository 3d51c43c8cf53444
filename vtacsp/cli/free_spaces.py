"""What ``sample``, ``check``, ``explain``, ``neighbours`` and ``simulate`` do with ``--free``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vtacsp.causes import OK
from vtacsp.cli.layers import NOTHING_FEASIBLE, Done, each
from vtacsp.cli.options import load_layers
from vtacsp.cli.output import Row, check_outputs, print_rows, write
from vtacsp.cli.own_rules import OwnRules
from vtacsp.cli.schedules import SCHEDULE, schedule_row, schedules_of, shown_schedule
from vtacsp.cli.terminal import printable
from vtacsp.errors import VtacspError

if TYPE_CHECKING:
    from vtacsp.free import FreeSpace, Schedule, ScheduleExplanation
    from vtacsp.operators.workload import Workload

__all__ = ["check_schedules", "explain_schedules", "neighbours_of_schedules", "sample_schedules"]

CHECKED = (*SCHEDULE, "number", "feasible", "cause")
REASONS = ("workload", "number", "cause", "rule", "message", "remedy", "nearest")
NEAR = (*SCHEDULE, "number", "changed")


def sample_schedules(
    workload: str,
    hardware_file: str | None,
    own: OwnRules,
    number: int,
    seed: int,
    form: str,
    output: str | None,
) -> None:
    """Schedules that can run, each as likely as any other; of every layer ``number``."""
    layers, machine = load_layers(workload, hardware_file)
    check_outputs(output)

    def draw(layer: Workload) -> list[Row]:
        space = own.space(layer, machine)
        return [schedule_row(layer.name, found, form) for found in space.sample(number, seed)]

    done = each(layers, draw)
    _print([row for rows in done.results for row in rows], SCHEDULE, form, output, len(layers))
    done.end()


def check_schedules(
    workload: str,
    hardware_file: str | None,
    own: OwnRules,
    sources: Sequence[str],
    form: str,
    output: str | None,
) -> None:
    """Whether schedules can run, and the rule that refuses them first."""

    def judge(space: FreeSpace, number: int, schedule: Schedule) -> list[Row]:
        cause = space.explain(schedule).cause
        row = schedule_row(space.workload.name, schedule, form)
        verdict = {"number": number, "feasible": int(cause == OK), "cause": cause}
        return [{**verdict, **row} if form == "table" else {**row, **verdict}]

    done, several = _of_each(workload, hardware_file, own, sources, output, judge)
    rows = [row for rows in done.results for row in rows]
    _print(rows, CHECKED, form, output, several)
    done.end()
    if not any(row["feasible"] for row in rows):
        sys.exit(NOTHING_FEASIBLE)


def explain_schedules(
    workload: str,
    hardware_file: str | None,
    own: OwnRules,
    sources: Sequence[str],
    form: str,
    output: str | None,
    words: str,
) -> None:
    """Every rule that schedules break, with numbers, and what would have to change."""
    told: list[str] = []

    def explain(space: FreeSpace, number: int, schedule: Schedule) -> list[Row]:
        found = space.explain(schedule)
        told.append(f"{space.workload.name}: schedule {number}: {found}")
        return _reasons(space.workload.name, number, found, form)

    done, _ = _of_each(workload, hardware_file, own, sources, output, explain)
    if form == "table":
        write(printable("\n".join([*told, words])) + "\n", output)
    else:
        print_rows([row for rows in done.results for row in rows], REASONS, form, output)
    done.end()


def _reasons(layer: str, number: int, found: ScheduleExplanation, form: str) -> list[Row]:
    """A row per broken rule; one without a rule for a schedule that can run."""
    nearest = None if found.nearest is None else found.nearest.to_dict()
    head: Row = {
        "workload": layer,
        "number": number,
        "cause": found.cause,
        "nearest": json.dumps(nearest) if nearest is not None and form == "csv" else nearest,
    }
    broken = [
        {**head, "rule": v.rule, "message": v.message, "remedy": v.remedy or None}
        for v in found.violations
    ]
    return broken or [head]


def neighbours_of_schedules(
    workload: str,
    hardware_file: str | None,
    own: OwnRules,
    sources: Sequence[str],
    form: str,
    output: str | None,
) -> None:
    """What can run and differs from schedules by one step of one field."""
    from vtacsp.free.schedule_fields import FIELDS

    def near(space: FreeSpace, number: int, schedule: Schedule) -> list[Row]:
        rows = []
        for other in space.neighbours(schedule):
            names = [n for n in FIELDS if getattr(other, n) != getattr(schedule, n)]
            row = schedule_row(space.workload.name, other, form)
            rows.append({"number": number, "changed": " ".join(names), **row})
        return rows

    done, several = _of_each(workload, hardware_file, own, sources, output, near)
    _print([row for rows in done.results for row in rows], NEAR, form, output, several)
    done.end()


def _of_each(
    workload: str,
    hardware_file: str | None,
    own: OwnRules,
    sources: Sequence[str],
    output: str | None,
    work: Callable[[FreeSpace, int, Schedule], list[Row]],
) -> tuple[Done[list[Row]], int]:
    """Rows of the schedules of every layer, and how many layers there are."""
    if not sources:
        raise VtacspError("choose schedules with --schedule FILE or --schedule JSON")
    layers, machine = load_layers(workload, hardware_file)
    check_outputs(output)

    def rows(layer: Workload) -> list[Row]:
        space = own.space(layer, machine)
        schedules = schedules_of(sources, layer.name, machine)
        return [row for n, schedule in enumerate(schedules, 1) for row in work(space, n, schedule)]

    return each(layers, rows), len(layers)


def _print(
    rows: Sequence[Row], columns: Sequence[str], form: str, output: str | None, layers: int
) -> None:
    if form == "table":
        shown = shown_schedule(rows, layers > 1)
        columns = list(dict.fromkeys(key for row in shown for key in row)) or ["schedule"]
        print_rows(shown, columns, form, output)
    else:
        print_rows(rows, columns, form, output)
