"""Commands about a space as a whole and around a point of it: ``count`` and ``neighbours``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click
import numpy as np

from vtacsp.cli.free_spaces import neighbours_of_schedules
from vtacsp.cli.knob_columns import CONFIG, chosen, config_rows, config_shown
from vtacsp.cli.layers import each
from vtacsp.cli.options import (
    hardware_option,
    index_option,
    knob_option,
    load_layers,
    output_options,
    seed_option,
    stack_only_option,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, print_rows, write
from vtacsp.cli.own_rules import OwnRules, own_rules_options
from vtacsp.cli.schedules import check_free, free_option, schedule_option
from vtacsp.cli.terminal import width
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import compile

if TYPE_CHECKING:
    from vtacsp.free import Count

__all__ = ["COMMANDS"]

SAMPLES = 2000
"""Points that are drawn of a space too large to list, as :mod:`vtacsp.free.space` does."""

COUNTED = ("workload", "space", "points", "feasible", "share", "exact", "samples", "hits",
           "standard_error")  # fmt: skip


@click.command()
@workload_argument
@hardware_option
@stack_only_option
@output_options
@free_option
@own_rules_options
@click.option(
    "--samples",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help=f"With --free: points that are drawn where they are too many to look at each.  "
    f"[default: {SAMPLES}]",
)
@seed_option
def count(
    workload: str,
    hardware_file: str | None,
    stack_only: bool,
    form: str,
    output: str | None,
    free: bool,
    samples: int | None,
    seed: int,
    own: OwnRules,
) -> None:
    """How many configurations, or free schedules, a layer has, and how many of them can run.

    Of configurations that is exact.  Free schedules are far too many to look at each: the points
    are counted exactly, and which share of them can run is estimated from some drawn at random,
    with its standard error.  Up to 20,000 points (--fix leaves fewer) each is looked at.
    """
    check_free(free, {"--samples": samples and str(samples)}, {"--stack-only": stack_only})
    layers, machine = load_layers(workload, hardware_file)
    check_outputs(output)

    def counted(layer: Workload) -> tuple[Row, str]:
        if free:
            found = own.space(layer, machine).count(samples or SAMPLES, seed)
            return _free_row(layer.name, found), f"{layer.name}: {found}"
        space = compile(layer, machine, own.of_template(), stack_only=stack_only)
        points = len(space.knob_space)
        row = {"workload": layer.name, "space": "template", "points": points,
               "feasible": len(space), "share": len(space) / points if points else None,
               "exact": 1}  # fmt: skip
        return row, f"{layer.name}: {len(space):,} of {points:,} configurations can run (exact)"

    done = each(layers, counted)
    if form == "table":
        from textwrap import fill

        lines = [fill(text, width(), subsequent_indent="  ") for _, text in done.results]
        write("\n".join(lines) + "\n", output)
    else:
        print_rows([row for row, _ in done.results], COUNTED, form, output)
    done.end(feasible=any(_may_run(row) for row, _ in done.results))


def _free_row(layer: str, found: Count) -> Row:
    row: Row = {
        "workload": layer,
        "space": "free",
        "points": found.points,
        "feasible": found.feasible,
        "share": found.feasible / found.points if found.points else None,
        "exact": int(found.exact),
    }
    if not found.exact:
        error = found.standard_error
        row |= {
            "samples": found.samples,
            "hits": found.hits,
            "standard_error": error if math.isfinite(error) else None,
        }
    return row


def _may_run(row: Row) -> bool:
    """Whether anything can run, as far as is known: none of a sample is no proof."""
    return bool(row["feasible"]) or not row["exact"]


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
@free_option
@schedule_option
@own_rules_options
def neighbours(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    free: bool,
    schedules: tuple[str, ...],
    own: OwnRules,
) -> None:
    """What can run and differs from a configuration in one knob, or from a schedule in one field.

    Of a configuration all values of a knob, of a schedule the next ones of a field.
    """
    check_free(free, {"--schedule": schedules}, {"--index": indices, "--knob": knobs})
    if free:
        neighbours_of_schedules(workload, hardware_file, own, schedules, form, output)
        return
    layers, machine = load_layers(workload, hardware_file)
    check_outputs(output)

    def near(layer: Workload) -> list[Row]:
        space = compile(layer, machine, own.of_template())
        rows = []
        for index in chosen(space.knob_space, indices, knobs, None).tolist():
            around = [space.knob_space.index(config) for config in space.neighbours(index)]
            found = config_rows(space.problem, np.array(sorted(around), dtype=np.int64))
            rows += [{**row, "of": index} for row in found]
        return rows

    done = each(layers, near)
    rows = [row for rows in done.results for row in rows]
    if form == "table":
        shown = [config_shown(row, len(layers) > 1) for row in rows]
        columns = list(dict.fromkeys(key for row in shown for key in row)) or ["index"]
        print_rows(shown, columns, form, output)
    else:
        print_rows(rows, (*CONFIG, "of"), form, output)
    done.end()


COMMANDS = (count, neighbours)
