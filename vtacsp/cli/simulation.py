"""Commands that measure on the cycle simulator: one configuration, or every feasible one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np

from vtacsp.cli.layers import (
    NOTHING_FEASIBLE,
    chosen,
    config_columns,
    config_rows,
    config_text,
    exit_when_empty,
    progress,
)
from vtacsp.cli.options import (
    hardware_option,
    index_option,
    knob_option,
    load_hardware,
    output_options,
    workload_argument,
)
from vtacsp.cli.output import Row, emit, render, write
from vtacsp.errors import VtacspError, WorkloadError
from vtacsp.suites import find_workloads

if TYPE_CHECKING:
    from vtacsp.simulate.result import TimingResult
    from vtacsp.simulate.simulator import Simulator

__all__ = ["COMMANDS", "packed_simulators", "timing_options"]

MANY = 400  # programs that are worth the start of worker processes
MEASURES = ("cycles", "slower", "scratchpad bytes", "GOPS", "margin", "simulated")
SHOWN = 1.0  # what a table of `best` shows: points up to twice as slow

F = TypeVar("F", bound=Callable[..., Any])

jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Worker processes; all cores by default.",
)


def timing_options(function: F) -> F:
    """``--preset`` and ``--timing``."""
    function = click.option(
        "--timing",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="A constant of the timing model, such as memory_latency=64 (repeatable).",
    )(function)
    return click.option(
        "--preset",
        type=click.Choice(("rtl", "pynq")),
        default="rtl",
        show_default=True,
        help="The RTL as measured, or an estimate of a Pynq-class board.",
    )(function)


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
    help="Every feasible configuration, one after the other in one process, as rtl_cycles was "
    "measured: a program may leave a token that the next one pops first.",
)
@click.option("--alone", is_flag=True, help="With --all: each program on its own, as with --index.")
@timing_options
@jobs_option
@click.option("--trace", "trace_file", metavar="FILE", help="Also write a Perfetto trace.")
@click.option("--plot", "plot_file", metavar="FILE", help="Also draw the timeline (.png, .svg).")
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
) -> None:
    """Cycles of configurations on the simulated accelerator, and where they go."""
    if fastest and (indices or knobs or everything):
        raise VtacspError("choose configurations with --index, or --knob, or --best, or --all")
    if alone and not everything:
        raise VtacspError("--alone goes with --all")
    simulators = packed_simulators(workload, hardware_file, preset, overrides)
    picked: list[tuple[Simulator, np.ndarray[Any, np.dtype[np.int64]]]] = []
    with _executor(simulators, jobs if alone or fastest else 1) as executor:
        for simulator in simulators:
            space = simulator.space
            if fastest or everything:
                mine = space.indices
            else:
                mine = chosen(space.knob_space, indices, knobs, False)
            if fastest and len(mine):
                place = int(simulator.cycles_many(mine.tolist(), executor).argmin())
                mine = mine[place : place + 1]
            picked.append((simulator, mine))
        if trace_file or plot_file:
            _draw(picked, trace_file, plot_file)
        if everything or form == "csv" or sum(len(mine) for _, mine in picked) != 1:
            named = len(simulators) > 1
            rows: list[Row] = []
            for simulator, mine in picked:
                cycles = (
                    simulator.sequence(mine.tolist())
                    if everything and not alone
                    else simulator.cycles_many(mine.tolist(), executor)
                )
                for row, n in zip(
                    config_rows(simulator.space.problem, mine, named), cycles.tolist(), strict=True
                ):
                    rows.append({**row, "cycles": n})
            spaces = [simulator.space for simulator in simulators]
            emit(rows, [*config_columns(spaces), "cycles"], form, output)
            exit_when_empty(spaces)
            return
    ((simulator, mine),) = ((s, m) for s, m in picked if len(m))
    _one(simulator, int(mine[0]), form, output)


@click.command()
@workload_argument
@hardware_option
@output_options
@timing_options
@jobs_option
def best(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    preset: str,
    overrides: tuple[str, ...],
    jobs: int | None,
) -> None:
    """The fastest configuration of each layer, and what less scratchpad would cost.

    Simulates every feasible configuration.  Rows are the Pareto set of cycles against scratchpad
    bytes (inputs, weights and accumulators of a tile, all virtual threads), the fastest first;
    its margin is how much slower the next other program is.
    """
    from vtacsp.simulate.exhaustive import simulate_all

    simulators = packed_simulators(workload, hardware_file, preset, overrides)
    rows: list[Row] = []
    with progress(len(simulators)) as advance, _executor(simulators, jobs) as executor:
        for simulator in simulators:
            space = simulator.space
            if len(space):
                found = simulate_all(simulator, executor)
                front = np.array(found.pareto)
                named = config_rows(space.problem, space.indices[front], len(simulators) > 1)
                for row, rank in zip(named, front.tolist(), strict=True):
                    cycles = int(found.cycles[rank])
                    seconds = cycles / simulator.timing.clock_hz
                    first = rank == found.best
                    rows.append({
                        **row,
                        "cycles": cycles,
                        "slower": cycles / int(found.cycles[found.best]) - 1,
                        "scratchpad bytes": int(found.scratchpad_bytes[rank]),
                        "GOPS": f"{space.workload.operations / seconds / 1e9:.1f}",
                        "margin": found.margin if first and found.margin is not None else "",
                        "simulated": len(space) if first else "",
                    })  # fmt: skip
            advance()
    spaces = [simulator.space for simulator in simulators]
    columns = [*config_columns(spaces), *MEASURES]
    title = f"{workload}: {simulators[0].timing.note}"
    if form == "table":
        shown = [_point(row) for row in rows if row["slower"] <= SHOWN]
        title += "\nconfiguration: knobs that are not 1; margin: to the next other program"
        if len(shown) < len(rows):
            title += f"\n{len(rows) - len(shown)} points more than twice as slow are not shown"
        rows, columns = shown, list(dict.fromkeys(key for row in shown for key in row))
    emit(rows, columns, form, output, title)
    exit_when_empty(spaces)


def _point(row: Row) -> Row:
    """A point of the Pareto set for people, in 80 columns."""
    layer = {"layer": row["workload"]} if "workload" in row else {}
    knobs = {k: v for k, v in row.items() if k not in {"workload", "index", *MEASURES}}
    return {
        **layer,
        "index": row["index"],
        "configuration": config_text(knobs),
        "cycles": row["cycles"],
        "slower": row["slower"],
        "bytes": row["scratchpad bytes"],
        "GOPS": row["GOPS"],
        "margin": row["margin"],
    }


COMMANDS = (simulate, best)


def packed_simulators(
    workload: str, hardware_file: str | None, preset: str, overrides: Sequence[str]
) -> list[Simulator]:
    """One per layer that the machine can pack; the others are named on standard error."""
    from vtacsp.simulate.simulator import Simulator
    from vtacsp.simulate.timing import PRESETS

    timing = PRESETS[preset].override(overrides)
    machine = load_hardware(hardware_file)
    layers = find_workloads(workload)
    found = []
    for layer in layers:
        simulator = Simulator(layer, machine, timing)
        try:
            simulator.space  # noqa: B018 - compiles
        except WorkloadError as refusal:
            if len(layers) == 1:
                raise
            click.echo(f"skipped: {refusal}", err=True)
            continue
        found.append(simulator)
    if not found:
        click.echo("no layer can be packed for this machine", err=True)
        sys.exit(NOTHING_FEASIBLE)
    return found


@contextmanager
def _executor(simulators: Sequence[Simulator], jobs: int | None) -> Iterator[Executor | None]:
    """Worker processes when there is enough to do, else none."""
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1 or sum(simulator.space.programs() for simulator in simulators) < MANY:
        yield None
        return
    with ProcessPoolExecutor(jobs) as executor:
        yield executor


def _draw(
    picked: Sequence[tuple[Simulator, Any]], trace_file: str | None, plot_file: str | None
) -> None:
    if sum(len(mine) for _, mine in picked) != 1:
        raise VtacspError("--trace and --plot show one configuration: one layer, --index or --best")
    ((simulator, mine),) = ((s, m) for s, m in picked if len(m))
    result = simulator.run(int(mine[0]))
    if trace_file:
        from vtacsp.simulate.trace import write_trace

        write_trace(result, trace_file)
    if plot_file:
        from vtacsp.report.timeline import timeline_figure

        timeline_figure(result, plot_file)


def _one(simulator: Simulator, index: int, form: str, output: str | None) -> None:
    """One configuration in detail."""
    result = simulator.run(index)
    if form == "json":
        row = {
            "workload": simulator.workload.name,
            "index": index,
            **result.program.config,
            **result.to_dict(),
        }
        emit([row], [], form, output)
        return
    rows: list[Row] = [
        {
            "module": name,
            "busy": time.busy_cycles / result.cycles,
            "with": _spent(time.busy, result.cycles),
            "waits for": _spent(time.stalls, result.cycles),
        }
        for name, time in result.modules.items()
    ]
    head = _headline(simulator, index, result)
    write(render(rows, list(rows[0]), form, head, to_file=output is not None), output)


def _spent(cycles: Mapping[str, int], total: int) -> str:
    """What took cycles, most first."""
    most = sorted(cycles.items(), key=lambda item: -item[1])
    return ", ".join(f"{what} {n / total:.1%}" for what, n in most if n)


def _headline(simulator: Simulator, index: int, result: TimingResult) -> str:
    knobs = " ".join(f"{name}={value}" for name, value in result.program.config.items())
    moved = ", ".join(
        f"{name.replace('_load', '').replace('_store', '')} {count:,}"
        for name, count in result.bytes.items()
        if count
    )
    return "\n".join([
        f"{simulator.workload.name} index {index}: {knobs}",
        f"{result.cycles:,} cycles, {result.seconds * 1e3:.3f} ms, {result.gops:.1f} GOPS, "
        f"bound by {result.bound}",
        f"GEMM core {result.gemm_utilisation:.1%}, memory reads {result.read_utilisation:.1%}, "
        f"writes {result.write_utilisation:.1%}, "
        f"{result.arithmetic_intensity:.1f} operations per byte",
        f"bytes: {moved}",
        f"timing: {simulator.timing.note}",
    ])  # fmt: skip
