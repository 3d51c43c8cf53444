"""Commands that measure on the cycle simulator: one configuration, or every feasible one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np

from vtacsp.cli.buildable import say_limits
from vtacsp.cli.cut_loads import first_cut, say_cut_loads
from vtacsp.cli.detail import BRIEF, brief_row, detail_columns, detail_row, detail_text
from vtacsp.cli.knob_columns import CONFIG, chosen, config_columns, config_rows, config_shown
from vtacsp.cli.layers import Done, each
from vtacsp.cli.network import (
    Asked,
    end,
    network_options,
    print_answer,
    solve_all,
    suite_total,
)
from vtacsp.cli.number import Number
from vtacsp.cli.options import (
    hardware_option,
    index_option,
    jobs_option,
    knob_option,
    load_layers,
    output_options,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, print_rows, write, wrote
from vtacsp.cli.own_rules import OwnRules, own_rules_options
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.programs import pointing_to_explain
from vtacsp.cli.schedules import check_free, free_option, schedule_option, schedules_of
from vtacsp.errors import VtacspError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.value import Network
from vtacsp.stopping import FREE_GAP
from vtacsp.workers import process_pool, stop_workers

if TYPE_CHECKING:
    from vtacsp.operators.workload import Workload
    from vtacsp.rules.rule import Rule
    from vtacsp.timing.breakdown import TimingResult
    from vtacsp.timing.model import TimingModel
    from vtacsp.timing.simulator import Simulator

__all__ = ["COMMANDS", "pack_all", "packed_simulators", "workers"]

MANY = 400  # programs that are worth the start of worker processes
LAYERS = 12  # and distinct layers of a network
MEASURES = ("cycles", "slower", "scratchpad_bytes", "gops", "margin", "simulated", "count",
            "cut_short")  # fmt: skip
NETWORK = ("layer", "n", "configuration", "cycles", "all runs", "bound by")
SHOWN = 1.0  # what a table of `best` shows: points up to twice as slow
PICTURES = (".png", ".svg", ".pdf")

F = TypeVar("F", bound=Callable[..., Any])


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
@click.option("--best", "fastest", is_flag=True, help="The fastest of all feasible ones.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every feasible configuration, one after the other in one process, as the RTL was "
    "measured: a program may leave a token that the next one pops first.",
)
@click.option("--alone", is_flag=True, help="With --all: each program on its own, as with --index.")
@free_option
@schedule_option
@timing_options
@jobs_option
@click.option("--trace", "trace_file", metavar="FILE", help="Also write a Perfetto trace.")
@click.option(
    "--plot", "plot_file", metavar="FILE", help="Also draw the timeline (.png, .svg, .pdf)."
)
def simulate(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    fastest: bool,
    everything: bool,
    alone: bool,
    preset: str,
    overrides: tuple[str, ...],
    jobs: int | None,
    trace_file: str | None,
    plot_file: str | None,
    free: bool,
    schedules: tuple[str, ...],
) -> None:
    """Cycles of configurations on the simulated accelerator, and where they go."""
    others = {"--index": indices, "--knob": knobs, "--best": fastest, "--all": everything}
    check_free(free, {"--schedule": schedules}, others)
    if free and not schedules:
        raise VtacspError("choose schedules with --schedule FILE or --schedule JSON")
    if not free and sum(map(bool, others.values())) != 1:
        raise VtacspError("choose configurations with --index, --knob, --best or --all")
    if alone and not everything:
        raise VtacspError("--alone goes with --all")
    if everything and (trace_file is not None or plot_file is not None):
        raise VtacspError("--trace and --plot show one configuration: one layer, --index or --best")
    check_outputs(output, trace_file, plot_file)
    if plot_file is not None and not plot_file.lower().endswith(PICTURES):
        raise VtacspError(f"--plot {plot_file}: the name must end in {', '.join(PICTURES)}")
    packed = packed_simulators(workload, hardware_file, preset, overrides)
    simulators = packed.results
    with (
        pointing_to_explain(workload, hardware_file, indices),
        _executor(simulators, jobs if alone or fastest else 1) as executor,
    ):
        if everything:
            _all(packed, alone, executor, form, output)
            return

        def run(simulator: Simulator) -> list[tuple[int | None, TimingResult]]:
            if free:
                return [(None, x) for x in _of_schedules(simulator, schedules)]
            if fastest:
                return [simulator.fastest(executor)] if len(simulator.space) else []
            mine = chosen(simulator.space.knob_space, indices, knobs, None)
            return [(index, simulator.run(index)) for index in mine.tolist()]

        done = each(simulators, run)
    found = [pair for pairs in done.results for pair in pairs]
    if trace_file is not None or plot_file is not None:
        _draw([result for _, result in found], trace_file, plot_file)
    if form == "table" and len(found) == 1:
        write(detail_text(*found[0], to_file=output is not None), output)
    else:
        rows = [(brief_row if form == "table" else detail_row)(*pair) for pair in found]
        print_rows(rows, BRIEF if form == "table" else detail_columns(), form, output)
    wrote(trace_file, plot_file)
    say_cut_loads(
        (f"{result.program.workload.name} index {index}", result.cut_short)
        for index, result in found
        if index is not None
    )
    done.end(feasible=bool(found))


def _of_schedules(simulator: Simulator, sources: Sequence[str]) -> Iterator[TimingResult]:
    """The programs of free schedules, timed."""
    from vtacsp.free import emit as emit_schedule
    from vtacsp.timing.simulator import simulate_timing

    layer, machine, timing = simulator.workload, simulator.hardware, simulator.timing
    for schedule in schedules_of(sources, layer.name, machine, timing):
        yield simulate_timing(emit_schedule(schedule, layer, machine), timing)


def _all(
    packed: Done[Simulator],
    alone: bool,
    executor: Executor | None,
    form: str,
    output: str | None,
) -> None:
    """Cycles of every feasible configuration."""

    def measure(simulator: Simulator) -> list[Row]:
        mine = simulator.space.indices
        if alone:
            cycles = simulator.cycles_many(mine.tolist(), executor)
        else:
            cycles = simulator.sequence(mine.tolist())
        rows = zip(config_rows(simulator.space.problem, mine), cycles.tolist(), strict=True)
        return [{**row, "cycles": n} for row, n in rows]

    done = each(packed.results, measure)
    spaces = [simulator.space for simulator in packed.results]
    rows = [row for rows in done.results for row in rows]
    several = packed.total > 1
    columns = [*config_columns(spaces, several), "cycles"]
    if form == "table":
        rows = [config_shown(row, several) for row in rows]
        columns = list(dict.fromkeys(key for row in rows for key in row))
    print_rows(rows, columns, form, output)
    done.end(feasible=any(map(len, spaces)))


@click.command()
@workload_argument
@hardware_option
@output_options
@network_options
@timing_options
@jobs_option
@click.option("--free", is_flag=True, help="Also search schedules beyond the template.")
@click.option(
    "--gap",
    type=Number(0, 100),
    metavar="PERCENT",
    help="With --free: stop that close to the limit of the machine; 0.1 by default.",
)
@click.option("--seed", type=int, metavar="N", help="With --free: of the search; 0 by default.")
@click.option(
    "--save",
    metavar="FILE",
    help="With --free: also write the schedules, as JSON, after every layer. What FILE has already "
    "is not searched again.",
)
@click.option("--resume", metavar="FILE", help="With --free: go on from schedules of --save.")
@own_rules_options
def best(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    preset: str,
    overrides: tuple[str, ...],
    jobs: int | None,
    free: bool,
    gap: float | None,
    seed: int | None,
    save: str | None,
    resume: str | None,
    asked: Asked,
    own: OwnRules,
) -> None:
    """The fastest configuration of each layer, and what less scratchpad would cost.

    Simulates every feasible configuration.  Rows are the Pareto set of cycles against scratchpad
    bytes (inputs, weights and accumulators of a tile, all virtual threads), the fastest first;
    its margin is how much slower the next other program is.

    With --free there is a row per layer: the template's best, the fastest schedule that a search
    beyond the template found, and the limit below which no program of the instruction set gets;
    of a network also the total over all runs.  With --rule and --fix it is the fastest schedule of
    the space that they leave, and what no schedule of it gets below.

    Of a network (an ONNX model, a network.json, any with --network): a row per distinct layer
    with its fastest configuration, the total over all runs, and what the host has.
    """
    for name, value in _free_options(gap, seed, save, resume):
        if value is not None and not free:
            raise VtacspError(f"{name} {shortened(value)} goes with --free")
    check_outputs(output, save)
    if own and free and resume is not None:
        own.refuse("does not go with --resume, whose schedules were searched without it")
    if own and save is not None and os.path.exists(save):
        own.refuse(f"does not go on from {shortened(save)}, which is there already")
    timing = timing_model(preset, overrides)
    found, machine = asked.find(workload, hardware_file, timing)
    if isinstance(found, Network) and not free:
        own.refuse("goes with layers and with --free, not with a network's configurations")
        _best_of_network(found, machine, timing, jobs, form, output)
        return
    layers = found.workloads if isinstance(found, Network) else found
    packed = pack_all(layers, machine, timing, () if free else own.of_template())
    simulators = packed.results
    if free and own:
        from vtacsp.cli.free_under import best_under

        with _executor(simulators, jobs, many=len(simulators) > 1) as executor:
            best_under(
                simulators, own, FREE_GAP if gap is None else gap / 100, seed or 0, executor,
                f"{workload}: {timing.note}", form, output, save,
            )  # fmt: skip
        return
    if free:
        from vtacsp.cli.free import FreeSearch, print_free
        from vtacsp.cli.free_saved import Saved

        saved = Saved.read(save, resume, machine, timing)
        search = FreeSearch(FREE_GAP if gap is None else gap / 100, seed or 0, saved)
        with _executor(simulators, jobs, many=len(simulators) > 1) as executor:
            searched = search.rows(simulators, executor)
        say_cut_loads(_templates_best(simulators, searched.results))
        network = found if isinstance(found, Network) else None
        title = f"{workload}: {timing.note}"
        print_free(searched, title, form, output, save, network, timing.clock_hz)
        return
    with _executor(simulators, jobs) as executor:
        done = each(simulators, lambda simulator: _front(simulator, executor))
    rows = [row for front in done.results for row in front]
    say_cut_loads(
        (f"{row['workload']} index {row['index']}", [row["cut_short"]])
        for row in rows
        if row["cut_short"] is not None
    )
    if form == "table":
        title = f"{workload}: {simulators[0].timing.note}"
        shown = [_point(row, packed.total > 1) for row in rows if row["slower"] <= SHOWN]
        title += "\nconfiguration: knobs that are not 1; margin: to the next other program"
        front = [(s.workload, f[0]["cycles"] if f else None) for s, f in zip(
            simulators, done.results, strict=False)]  # fmt: skip
        title += "" if done.interrupted else suite_total(front, simulators[0].timing.clock_hz)
        if len(shown) < len(rows):
            title += f"\n{len(rows) - len(shown)} points more than twice as slow are not shown"
        columns = list(dict.fromkeys(key for row in shown for key in row))
        print_rows(shown, columns, form, output, title)
    else:
        print_rows(rows, (*CONFIG, *MEASURES), form, output)
    done.end(feasible=any(len(simulator.space) for simulator in simulators))


def _free_options(
    gap: float | None, seed: int | None, save: str | None, resume: str | None
) -> tuple[tuple[str, object], ...]:
    """The options that go with ``--free``."""
    return ("--gap", gap), ("--seed", seed), ("--save", save), ("--resume", resume)


def _best_of_network(
    network: Network,
    machine: VTAConfig,
    timing: TimingModel,
    jobs: int | None,
    form: str,
    output: str | None,
) -> None:
    """A row per distinct layer, the total and the host."""
    with _executor((), jobs, many=len(network.layers) > LAYERS) as executor:
        answer, done = solve_all(network, machine, timing, executor)
    print_answer(answer, form, output, NETWORK)
    end(done, answer)


def _front(simulator: Simulator, executor: Executor | None) -> list[Row]:
    """The Pareto set of a layer; no rows when nothing is feasible."""
    from vtacsp.timing.exhaustive import simulate_all

    space = simulator.space
    if not len(space):
        return []
    found = simulate_all(simulator, executor)
    fastest = int(found.cycles[found.best])
    rows = list(config_rows(space.problem, space.indices[np.array(found.pareto)]))
    for row, rank in zip(rows, found.pareto, strict=True):
        cycles, first = int(found.cycles[rank]), rank == found.best
        row["cycles"] = cycles
        row["slower"] = cycles / fastest - 1
        row["scratchpad_bytes"] = int(found.scratchpad_bytes[rank])
        row["gops"] = space.workload.operations / cycles * simulator.timing.clock_hz / 1e9
        row["margin"] = found.margin if first else None
        row["simulated"] = len(space) if first else None
        row["count"] = space.workload.extra.get("count")
        row["cut_short"] = first_cut(_timed(simulator, row["index"]))
    return rows


def _timed(simulator: Simulator, index: int) -> TimingResult:
    """The program of a configuration, of which nothing is simulated that nobody asks for."""
    from vtacsp.timing.breakdown import TimingResult

    return TimingResult(simulator.program(index), simulator.timing)


def _templates_best(
    simulators: Sequence[Simulator], rows: Sequence[Row]
) -> Iterator[tuple[str, Sequence[int]]]:
    """The template's best of each layer, and its loads that are cut short."""
    for simulator, row in zip(simulators, rows, strict=False):
        if row["index"] is not None:
            name = f"{row['layer']} index {row['index']}"
            yield name, _timed(simulator, row["index"]).cut_short


