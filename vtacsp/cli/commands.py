"""The commands; each one asks the library one question and prints the answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import numpy as np

from vtacsp.cli.layers import (
    NOTHING_FEASIBLE,
    chosen,
    compile_all,
    config_columns,
    config_rows,
    exit_when_empty,
    progress,
)
from vtacsp.cli.options import (
    free_sizes,
    hardware_option,
    index_option,
    knob_option,
    load_hardware,
    output_options,
    workload_argument,
)
from vtacsp.cli.output import Row, emit, render, write
from vtacsp.errors import ConfigError, WorkloadError
from vtacsp.hardware import BUFFERS
from vtacsp.knobs import Config, KnobSpace
from vtacsp.space.feasible import FeasibleSpace, compile
from vtacsp.space.problem import OK, Problem
from vtacsp.space.sampling import METHODS
from vtacsp.space.statistics import SpaceStatistics, statistics
from vtacsp.suites import find_workloads
from vtacsp.workload import Workload

__all__ = ["COMMANDS"]


@click.command()
@workload_argument
@hardware_option
@output_options
@click.option("--html", metavar="FILE", help="Also write a page with maps, causes and occupancy.")
def report(
    workload: str, hardware_file: str | None, form: str, output: str | None, html: str | None
) -> None:
    """How much of each layer's grid is feasible, and what refuses the rest."""
    hardware = load_hardware(hardware_file)
    workloads = find_workloads(workload)
    spaces: list[FeasibleSpace | WorkloadError] = []
    rows: list[Row] = []
    with progress(len(workloads)) as advance:
        for layer in workloads:
            try:
                space: FeasibleSpace | WorkloadError = compile(layer, hardware)
            except WorkloadError as refusal:
                space = refusal
            spaces.append(space)
            rows.append(_report_row(layer, space, form))
            advance()
    emit(rows, _report_columns(rows, form), form, output, f"{workload} on {hardware}")
    if html is not None:
        from vtacsp.report.html import render

        write(render(workload, list(zip(workloads, spaces, strict=True)), hardware), html)
    if not any(isinstance(s, FeasibleSpace) and len(s) for s in spaces):
        sys.exit(NOTHING_FEASIBLE)


def _report_row(layer: Workload, space: FeasibleSpace | WorkloadError, form: str) -> Row:
    if isinstance(space, WorkloadError):
        return {"workload": layer.name, "refused": str(space)}
    counts = statistics(space)
    row: Row = {
        "workload": layer.name,
        "configurations": counts.size,
        "programs": counts.programs,
        "feasible": counts.feasible,
        "feasible programs": counts.feasible_programs,
        "share": counts.share,
    }
    if form == "table":
        return {**row, "refused by (first cause / any cause)": _kills(counts)}
    if form == "json":
        return {**row, "first": counts.first, "any": counts.any}
    for rule in dict.fromkeys([*counts.first, *counts.any]):
        row[f"first {rule}"] = counts.first.get(rule, 0)
        row[f"any {rule}"] = counts.any.get(rule, 0)
    return row


def _kills(counts: SpaceStatistics) -> str:
    names = sorted(counts.any, key=lambda name: (-counts.first.get(name, 0), -counts.any[name]))
    return ", ".join(f"{n} {counts.first.get(n, 0):,}/{counts.any[n]:,}" for n in names)


def _report_columns(rows: Sequence[Row], form: str) -> list[str]:
    columns = dict.fromkeys(key for row in rows for key in row)
    if form == "table" and "refused" in columns:  # the reason stands where the causes would
        for row in rows:
            if "refused" in row:
                row["refused by (first cause / any cause)"] = row.pop("refused")
        columns = dict.fromkeys(key for row in rows for key in row)
    ordered = [c for c in columns if c != "refused"]
    return ordered + (["refused"] if "refused" in columns and form == "csv" else [])


@click.command(name="enumerate")
@workload_argument
@hardware_option
@output_options
def enumerate_(workload: str, hardware_file: str | None, form: str, output: str | None) -> None:
    """Every feasible configuration, by ascending AutoTVM index."""
    spaces = compile_all(workload, hardware_file)
    rows = [
        row
        for space in spaces
        for row in config_rows(space.problem, space.indices, named=len(spaces) > 1)
    ]
    emit(rows, config_columns(spaces), form, output)
    exit_when_empty(spaces)


