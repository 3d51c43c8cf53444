"""``vtacsp tune``: search every layer for its fastest configuration, measuring what can run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from vtacsp.cli.budget import Budget
from vtacsp.cli.cycles import pack_all
from vtacsp.cli.free import FREE_GAP
from vtacsp.cli.free_shown import BEYOND, BesideLog, BeyondRows
from vtacsp.cli.knob_columns import CONFIG, config_rows, config_text
from vtacsp.cli.layers import NOTHING_FEASIBLE, exit_infeasible
from vtacsp.cli.live import Live
from vtacsp.cli.network import (
    Asked,
    layers_of,
    network_options,
    print_answer,
    suite_total,
)
from vtacsp.cli.number import Number
from vtacsp.cli.options import hardware_option, output_options, seed_option, workload_argument
from vtacsp.cli.output import Row, check_outputs, emit, table, write, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.scheduler import scheduler_client
from vtacsp.cli.terminal import say
from vtacsp.cli.typed import typed_command
from vtacsp.errors import VtacspError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.layer_search import (
    BATCH,
    FIRST,
    INITIAL,
    SEARCHERS,
    SPACES,
    TRIALS,
    LayerSearch,
)
from vtacsp.network.value import Network

if TYPE_CHECKING:
    from vtacsp.network.answer import LayerAnswer
    from vtacsp.network.lanes import Lanes, Watch
    from vtacsp.operators.workload import Workload
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.timing.model import TimingModel
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import Measurer, TuningLog, TuningResult

__all__ = ["COMMANDS"]

ENDLESS = 1 << 40  # trials of a layer when time is what ends it

COLUMNS = (*CONFIG, "cycles", "seconds", "gops", "bound", "gap", "found_at", "measured", "from_log",
           "failed", "count")  # fmt: skip
TUNED = ("best_possible", "gap", "found_at", "measured", "from_log", "failed")
NETWORK = ("layer", "n", "configuration", "cycles", "all runs", "gap", "measured", "failed")
SHOWN = ("layer", "index", "configuration", "cycles", "GOPS", "gap", "measured",
         "failed")  # fmt: skip
GAP = 0.5  # per cent
YEAR = 525_600  # minutes


@dataclass(frozen=True)
class _Search:
    """What the options say about how to search a layer."""

    layer: LayerSearch
    jobs: int
    log: str
    assumed: str | None
    budget: Budget
    client: Any = None  # of Dask

    @property
    def executor(self) -> Executor | None:
        """That of the scheduler, None without one."""
        return None if self.client is None else self.client.get_executor()

    def measurer(self, simulator: Simulator) -> Measurer:
        """What measures a layer: this process, others, or the scheduler's workers."""
        from vtacsp.timing.simulator import ready
        from vtacsp.tune import ExecutorMeasurer, SimulatorMeasurer

        here = SimulatorMeasurer(simulator.space, timing=simulator.timing)
        if self.client is not None:
            return ExecutorMeasurer(here, self.executor, jobs=BATCH)
        if self.jobs == 1:
            return here
        ready()  # a worker's clock runs while it compiles
        return ExecutorMeasurer(here, jobs=self.jobs)

    def run(
        self,
        simulator: Simulator,
        live: Live,
        log: TuningLog,
        keep: Callable[[TuningResult], None],
    ) -> None:
        """Search a layer; ``keep`` has what was found before workers are stopped."""
        total = min(self.layer.trials, len(self.layer.space_of(simulator)))
        with (
            live.layer(simulator, total) as callback,
            self.measurer(simulator) as measurer,
        ):
            keep(
                self.layer.search(
                    simulator, log, measurer=measurer, stop=self.budget.share(), callback=callback
                )
            )

    @contextmanager
    def lanes(self, layers: int) -> Iterator[Lanes | None]:
        """Workers to search several layers at once; None when they are searched in turn."""
        from vtacsp.network.lanes import Lanes

        if layers < 2 or (self.client is None and self.jobs < 2):
            yield None
        elif self.client is not None:
            yield Lanes.of_dask(self.client)
        else:
            with Lanes.processes(min(self.jobs, layers)) as lanes:
                yield lanes


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
    default=GAP,
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
    budget = Budget(minutes)
    most = trials or (TRIALS if minutes is None else ENDLESS)
    layer_search = LayerSearch(most, seed, searcher, initial, space, gap, early_stopping)
    search = _Search(layer_search, jobs, log, assumed, budget)
    timing, beyond = timing_model(preset, overrides), None
    found, machine = asked.find(workload, hardware_file, timing)
    if free:
        beyond = BesideLog.of(log, machine, timing, free_gap, seed, jobs, budget.over)
    if isinstance(found, Network):
        outputs = _Outputs(form, output, html, best_log)
        with scheduler_client(scheduler) as client:
            there = replace(search, client=client)
            _tune_network(there, found, machine, timing, outputs, beyond)
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
            bests = {x.workload.name: (_index(x), x.best_cycles) for x in tuned}
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
    _say_measured(tuned, search)
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
        rows = [{**_row(layer), **more.keys(layer.workload.name)} for layer in tuned]
        emit(rows, (*COLUMNS, *BEYOND), form, output)
        return
    rows, to_file = [_shown(layer) for layer in tuned], output is not None
    columns = [column for column in SHOWN if any(column in row for row in rows)]
    source = None if beyond is None else beyond.saved.target
    below = more.text(source, to_file=to_file)
    write(table(rows, columns, title, to_file=to_file) + below, output)