def _point(row: Row, named: bool) -> Row:
    """A point of the Pareto set for people, in 80 columns: with several layers without GOPS."""
    shown = config_shown(row, named)
    size, gops, margin = (shown.pop(name) for name in ("scratchpad_bytes", "gops", "margin"))
    del shown["simulated"], shown["count"], shown["cut_short"]
    speed = {} if named else {"GOPS": f"{gops:.1f}"}
    return {**shown, "bytes": size, **speed, "margin": margin}


COMMANDS = (simulate, best)


def packed_simulators(
    workload: str, hardware_file: str | None, preset: str, overrides: Sequence[str]
) -> Done[Simulator]:
    """One per layer that the machine can pack; the others are named on standard error."""
    layers, machine = load_layers(workload, hardware_file)
    return pack_all(layers, machine, timing_model(preset, overrides))


def pack_all(
    layers: Sequence[Workload],
    machine: VTAConfig,
    timing: TimingModel,
    rules: Sequence[Rule] = (),
) -> Done[Simulator]:
    """A simulator per layer that the machine can pack; see :func:`packed_simulators`.

    Its space is that under ``rules`` too.
    """
    from vtacsp.space.problem import Problem
    from vtacsp.timing.simulator import Simulator

    say_limits(machine, timing)

    def pack(layer: Workload) -> Simulator:
        if rules:
            simulator = Simulator(Problem(layer, machine, rules), timing=timing)
        else:
            simulator = Simulator(layer, machine, timing)
        simulator.space  # noqa: B018 - compiles
        return simulator

    packed = each(layers, pack)
    packed.end()
    return packed


@contextmanager
def _executor(
    simulators: Sequence[Simulator], jobs: int | None, *, many: bool = False
) -> Iterator[Executor | None]:
    """Worker processes when there is enough to do (``many``: there is), else none."""
    jobs = jobs or os.cpu_count() or 1
    enough = many or sum(simulator.space.programs() for simulator in simulators) >= MANY
    if jobs == 1 or not enough:
        yield None
        return
    with workers(jobs) as executor:
        yield executor


@contextmanager
def workers(jobs: int) -> Iterator[Executor | None]:
    """Worker processes, None for one job."""
    if jobs == 1:
        yield None
        return
    executor = process_pool(jobs)
    try:
        yield executor
    finally:
        stop_workers(executor)


def _draw(results: Sequence[TimingResult], trace_file: str | None, plot_file: str | None) -> None:
    if len(results) != 1:
        raise VtacspError("--trace and --plot show one configuration: one layer, --index or --best")
    if trace_file is not None:
        from vtacsp.timing.trace import write_trace

        write_trace(results[0], trace_file)
    if plot_file is not None:
        from vtacsp.report.timeline import timeline_figure

        timeline_figure(results[0], plot_file)
