"""Free schedules on the command line: read from files and arguments, and as rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vtacsp.cli.options import STDIN
from vtacsp.cli.output import Row
from vtacsp.errors import ScheduleError, VtacspError, shortened
from vtacsp.files import parse_json, read_text

if TYPE_CHECKING:
    from vtacsp.free import Schedule
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.timing.model import TimingModel

__all__ = [
    "SCHEDULE",
    "check_free",
    "free_option",
    "layer_of_file",
    "one_schedule",
    "schedule_option",
    "schedule_row",
    "schedules_of",
    "shown_schedule",
]

F = TypeVar("F", bound=Callable[..., Any])

SCHEDULE = ("workload", "schedule")
"""The columns that a row about a schedule has, whatever the command."""

free_option = click.option(
    "--free", is_flag=True, help="Free schedules, beyond the template, in place of configurations."
)

schedule_option = click.option(
    "--schedule",
    "schedules",
    metavar="FILE|JSON",
    multiple=True,
    help="With --free: a schedule in JSON, or a file of them: what `sample --free` and `best "
    "--free --save` write (repeatable).",
)


def check_free(free: bool, needs: Mapping[str, object], excludes: Mapping[str, object]) -> None:
    """Refuse options that go with free schedules only, or not with them; by option its value.

    Raises :class:`~vtacsp.errors.VtacspError`.
    """
    for name, value in (excludes if free else needs).items():
        if value:
            given = f" {shortened(value)}" if isinstance(value, str) else ""
            if isinstance(value, tuple):
                given = f" {shortened(value[0])}" if isinstance(value[0], str) else f" {value[0]}"
            how = "does not go with --free" if free else "goes with --free"
            raise VtacspError(f"{name}{given} {how}")


def schedules_of(
    sources: Sequence[str],
    layer: str,
    machine: VTAConfig,
    timing: TimingModel | None = None,
) -> list[Schedule]:
    """The schedules of a layer: of texts in JSON, and of files.

    A file holds a schedule, a list of rows that have one under ``schedule``, or such rows line by
    line (as a :class:`~vtacsp.tune.ScheduleLog` does).  Rows of other layers are left out; where
    one has the layer for several machines or timing models, so are those of others.  Raises
    :class:`~vtacsp.errors.ScheduleError`.
    """
    from vtacsp.free import Schedule

    found: list[Schedule] = []
    for source in sources:
        inline = source.lstrip()[:1] in ("{", "[")
        name = "--schedule" if inline else source
        text = source if inline else read_text(STDIN if source == "-" else source, ScheduleError)
        rows = _of(_rows(text, name), layer, machine, timing)
        if not rows:
            raise ScheduleError(f"{name} has 0 schedules of layer {shortened(layer)}")
        for row in rows:
            try:
                found.append(Schedule.from_dict(row.get("schedule", row)))
            except ScheduleError as error:
                raise ScheduleError(f"{name}: {error}") from None
    return found


def one_schedule(source: str, layer: str, machine: VTAConfig, timing: TimingModel) -> Schedule:
    """The one schedule of a layer that a text or a file has; raises as :func:`schedules_of`."""
    found = schedules_of([source], layer, machine, timing)
    if len(found) != 1:
        raise ScheduleError(f"{source} has {len(found)} schedules of layer {shortened(layer)}")
    return found[0]


def layer_of_file(file: str) -> str | None:
    """The layer whose schedules a file has, by the name in its rows; None when it names none.

    Raises :class:`~vtacsp.errors.ScheduleError` when its rows are of several layers.
    """
    if not Path(file).is_file():
        return None
    try:
        rows = _rows(read_text(file, ScheduleError), file)
    except ScheduleError:
        return None  # no schedules: whoever reads it as something else says what is wrong
    named = dict.fromkeys(
        name
        for row in rows
        if isinstance(row, Mapping) and row.get("schedule") is not None
        for name in (row.get("layer", row.get("workload")),)
        if isinstance(name, str)
    )
    if len(named) > 1:
        raise ScheduleError(f"{file} has schedules of {len(named)} layers: say which one, as in "
                            f"`export {shortened(next(iter(named)))} {file}`")  # fmt: skip
    return next(iter(named), None)


def _rows(text: str, name: str) -> list[Any]:
    """The JSON values of a text: one, a list, or one per line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) > 1 and all(line.lstrip().startswith("{") for line in lines):
        return [
            parse_json(line, f"{name}, line {number}", ScheduleError)
            for number, line in enumerate(lines, 1)
        ]
    data = parse_json(text, name, ScheduleError)
    return data if isinstance(data, list) else [data]


def _of(
    rows: Iterable[Any], layer: str, machine: VTAConfig, timing: TimingModel | None
) -> list[Any]:
    """The rows that are schedules of a layer, on this machine where they say one."""
    mine = []
    for row in rows:
        if not isinstance(row, Mapping):
            raise ScheduleError(f"a schedule is a JSON object, got {shortened(row)}")
        named = row.get("layer", row.get("workload"))
        if "schedule" in row and (row["schedule"] is None or named not in (None, layer)):
            continue
        mine.append(row)
    if len(mine) > 1:
        here = machine.to_dict()
        mine = [row for row in mine if row.get("hardware", here) == here]
    if len(mine) > 1 and timing is not None:
        mine = [row for row in mine if row.get("timing", timing.name) == timing.name]
    return mine


def schedule_row(layer: str, schedule: Schedule, form: str) -> Row:
    """A schedule as a row: in CSV as JSON text, in JSON as an object, for people in words."""
    data: Any = schedule.to_dict()
    if form == "table":
        return {"layer": layer, "schedule": str(schedule)}
    return {"workload": layer, "schedule": json.dumps(data) if form == "csv" else data}


def shown_schedule(rows: Sequence[Row], named: bool) -> list[Row]:
    """Rows for people; the layer is said where there are several."""
    return [{k: v for k, v in row.items() if named or k != "layer"} for row in rows]
