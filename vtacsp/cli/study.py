"""``vtacsp study``: validity, cost model and search, compared over layers, methods and seeds."""

from __future__ import annotations

import re
import shlex

import click

from vtacsp.cli.completion import complete_workload
from vtacsp.cli.layers import compile_all
from vtacsp.cli.options import hardware_option, jobs_option, load_hardware, load_layers
from vtacsp.cli.output import FORMATS, Row, print_rows, wrote
from vtacsp.cli.progress import stages
from vtacsp.cli.terminal import say
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload

__all__ = ["COMMANDS"]

QUICK = ("S4", "S8", "S10", "S12")
"""DeepBench layers whose feasible sets the simulator lists in seconds."""

MEANS = (
    *("source", "method", "kind", "layers", "best", "best_q1", "best_q3", "best_ratio"),
    *("best_taught_ratio", "near", "near_ratio", "failed", "compiled", "robust"),
)

TITLE = (
    "measurements until the best configuration (geometric means over layers); "
    "ratio: to AutoTVM's model search"
)


@click.command()
@click.argument("workloads", metavar="[WORKLOAD]...", nargs=-1, shell_complete=complete_workload)
@hardware_option
@click.option(
    "--output",
    "folder",
    metavar="DIR",
    default="study",
    show_default=True,
    help="Where results, tables and plots go; what is there is not done again.",
)
@click.option("--full", is_flag=True, help="Without WORKLOAD: every DeepBench layer that packs.")
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, metavar="N")
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="NAME",
    help="validity, model or search (repeatable); all when not given.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="A method of search, such as autotvm (repeatable); all when not given.",
)
@jobs_option
@click.option("--goals", is_flag=True, help="Also compare with what this project set out to reach.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
def study(
    workloads: tuple[str, ...],
    hardware_file: str | None,
    folder: str,
    full: bool,
    seeds: int,
    parts: tuple[str, ...],
    methods: tuple[str, ...],
    jobs: int | None,
    goals: bool,
    form: str,
) -> None:
    """Compare how searches find the best configuration, and why.

    Without WORKLOAD: ResNet-18 C2 to C11 on recorded RTL cycles, and DeepBench layers on the
    simulator.  Interrupted or run with more seeds, layers or methods, it goes on from DIR.
    Prints, per method, geometric means over the layers of the medians over seeds.
    """
    from vtacsp.study import METHODS, PARTS, Study, write_report
    from vtacsp.study.summary import SOURCES, Summary

    layers, hardware = _packed(workloads or _default(full), hardware_file)
    run = Study(
        folder,
        layers,
        hardware,
        seeds=seeds,
        methods=methods or tuple(METHODS),
        parts=parts or PARTS,
        command=shlex.join(_words(click.get_current_context())),
    )
    try:
        with stages(run.stages()) as advance:
            run.run(jobs, advance)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; the same command goes on from {folder}") from None
    page = write_report(run, goals=goals)
    summary = Summary(run)
    means = [{"source": s, **row} for s in SOURCES for row in summary.means(s)]
    rows = [{re.sub(r"\W", "_", key): n for key, n in row.items()} for row in means]
    if form != "table":
        print_rows(rows, MEANS, form, None)
    elif rows:
        print_rows([_shown(row) for row in rows], tuple(_shown(rows[0])), form, None, TITLE)
    if goals:
        for bar in summary.bars():
            say(f"{'met    ' if bar.met else 'not met'} {bar.text}: {bar.reached}")
    wrote(str(page))


def _shown(row: Row) -> Row:
    """The means of a method for people."""
    return {
        "cycles of": row["source"],
        "method": row["method"],
        "layers": row["layers"],
        "to the best": f"{row['best']:.1f}",
        "quartiles": f"{row['best_q1']:.1f} to {row['best_q3']:.1f}",
        "to within 1%": f"{row['near']:.1f}",
        "failed": f"{row['failed']:.0f}",
        "ratio": row["best_ratio"],
    }


def _words(context: click.Context) -> list[str]:
    """The command line again, without what does not change results."""
    given = context.params
    words = ["vtacsp", "study", *given["workloads"]]
    words += ["--hardware", given["hardware_file"]] if given["hardware_file"] else []
    words += ["--full"] if given["full"] else []
    words += ["--seeds", str(given["seeds"])]
    for option in ("part", "method"):
        words += [word for name in given[f"{option}s"] for word in (f"--{option}", name)]
    return words


def _default(full: bool) -> tuple[str, ...]:
    quick = tuple(f"deepbench.{name}" for name in QUICK)
    return ("resnet18", *(("deepbench",) if full else quick))


def _packed(names: tuple[str, ...], hardware_file: str | None) -> tuple[list[Workload], VTAConfig]:
    """The layers that have something to search, and the machine; others are named."""
    hardware = load_hardware(hardware_file)
    asked = [layer for name in names for layer in load_layers(name)[0]]
    compiled = compile_all(asked, hardware)
    compiled.end(feasible=any(map(len, compiled.results)))
    for space in compiled.results:
        if not len(space):
            say(f"skipped: {space.workload.name}: nothing is feasible")
    return [space.workload for space in compiled.results if len(space)], hardware


COMMANDS = (study,)