@click.command()
@workload_argument
@hardware_option
@output_options
@click.option("-n", "--number", type=int, default=10, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--method", type=click.Choice(METHODS), default="uniform", show_default=True)
@click.option("--key", metavar="KNOB", help="With --method ordered: smallest values first.")
def sample(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    number: int,
    seed: int,
    method: str,
    key: str | None,
) -> None:
    """Feasible configurations without replacement, the same for the same seed."""
    spaces = compile_all(workload, hardware_file)
    exit_when_empty(spaces)
    rows: list[Row] = []
    for space in spaces:
        if key is not None and key not in space.knob_space.names:
            known = ", ".join(space.knob_space.names)
            raise ConfigError(f"--key {key!r} is no knob; knobs are {known}")
        by = None if key is None else (lambda config, name=key: config[name])
        configs = space.sample(number, seed, method, by)
        indices = np.array([space.knob_space.index(c) for c in configs], dtype=np.int64)
        rows += config_rows(space.problem, indices, named=len(spaces) > 1)
    emit(rows, config_columns(spaces), form, output)


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
@click.option("--all", "everything", is_flag=True, help="Every configuration of the grid.")
def check(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    everything: bool,
) -> None:
    """Whether configurations are feasible, and the cause the stack reports first."""
    machine = load_hardware(hardware_file)
    problems = [Problem(layer, machine) for layer in find_workloads(workload)]
    rows: list[Row] = []
    for problem in problems:
        picked = chosen(problem.knob_space, indices, knobs, everything)
        causes = problem.causes(picked)
        for row, cause in zip(config_rows(problem, picked, len(problems) > 1), causes, strict=True):
            rows.append({**row, "feasible": int(cause == OK), "cause": cause})
    emit(rows, [*config_columns(problems), "feasible", "cause"], form, output)


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
def explain(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
) -> None:
    """Why configurations are refused, in numbers, and what would have to change."""
    found = []
    for space in compile_all(workload, hardware_file):
        for index in chosen(space.knob_space, indices, knobs, everything=False):
            found.append((space, space.explain(space.knob_space.config(int(index)))))
    if form == "table":
        text = "\n".join(f"{space.workload.name}: {explanation}" for space, explanation in found)
        write(text + "\n", output)
        return
    rows = [
        {
            "workload": space.workload.name,
            "index": e.index,
            "cause": e.cause,
            "rule": violation.rule,
            "message": violation.message,
            "remedy": violation.remedy,
        }
        for space, e in found
        for violation in e.violations
    ]
    emit(rows, ["workload", "index", "cause", "rule", "message", "remedy"], form, output)


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
@click.option("--at-least", type=int, default=1, show_default=True, metavar="K")
@click.option(
    "--free",
    multiple=True,
    metavar="KEY=LOW:HIGH",
    help="Sizes to consider (repeatable), log2; all four within 2^4 when not given.",
)
def advise(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    at_least: int,
    free: tuple[str, ...],
) -> None:
    """The smallest change of hardware that makes configurations feasible."""
    from vtacsp.space.advice import Advice
    from vtacsp.space.advice import advise as ask

    hardware, sizes = load_hardware(hardware_file), free_sizes(free)
    advices: list[tuple[Workload, Advice]] = []
    for layer in find_workloads(workload):
        space = KnobSpace.of(layer, hardware)
        configs: list[Config | None] = [None]
        if indices or knobs:
            configs = [space.config(int(i)) for i in chosen(space, indices, knobs, False)]
        for config in configs:
            answer = ask(layer, hardware, config=config, at_least=at_least, free=sizes)
            advices.append((layer, answer))
    if form == "table":
        write("\n".join(str(answer) for _, answer in advices) + "\n", output)
    else:
        rows = [
            {
                "workload": layer.name,
                "possible": int(answer.hardware is not None),
                "feasible": answer.feasible,
                **{key: after for key, (_, after) in answer.changes.items()},
                "conflict": " ".join(answer.core),
            }
            for layer, answer in advices
        ]
        emit(rows, list(dict.fromkeys(key for row in rows for key in row)), form, output)
    if not any(answer.hardware for _, answer in advices):
        sys.exit(NOTHING_FEASIBLE)


@click.command()
@click.argument("file", required=False)
@output_options
def hardware(file: str | None, form: str, output: str | None) -> None:
    """What follows from a vta_config.json: scratchpad depths, elements, instruction fields."""
    machine = load_hardware(file)
    columns = ["scratchpad", "bytes", "element bytes", "depth"]
    rows: list[Row] = [
        dict(zip(columns, (name, machine.bytes(name), machine.element_bytes(name),
                           machine.depth(name)), strict=True))
        for name in (*BUFFERS, "out")
    ]  # fmt: skip
    text = render(rows, columns, form, f"{machine.target}: {machine}", to_file=output is not None)
    if form == "table":
        fields = ", ".join(f"{name} {bits}" for name, bits in machine.isa_fields.items())
        text += f"instruction fields (bits): {fields}\n"
    write(text, output)


@click.command()
@workload_argument
@hardware_option
@click.option("--index", type=int, required=True, metavar="N", help="AutoTVM index.")
@click.option("--output", metavar="FILE", help="Write there instead of printing.")
def program(workload: str, hardware_file: str | None, index: int, output: str | None) -> None:
    """The instructions and micro-ops of one configuration, readable."""
    from vtacsp.program.listing import listing

    machine = load_hardware(hardware_file)
    texts = [listing(layer, machine, index) for layer in find_workloads(workload)]
    write("\n".join(texts), output)


COMMANDS = (report, enumerate_, sample, check, explain, advise, hardware, program)
