"""``vtacsp study``: validity, cost model and search, compared over layers, methods and seeds."""

from __future__ import annotations

import shlex
import sys

import click

from vtacsp.cli.layers import NOTHING_FEASIBLE, progress
from vtacsp.cli.options import hardware_option, load_hardware
from vtacsp.cli.tuning import INTERRUPTED
from vtacsp.errors import SpaceError, WorkloadError
from vtacsp.hardware import VTAConfig
from vtacsp.space.feasible import compile
from vtacsp.suites import find_workloads
from vtacsp.workload import Workload

__all__ = ["COMMANDS"]

QUICK = ("S4", "S8", "S10", "S12")
"""DeepBench layers whose feasible sets the simulator lists in seconds."""


@click.command()
@click.argument("workloads", metavar="[WORKLOAD]...", nargs=-1)
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
@click.option("--seeds", type=int, default=20, show_default=True, metavar="N")
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
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Worker processes; all cores by default."
)
def study(
    workloads: tuple[str, ...],
    hardware_file: str | None,
    folder: str,
    full: bool,
    seeds: int,
    parts: tuple[str, ...],
    methods: tuple[str, ...],
    jobs: int | None,
) -> None:
    """Compare how searches find the best configuration, and why.

    Without WORKLOAD: ResNet-18 C2 to C11 on recorded RTL cycles, and DeepBench layers on the
    simulator.  Interrupted or run with more seeds, layers or methods, it goes on from DIR.
    """
    from vtacsp.study import METHODS, PARTS, Study, write_report
    from vtacsp.study.summary import Summary

    hardware = load_hardware(hardware_file)
    layers = _packed(workloads or _default(full), hardware)
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
        with progress(run.pending(), "runs") as advance:
            run.run(jobs, advance)
    except KeyboardInterrupt:
        click.echo(f"interrupted; the same command goes on from {folder}", err=True)
        sys.exit(INTERRUPTED)
    page = write_report(run)
    for bar in Summary(run).bars():
        click.echo(f"{'met    ' if bar.met else 'NOT MET'} {bar.text}: {bar.reached}")
    click.echo(f"{page}")


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


def _packed(names: tuple[str, ...], hardware: VTAConfig) -> list[Workload]:
    """The layers that have something to search; the others are named on standard error."""
    found = []
    for layer in (layer for name in names for layer in find_workloads(name)):
        try:
            if not len(compile(layer, hardware)):
                raise SpaceError(f"{layer.name}: nothing is feasible")
        except (WorkloadError, SpaceError) as refusal:
            click.echo(f"skipped: {refusal}", err=True)
            continue
        found.append(layer)
    if not found:
        sys.exit(NOTHING_FEASIBLE)
    return found


COMMANDS = (study,)