def _say_measured(tuned: Sequence[TunedLayer], search: _Search) -> None:
    """How much was measured; which layers ended before their trials, and why."""
    from vtacsp.tune.loop import EARLY, STOPPED

    fresh = sum(layer.result.measured for layer in tuned)
    known = sum(len(layer.result.trials) for layer in tuned) - fresh
    say(f"{search.log}: {fresh:,} measured now, {known:,} known from before")
    proven = sum(layer.result.proven for layer in tuned)
    if proven:
        say(
            f"{proven} of {len(tuned)} layers ended early: no configuration is more than "
            f"{search.layer.gap:g}% faster than what was found"
        )
    early = sum(layer.result.ended == EARLY for layer in tuned)
    if early:
        say(
            f"{early} of {len(tuned)} layers ended after {search.layer.early_stopping:,} "
            "measurements without a new best"
        )
    late = sum(layer.result.ended == STOPPED for layer in tuned)
    if late:
        say(
            f"{late} of {len(tuned)} layers were cut short by --minutes "
            f"{search.budget.minutes:g}; the same command goes on from the log"
        )


COMMANDS = (tune,)


@dataclass(frozen=True)
class _Outputs:
    """Where the answer of a network goes."""

    form: str
    output: str | None
    html: str | None
    best_log: str | None


def _tune_network(
    search: _Search,
    network: Network,
    machine: VTAConfig,
    timing: TimingModel,
    out: _Outputs,
    beyond: BesideLog | None,
) -> None:
    """Every distinct layer searched once; what shares an AutoTVM task gets one configuration."""
    from vtacsp.network.tuner import tune_network
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import TuningLog, write_records

    search.budget.layers = len(layers_of(network))

    class Shown(LayerSearch):
        """The search that the options ask for, with its progress."""

        def search(self, simulator: Simulator, log: TuningLog | None, **_: Any) -> TuningResult:
            assert log is not None
            found: list[TuningResult] = []
            try:
                search.run(simulator, live, log, found.append)
            except KeyboardInterrupt:  # after the last measurement, while workers were stopped
                if not found:
                    raise
                return replace(found[0], interrupted=True)
            return found[0]

        def measurer(self, simulator: Simulator) -> Measurer:
            return search.measurer(simulator)

    with (
        TuningLog(search.log, search.assumed) as log,
        Live(len(network.layers)) as live,
        search.lanes(len(network.layers)) as lanes,
    ):
        _say_nameless(log, network.workloads, machine, timing)
        mine = Shown(**vars(search.layer)) if lanes is None else search.layer
        found = tune_network(
            *(network, machine, timing), search=mine, log=log, done=live.done, lanes=lanes,
            watch=_shown_on(live, search.budget),
        )  # fmt: skip
    answer = found.answer
    tuned = {name: TunedLayer(*pair) for name, pair in found.results.items()}
    interrupted, more = found.interrupted, BeyondRows()
    known = [x for x in answer.layers if x.space is not None]
    simulators = [Simulator(x.space, timing=timing) for x in known if x.space is not None]
    if beyond is not None and simulators and not interrupted:
        bests = {x.layer.name: (x.index, x.cycles) for x in known}
        counts = {x.layer.name: x.layer.count for x in known}
        more = beyond.rows(simulators, bests, search.executor, counts)
        interrupted = more.interrupted

    def extra(layer: LayerAnswer) -> Row:
        mine = tuned.get(layer.layer.name)
        if mine is None:
            return {}
        row = _shown(mine) if out.form == "table" else _row(mine)
        row["best_possible"] = row.pop("bound", None)
        names = ("gap", "measured", "failed") if out.form == "table" else TUNED
        return {name: row[name] for name in names if name in row}

    def extra_and_beyond(layer: LayerAnswer) -> Row:
        return {**extra(layer), **({} if out.form == "table" else more.keys(layer.layer.name))}

    source = None if beyond is None else beyond.saved.target
    print_answer(
        answer, out.form, out.output, NETWORK, extra_and_beyond, (*TUNED, *BEYOND),
        total=more.total(),
        below=more.text(source, to_file=out.output is not None),
    )  # fmt: skip
    if out.best_log is not None:
        write_records(out.best_log, found.records)
        wrote(out.best_log)
    if out.html is not None:
        from vtacsp.report.origin import Origin
        from vtacsp.report.tuning_page import render

        origin = Origin.now(typed_command(), search.layer.seed)
        page = more.page()
        layers = [*tuned.values()]
        write(render(network.name, layers, machine, timing, origin, answer, page), out.html)
        wrote(out.html)
    _say_measured([*tuned.values()], search)
    if interrupted:
        raise KeyboardInterrupt("interrupted; the same command goes on from the log")
    if not answer.answered:
        exit_infeasible()


