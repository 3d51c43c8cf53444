"""``vtacsp log``: what tuning logs hold; merging them and picking the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vtacsp.cli.knob_columns import KNOBS
from vtacsp.cli.options import output_options
from vtacsp.cli.output import Row, check_outputs, print_rows, wrote
from vtacsp.cli.selection import Selection, selection_options
from vtacsp.cli.terminal import say
from vtacsp.errors import LogError

if TYPE_CHECKING:
    from vtacsp.tune import Digest, LogLine, Record

__all__ = ["COMMANDS"]

SHOWN_PROBLEMS = 20  # lines of a file that are no records

LAYER = ("workload", "task", "machine", "device")
COUNTED = (*LAYER, "records", "configurations", "failed", "best_index", "best_seconds")
BEST = (*LAYER, "index", *KNOBS, "seconds")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@output_options
@click.option("--best", "best_only", is_flag=True, help="Only the fastest record of each layer.")
@click.option(
    "--merge",
    metavar="OUT",
    help="Also write a log: the fastest record per configuration, or with --best per layer.",
)
@selection_options
@click.option(
    "--assume",
    "assumed",
    metavar="DEVICE",
    help="What measured the records that do not say, such as AutoTVM's own.",
)
@click.option(
    "--for-vta",
    is_flag=True,
    help="With --merge: for VTA's own target, whatever device measured; of one device only.",
)
def log(
    files: tuple[str, ...],
    form: str,
    output: str | None,
    best_only: bool,
    merge: str | None,
    machines: tuple[str, ...],
    devices: tuple[str, ...],
    layers: tuple[str, ...],
    assumed: str | None,
    for_vta: bool,
) -> None:
    """What AutoTVM tuning logs hold: measurements, failures and the best of each layer.

    Machines and devices are kept apart.  --merge refuses records that AutoTVM would compare
    though one device may not have measured them.  Lines that are no VTA records are named on
    standard error, and --merge keeps them, unless records are selected.
    """
    from vtacsp.tune import (
        best_records,
        merge_records,
        records_for_vta,
        refuse_mixed,
        write_records,
    )

    selection = Selection(machines, devices, layers)
    if for_vta and merge is None:
        raise LogError("--for-vta goes with --merge")
    if selection and merge is not None and any(_same_file(merge, file) for file in files):
        raise LogError(f"--merge {merge} would drop what is not selected: write another file")

    check_outputs(output, merge)
    digest, others = _digest(files, assumed)
    records = selection.of(digest.records)
    groups = _layers(records)
    if for_vta:
        records = records_for_vta(records)
    best = best_records(records)
    if merge is not None:
        refuse_mixed(records)
        kept = best if best_only else merge_records(records)
        write_records(merge, kept, [] if selection else others)
        wrote(merge)
    columns: Sequence[str] = BEST if best_only else COUNTED
    if best_only:
        rows = [_record(record) for record in best]
    else:
        rows = [_counted(group, digest) for group in groups]
    if form == "table":
        rows = [_shown(row) for row in rows]
        columns = list(dict.fromkeys(key for row in rows for key in row))
    print_rows(rows, columns, form, output, ", ".join(files))


COMMANDS = (log,)


def _digest(files: Sequence[str], assumed: str | None) -> tuple[Digest, list[LogLine]]:
    """The records of logs, and their other lines, each once; says which are no records."""
    from vtacsp.tune import Digest, scan_log

    digest, others = Digest(), dict[str, "LogLine"]()
    for file in files:
        problems = 0
        for line in scan_log(file):
            if line.record is None:
                others[line.text] = line
            else:
                digest.add(line.record if assumed is None else line.record.measured_on(assumed))
            problems += bool(line.problem)
            if line.problem and problems <= SHOWN_PROBLEMS:
                what = "torn" if line.torn else "no VTA record"
                say(f"{file}, line {line.number}: {what}: {line.problem}")
        if problems > SHOWN_PROBLEMS:
            say(f"{file}: {problems - SHOWN_PROBLEMS:,} more lines like these")
    return digest, list(others.values())


def _same_file(one: str, other: str) -> bool:
    return Path(one).exists() and Path(other).exists() and Path(one).samefile(other)


def _layers(records: Sequence[Record]) -> list[list[Record]]:
    """Records by layer, machine and device, in order of appearance."""
    groups: dict[object, list[Record]] = {}
    for record in records:
        groups.setdefault(record.key, []).append(record)
    return list(groups.values())


def _counted(records: Sequence[Record], digest: Digest) -> Row:
    """Measurements, failures and the best of one layer; nothing is best where nothing ran."""
    best = min(records, key=lambda record: record.result.seconds)
    ran = best.result.ok
    return _layer(best) | {
        "records": sum(map(digest.count, records)),
        "configurations": len({record.index for record in records}),
        "failed": sum(map(digest.failed, records)),
        "best_index": best.index if ran else None,
        "best_seconds": best.result.seconds if ran else None,
    }


def _record(record: Record) -> Row:
    """A record: its layer, its configuration, its time."""
    config = {"index": record.index, **record.config}
    return _layer(record) | config | {"seconds": record.result.seconds}


def _layer(record: Record) -> Row:
    return {
        "workload": record.workload,
        "task": record.task.name,
        "machine": record.task.model,
        "device": record.device,
    }


def _shown(row: Row) -> Row:
    """A row for people: milliseconds, and words where nothing ran."""
    shown: Row = {}
    for name, value in row.items():
        if name.endswith("seconds"):
            text = "" if value is None else f"{value * 1e3:.4g}"
            shown[name.replace("seconds", "ms").replace("_", " ")] = text
        elif name == "best_index":
            shown["best index"] = "none runs" if value is None else value
        else:
            shown[name] = value
    return shown
