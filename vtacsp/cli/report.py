"""``vtacsp report``: how much of each layer's grid is feasible, and what refuses the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vtacsp.cli.free_shown import BEYOND, BeyondRows, ReportBeyond
from vtacsp.cli.layers import each, nothing_packed
from vtacsp.cli.network import Asked, count_of, end, network_options, print_answer, solve_all
from vtacsp.cli.options import (
    hardware_option,
    jobs_option,
    output_options,
    stack_only_option,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, print_rows, rows_as_table, write, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.typed import typed_command
from vtacsp.errors import VtacspError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.value import Network
from vtacsp.operators.catalogue import all_catalogues
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace, compile
from vtacsp.space.statistics import SpaceStatistics, statistics

if TYPE_CHECKING:
    from vtacsp.network.answer import LayerAnswer
    from vtacsp.report.html import LayerOutcome
    from vtacsp.timing.model import TimingModel

__all__ = ["COMMANDS"]

MAIN = 2  # causes of a layer that a table shows
RULES = tuple(dict.fromkeys(rule.name for rules in all_catalogues().values() for rule in rules))
COUNTS = ("configurations", "programs", "feasible", "feasible_programs", "share")
COLUMNS = (
    *("workload", *COUNTS, "refused"),
    *(f"{group}.{rule}" for rule in RULES for group in ("first", "any")),
    "count",
)
NETWORK = ("layer", "n", "feasible", "share", "all runs", "main first causes")


@click.command()
@workload_argument
@hardware_option
@stack_only_option
@output_options
@network_options
@timing_options
@click.option("--html", metavar="FILE", help="Also write a page with maps, causes and occupancy.")
@click.option("--verbose", is_flag=True, help="In the table: programs, and every cause.")
@click.option(
    "--free",
    is_flag=True,
    help="Also search schedules beyond the template: its best, theirs, the limit, the gap.",
)
@click.option(
    "--schedules",
    metavar="FILE",
    help="The same with schedules of `best --free --save` or `tune`; only with --free those that "
    "it lacks are searched.",
)
@jobs_option
def report(
    workload: str,
    hardware_file: str | None,
    stack_only: bool,
    form: str,
    output: str | None,
    html: str | None,
    verbose: bool,
    free: bool,
    schedules: str | None,
    jobs: int | None,
    preset: str,
    overrides: tuple[str, ...],
    asked: Asked,
) -> None:
    """How much of each layer's grid is feasible, and what refuses the rest.

    Cycles, of a network, on the page and with --free, are those of --preset and --timing.
    """
    timing = timing_model(preset, overrides)
    layers, hardware = asked.find(workload, hardware_file, timing)
    check_outputs(output, html)
    beyond = ReportBeyond.of(free, schedules, jobs, hardware, timing)
    if isinstance(layers, Network):
        if stack_only or verbose:
            raise VtacspError("--stack-only and --verbose go with workloads, this is a network")
        _network(layers, hardware, timing, form, output, html, beyond, schedules)
        return
    if html is None and beyond is None and (overrides or preset != "rtl"):
        given = f"--timing {overrides[0]}" if overrides else f"--preset {preset}"
        raise VtacspError(
            f"{given:.80}: nothing is timed; --preset and --timing go with networks, --html, "
            "--free and --schedules"
        )
    if beyond is not None and stack_only:
        raise VtacspError("--stack-only does not go with --free and --schedules")

    def count(layer: Workload) -> LayerOutcome:
        space = compile(layer, hardware, stack_only=stack_only)
        statistics(space)
        return layer, space

    done = each(layers, count, lambda layer, refusal: (layer, refusal))
    title = f"{workload} on {hardware}"
    title += "" if verbose else "\nall causes: --verbose, --format csv, --html"
    title += "" if done.interrupted else _total(done.results)
    spaces = [space for _, space in done.results if isinstance(space, FeasibleSpace)]
    more = BeyondRows()
    if beyond is not None and not done.interrupted:
        more = beyond.rows(spaces)
        done.interrupted = more.interrupted
    if form == "table":
        rows = [_shown(*outcome, verbose) for outcome in done.results]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = rows_as_table(rows, columns, title, to_file=output is not None)
        write(text + more.text(schedules, to_file=output is not None), output)
    else:
        rows = [{**_row(*outcome), **more.keys(outcome[0].name)} for outcome in done.results]
        print_rows(rows, (*COLUMNS, *BEYOND), form, output)
    if html is not None and not done.interrupted:
        from vtacsp.report.html import render
        from vtacsp.report.origin import Origin

        origin = Origin.now(typed_command())
        write(
            render(workload, done.results, hardware, origin, beyond=more.page(), timing=timing),
            html,
        )
        wrote(html)
    if not spaces and not done.interrupted:
        raise nothing_packed()
    done.end(feasible=any(map(len, spaces)))


def _network(
    network: Network,
    hardware: VTAConfig,
    timing: TimingModel,
    form: str,
    output: str | None,
    html: str | None,
    beyond: ReportBeyond | None,
    schedules: str | None,
) -> None:
    """Counts, causes and the fastest configuration of every layer, with the totals."""
    answer, done = solve_all(network, hardware, timing, None)
    more = BeyondRows()
    if beyond is not None and not done.interrupted:
        more = beyond.rows_of(answer)
        done.interrupted = more.interrupted

    def extra(layer: LayerAnswer) -> Row:
        return {} if form == "table" else more.keys(layer.layer.name)

    below = more.text(schedules, to_file=output is not None)
    print_answer(answer, form, output, NETWORK, extra, BEYOND, total=more.total(), below=below)
    if html is not None and not done.interrupted:
        from vtacsp.report.html import render
        from vtacsp.report.origin import Origin

        found: list[LayerOutcome] = [
            (x.layer.workload, x.space if x.space is not None else WorkloadError(x.refused))
            for x in answer.layers
        ]
        origin = Origin.now(typed_command())
        write(render(network.name, found, hardware, origin, answer, more.page(), timing), html)
        wrote(html)
    end(done, answer)


def _total(outcomes: Sequence[LayerOutcome]) -> str:
    """A line with the sums over the layers, and how often a network has them; of one layer none."""
    found = [statistics(space) for _, space in outcomes if isinstance(space, FeasibleSpace)]
    if len(outcomes) < 2 or not found:
        return ""
    size, feasible = sum(c.size for c in found), sum(c.feasible for c in found)
    counts = [n for layer, _ in outcomes if (n := count_of(layer)) is not None]
    runs = f", {sum(counts):,} with their counts" if len(counts) == len(outcomes) else ""
    missing = len(outcomes) - len(found)
    return (
        f"\n{len(outcomes):,} layers{runs}: {feasible:,} of {size:,} configurations feasible, "
        f"{feasible / size:.1%}" + (f" ({missing:,} refused)" if missing else "")
    )


def _row(layer: Workload, space: FeasibleSpace | WorkloadError) -> Row:
    """A layer for programs: one that cannot be packed has a reason and no numbers."""
    if isinstance(space, WorkloadError):
        return {"workload": layer.name, "refused": str(space)}
    counts = statistics(space)
    return {
        "workload": layer.name,
        "configurations": counts.size,
        "programs": counts.programs,
        "feasible": counts.feasible,
        "feasible_programs": counts.feasible_programs,
        "share": counts.share,
        "first": {rule: counts.first.get(rule, 0) for rule in RULES},
        "any": {rule: counts.any.get(rule, 0) for rule in RULES},
        "count": layer.extra.get("count"),
    }


def _shown(layer: Workload, space: FeasibleSpace | WorkloadError, verbose: bool) -> Row:
    """A layer for people, in 80 columns unless they ask for everything."""
    if isinstance(space, WorkloadError):
        reason = str(space).removeprefix(f"{layer.name}: ")
        return {"layer": layer.name, "grid": "", "feasible": "", "share": "", _why(verbose): reason}
    counts = statistics(space)
    row: Row = {"layer": layer.name, "grid": counts.size}
    if verbose:
        row["programs"] = counts.programs
    row["feasible"] = counts.feasible
    if verbose:
        row["feasible programs"] = counts.feasible_programs
    return {**row, "share": counts.share, _why(verbose): _causes(counts, verbose)}


def _why(verbose: bool) -> str:
    return "refused by (first cause / any cause)" if verbose else "main first causes"


def _causes(counts: SpaceStatistics, verbose: bool) -> str:
    names: Sequence[str] = sorted(
        counts.any, key=lambda name: (-counts.first.get(name, 0), -counts.any[name])
    )
    if verbose:
        return ", ".join(f"{n} {counts.first.get(n, 0):,}/{counts.any[n]:,}" for n in names)
    shown = [f"{n} {counts.first[n]:,}" for n in names[:MAIN] if n in counts.first]
    return ", ".join(shown)


COMMANDS = (report,)