def _tune_all(search: _Search, layers: list[Simulator]) -> tuple[list[TunedLayer], bool]:
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
        _say_nameless(log, (s.workload for s in layers), first.hardware, first.timing)
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
    search: _Search, layers: list[Simulator], log: TuningLog, live: Live, lanes: Lanes
) -> tuple[list[TunedLayer], bool]:
    """The layers on workers, twins one after the other: the second is known from the first."""
    from vtacsp.network.lanes import Chain
    from vtacsp.report.tuned import TunedLayer

    chains = Chain.of(layers, search.layer)
    whole = lanes.search(chains, log, live.done, _shown_on(live, search.budget))
    found = {id(s): result for chain in chains for s, result in chain.results}
    return [TunedLayer(s, found[id(s)]) for s in layers if id(s) in found], not whole


def _shown_on(live: Live, budget: Budget) -> Watch:
    """Progress and time of layers that are searched side by side."""
    from vtacsp.network.lanes import Watch

    class Shown(Watch):
        def layer(self, simulator: Simulator, total: int) -> AbstractContextManager[Any]:
            return live.layer(simulator, total)

        def share(self, lanes: int) -> Callable[[], float] | None:
            return None if budget.minutes is None else budget.share(lanes).left

    return Shown()


def _say_nameless(
    log: TuningLog, layers: Iterable[Workload], hardware: VTAConfig, timing: TimingModel
) -> None:
    """What becomes of the records that do not say what measured them: a board may have."""
    from vtacsp.tune import Task, device_of

    tasks = {task.key: task for task in (Task.of(layer, hardware) for layer in layers)}
    count = sum(map(log.nameless, tasks.values()))
    if not count:
        return
    here = device_of(timing)
    named = "records name" if count > 1 else "record names"
    if not log.assume:
        fate = f'left out; --assume DEVICE says which, such as "{here}"'
    elif log.assume == here:
        fate = f'taken as "{here}"'
    else:
        fate = f'taken as "{log.assume}", which is not what measures here ("{here}"): left out'
    say(f"{log.path}: {count:,} {named} no device: {fate}")


def _with_something_feasible(simulators: list[Simulator]) -> list[Simulator]:
    found = [simulator for simulator in simulators if len(simulator.space)]
    if not found:
        exit_infeasible()
    for simulator in simulators:
        if not len(simulator.space):
            say(f"skipped: {simulator.workload.name}: nothing is feasible; see `vtacsp advise`")
    return found


def _index(layer: TunedLayer) -> int | None:
    return None if layer.result.best is None else layer.result.best.index


def _row(layer: TunedLayer) -> Row:
    """A layer for programs: what was not found is empty."""
    best, result = layer.result.best, layer.result
    row: Row = {"workload": layer.workload.name}
    if best is not None:
        index = np.array([best.index], dtype=np.int64)
        (row,) = config_rows(layer.simulator.space.problem, index)
    return row | {
        "cycles": layer.best_cycles,
        "seconds": None if best is None else best.result.seconds,
        "gops": layer.gops,
        "bound": layer.bound,
        "gap": layer.gap,
        "found_at": None if best is None else best.number,
        "measured": result.measured,
        "from_log": len(result.trials) - result.measured,
        "failed": result.failed,
        "count": layer.workload.extra.get("count"),
    }


def _shown(layer: TunedLayer) -> Row:
    """A layer for people, in 80 columns."""
    best, result = layer.result.best, layer.result
    row: Row = {
        "layer": layer.workload.name,
        "configuration": "nothing that was measured runs",
    }
    if best is not None:
        config = result.space.config(best.index)
        row["index"] = best.index
        row["configuration"] = config_text(config)
        row["cycles"] = layer.best_cycles
        row["GOPS"] = f"{layer.gops:.1f}"
        row["gap"] = f"{layer.gap:.2%}"
    known = len(result.trials) - result.measured
    row["measured"] = f"{result.measured}, {known} known" if known else result.measured
    return row | ({"failed": result.failed} if result.failed else {})
