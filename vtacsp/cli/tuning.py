"""``vtacsp tune``: search every layer for its fastest configuration, measuring what can run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vtacsp.cli.budget import TimeBudget
from vtacsp.cli.cut_loads import say_cut_loads
from vtacsp.cli.cycles import pack_all
from vtacsp.cli.free_shown import BEYOND, BesideLog, BeyondRows
from vtacsp.cli.layers import NOTHING_FEASIBLE, exit_infeasible
from vtacsp.cli.live import Live
from vtacsp.cli.network import (
    Asked,
    network_options,
    suite_total,
)
from vtacsp.cli.number import Number
from vtacsp.cli.options import hardware_option, output_options, seed_option, workload_argument
from vtacsp.cli.output import check_outputs, print_rows, rows_as_table, write, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.scheduler import scheduler_client
from vtacsp.cli.terminal import say
from vtacsp.cli.tuned_network import Outputs, tune_network_here
from vtacsp.cli.tuned_rows import COLUMNS, SHOWN, best_index, row_of, shown_row
from vtacsp.cli.tuning_search import AskedSearch, say_measured, say_nameless, shown_on
from vtacsp.cli.typed import typed_command
from vtacsp.errors import VtacspError
from vtacsp.network.layer_search import (
    FIRST,
    INITIAL,
    SEARCHERS,
    SPACES,
    TRIALS,
    LayerSearch,
)
from vtacsp.network.value import Network
from vtacsp.stopping import FREE_GAP, TEMPLATE_GAP

if TYPE_CHECKING:
    from vtacsp.network.lanes import Lanes
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import TuningLog, TuningResult

__all__ = ["COMMANDS"]

ENDLESS = 1 << 40  # trials of a layer when time is what ends it

YEAR = 525_600  # minutes


@click.command()
@workload_argument
@hardware_option
@output_options
@click.option(
    "--trials",
    type=click.IntRange(1),
    metavar="N",
    help=f"Measurements per layer at most; those in the log count.  [default: {TRIALS}; no limit "
    "with --minutes]",
)
@click.option(
    "--minutes",
    type=Number(0, YEAR, min_open=True),
    metavar="N",
    help="Time for all layers: each has an equal part of what is left, and at least one "
    "measurement. The same command goes on from the log.",
)
@click.option(
    "--early-stopping",
    type=click.IntRange(1),
    metavar="N",
    help="End a layer after N measurements without a new best.",
)
@click.option(
    "--gap",
    type=Number(0, 100),
    default=100 * TEMPLATE_GAP,
    show_default=True,
    metavar="PERCENT",
    help="Stop a layer that close to its lower bound: no configuration is faster than that.",
)
@click.option(
    "--init",
    "initial",
    type=click.Choice(INITIAL),
    default="analytic",
    show_default=True,
    help=f"The first {FIRST}: of lowest analytic cycle bound, far apart, random, of lowest "
    "cycles on the simulated RTL, or left to the searcher.",
)
@click.option("--searcher", type=click.Choice(SEARCHERS), default="model", show_default=True)
@click.option(
    "--space",
    type=click.Choice(SPACES),
    default="feasible",
    show_default=True,
    help="Propose what can run, or anything, as AutoTVM does.",
)
@seed_option
@click.option(
    "--log",
    default="vtacsp.log",
    show_default=True,
    metavar="FILE",
    help="AutoTVM's tuning log, appended to; what it holds is not measured again.",
)
@click.option(
    "--assume",
    "assumed",
    metavar="DEVICE",
    help="What measured the records of the log that do not say, such as AutoTVM's own; they are "
    "left out otherwise.",
)
@click.option("--html", metavar="FILE", help="Also write a page with curves, maps and timelines.")
@click.option(
    "--best-log",
    metavar="FILE",
    help="Of a network: also write a log with one record per AutoTVM task, for TVM to compile "
    "with.",
)
@network_options
@timing_options
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Worker processes: each searches one of the layers, or all measure for the only one. 1 "
    "searches in this process.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Search on the workers of a Dask scheduler, tcp://HOST:PORT: a layer per thread, or the "
    "configurations of the only one.",
)
@click.option(
    "--free/--no-free",
    default=True,
    show_default=True,
    help="Then search schedules beyond the template too, and save them beside the log, in "
    "LOG.free.json. They have what --minutes leaves.",
)
@click.option(
    "--free-gap",
    type=Number(0, 100),
    metavar="PERCENT",
    help=f"Stop that search so close to the limit of the machine.  [default: {100 * FREE_GAP:g}]",
)
def tune(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    trials: int | None,
    minutes: float | None,
    early_stopping: int | None,
    initial: str,
    searcher: str,
    space: str,
    seed: int,
    log: str,
    assumed: str | None,
    html: str | None,
    best_log: str | None,
    gap: float,
    preset: str,
    overrides: tuple[str, ...],
    jobs: int,
    scheduler: str | None,
    free: bool,
    free_gap: float | None,
    asked: Asked,
) -> None:
    """The best configuration of each layer, by measuring on the simulated accelerator.

    Only what can run is measured.  Every result goes to the log at once; Ctrl-C ends the search
    and keeps everything, the next run goes on where it was.  Then come schedules beyond the
    template, and how far the fastest program is from the limit of the machine.
    """
    check_outputs(html, output, log, best_log)
    if free_gap is not None and not free:
        raise VtacspError("--free-gap goes with --free")
    if scheduler is not None and jobs > 1:
        raise VtacspError("--jobs and --scheduler cannot both measure")
    budget = TimeBudget(minutes)
    most = trials or (TRIALS if minutes is None else ENDLESS)
    layer_search = LayerSearch(most, seed, searcher, initial, space, gap, early_stopping)
    search = AskedSearch(layer_search, jobs, log, assumed, budget)
    timing, beyond = timing_model(preset, overrides), None
    found, machine = asked.find(workload, hardware_file, timing)
    if free:
        beyond = BesideLog.of(log, machine, timing, free_gap, seed, jobs, budget.over)
    if isinstance(found, Network):
        outputs = Outputs(form, output, html, best_log)
        with scheduler_client(scheduler) as client:
            there = replace(search, client=client)
            tune_network_here(there, found, machine, timing, outputs, beyond)
        return
    if best_log is not None:
        raise VtacspError("--best-log goes with a network; `vtacsp log --best --merge` with logs")
    simulators = pack_all(found, machine, timing).results
    layers = _with_something_feasible(simulators)
    budget.layers = len(layers)
    with scheduler_client(scheduler) as client:
        there = replace(search, client=client)
        tuned, interrupted = _tune_all(there, layers)
        more = BeyondRows()
        if beyond is not None and not interrupted:
            bests = {x.workload.name: (best_index(x), x.best_cycles) for x in tuned}
            more = beyond.rows(simulators, bests, there.executor)
            interrupted = more.interrupted
    _print_tuned(tuned, more, form, output, _title(workload, tuned, interrupted), beyond)
    if html is not None:
        from vtacsp.report.origin import Origin
        from vtacsp.report.tuning_page import render

        origin = Origin.now(typed_command(), seed)
        page = more.page()
        write(render(workload, tuned, machine, timing, origin, beyond=page), html)
        wrote(html)
    say_cut_loads(
        (f"{x.workload.name} index {best_index(x)}", x.best_program.cut_short)
        for x in tuned
        if x.best_program is not None
    )
    say_measured(tuned, search)
    if interrupted:
        raise KeyboardInterrupt("interrupted; the same command goes on from the log")
    if all(layer.result.best is None for layer in tuned):
        say("nothing that was measured runs")
        sys.exit(NOTHING_FEASIBLE)


def _title(workload: str, tuned: Sequence[TunedLayer], interrupted: bool) -> str:
    if not tuned:
        return ""
    timing = tuned[0].simulator.timing
    title = (
        f"{workload}: {timing.note}\n"
        "configuration: knobs that are not 1; gap: cycles above the lower bound"
    )
    cycles = [(layer.workload, layer.best_cycles) for layer in tuned]
    return title + ("" if interrupted else suite_total(cycles, timing.clock_hz))


def _print_tuned(
    tuned: Sequence[TunedLayer],
    more: BeyondRows,
    form: str,
    output: str | None,
    title: str,
    beyond: BesideLog | None,
) -> None:
    """The layers, and what there is beyond the template; nothing when none was measured."""
    if not tuned:
        return
    if form != "table":
        rows = [{**row_of(layer), **more.keys(layer.workload.name)} for layer in tuned]
        print_rows(rows, (*COLUMNS, *BEYOND), form, output)
        return
    rows, to_file = [shown_row(layer) for layer in tuned], output is not None
    columns = [column for column in SHOWN if any(column in row for row in rows)]
    source = None if beyond is None else beyond.saved.target
    below = more.text(source, to_file=to_file)
    write(rows_as_table(rows, columns, title, to_file=to_file) + below, output)


COMMANDS = (tune,)


def _tune_all(search: AskedSearch, layers: list[Simulator]) -> tuple[list[TunedLayer], bool]:
    """Layers in order, until the last one or Ctrl-C."""
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.tune import TuningLog

    tuned: list[TunedLayer] = []
    with (
        TuningLog(search.log, search.assumed) as log,
        Live(len(layers)) as live,
        search.lanes(len(layers)) as lanes,
    ):
        first = layers[0]
        say_nameless(log, (s.workload for s in layers), first.hardware, first.timing)
        if lanes is not None:
            return _side_by_side(search, layers, log, live, lanes)
        for simulator in layers:
            found: list[TuningResult] = []
            interrupted = False
            try:
                search.run(simulator, live, log, found.append)
            except KeyboardInterrupt:  # before the first measurement, or after the last
                interrupted = True
            for result in found:
                live.done(simulator, result)
                if result.trials:
                    tuned.append(TunedLayer(simulator, result))
                interrupted |= result.interrupted
            if interrupted:
                return tuned, True
    return tuned, False


def _side_by_side(
    search: AskedSearch, layers: list[Simulator], log: TuningLog, live: Live, lanes: Lanes
) -> tuple[list[TunedLayer], bool]:
    """The layers on workers, twins one after the other: the second is known from the first."""
    from vtacsp.network.lanes import JobChain
    from vtacsp.report.tuned import TunedLayer

    chains = JobChain.of(layers, search.layer)
    whole = lanes.search(chains, log, live.done, shown_on(live, search.budget))
    found = {id(s): result for chain in chains for s, result in chain.results}
    return [TunedLayer(s, found[id(s)]) for s in layers if id(s) in found], not whole


def _with_something_feasible(simulators: list[Simulator]) -> list[Simulator]:
    found = [simulator for simulator in simulators if len(simulator.space)]
    if not found:
        exit_infeasible()
    for simulator in simulators:
        if not len(simulator.space):
            say(f"skipped: {simulator.workload.name}: nothing is feasible; see `vtacsp advise`")
    return found
