"""Commands that list configurations: ``enumerate``, ``sample`` and ``check``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import click
import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.causes import OK
from vtacsp.cli.knob_columns import CONFIG, chosen, config_columns, config_rows, config_shown
from vtacsp.cli.layers import NOTHING_FEASIBLE, compile_all, each
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
from vtacsp.cli.output import Row, check_outputs, emit
from vtacsp.errors import ConfigError, SpaceError, VtacspError, shortened
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import Problem
from vtacsp.space.sampling import METHODS

__all__ = ["COMMANDS"]

LONGEST_TABLE = 200_000  # rows; a terminal keeps less


@click.command(name="enumerate")
@workload_argument
@hardware_option
@stack_only_option
@output_options
def enumerate_(
    workload: str, hardware_file: str | None, stack_only: bool, form: str, output: str | None
) -> None:
    """Every feasible configuration, by ascending AutoTVM index."""
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    done = compile_all(layers, hardware, stack_only)
    several = len(layers) > 1
    listed = sum(map(len, done.results))
    rows = (row for space in done.results for row in config_rows(space.problem, space.indices))
    _list(rows, listed, config_columns(done.results, several), form, output, several)
    done.end(feasible=listed > 0)


@click.command()
@workload_argument
@hardware_option
@stack_only_option
@output_options
@click.option(
    "-n", "--number", type=click.IntRange(0), default=10, show_default=True, help="Per layer."
)
@seed_option
@click.option("--method", type=click.Choice(METHODS), default="uniform", show_default=True)
@click.option("--key", metavar="KNOB", help="With --method ordered: smallest values first.")
def sample(
    workload: str,
    hardware_file: str | None,
    stack_only: bool,
    form: str,
    output: str | None,
    number: int,
    seed: int,
    method: str,
    key: str | None,
) -> None:
    """Feasible configurations without replacement, the same for the same seed."""
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)
    compiled = compile_all(layers, hardware, stack_only)
    if not any(map(len, compiled.results)):
        compiled.end(feasible=False)

    def draw(space: FeasibleSpace) -> list[Row]:
        name, knobs = space.workload.name, space.knob_space
        if key is not None and key not in knobs.names:
            known = ", ".join(knobs.names)
            raise ConfigError(f"--key {shortened(key)} is no knob of {name}; knobs are {known}")
        if number > len(space):
            raise SpaceError(
                f"cannot sample {number} configurations of {name}, it has {len(space)}"
            )
        by = None if key is None else (lambda config: config[key])
        indices = [knobs.index(config) for config in space.sample(number, seed, method, by)]
        return list(config_rows(space.problem, np.array(indices, dtype=np.int64)))

    done = each(compiled.results, draw)
    rows = [row for rows in done.results for row in rows]
    _list(rows, len(rows), CONFIG, form, output, len(layers) > 1)
    compiled.end()
    done.end()


@click.command()
@workload_argument
@hardware_option
@stack_only_option
@output_options
@index_option
@knob_option
@click.option("--all", "everything", is_flag=True, help="Every configuration of the grid.")
def check(
    workload: str,
    hardware_file: str | None,
    stack_only: bool,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    everything: bool,
) -> None:
    """Whether configurations are feasible, and the cause the stack reports first.

    Exit code 3 says that none of them is.
    """
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    def judge(layer: Workload) -> tuple[Problem, IntArray, IntArray]:
        problem = Problem(layer, hardware, stack_only=stack_only)
        picked = chosen(problem.knob_space, indices, knobs, everything)
        return problem, picked, problem.first_violations(picked)

    def judged() -> Iterator[Row]:
        for problem, picked, first in done.results:
            labels = [*(rule.cause for rule in problem.rules), OK]
            for row, position in zip(config_rows(problem, picked), first, strict=True):
                cause = labels[position]
                yield {**row, "feasible": int(cause == OK), "cause": cause}

    done = each(layers, judge)
    several = len(layers) > 1
    columns = config_columns([problem for problem, _, _ in done.results], several)
    listed = sum(len(picked) for _, picked, _ in done.results)
    _list(judged(), listed, [*columns, "feasible", "cause"], form, output, several)
    done.end()
    if all((first >= 0).all() for _, _, first in done.results):
        sys.exit(NOTHING_FEASIBLE)


def _list(
    rows: Iterable[Row],
    number: int,
    columns: Sequence[str],
    form: str,
    output: str | None,
    named: bool,
) -> None:
    """Configurations with a column per knob, or for people with one for all of them."""
    if form == "table":
        if number > LONGEST_TABLE:
            raise VtacspError(
                f"a table of {number:,} configurations is not for people, the most is "
                f"{LONGEST_TABLE:,}; use --format csv"
            )
        rows = [config_shown(row, named) for row in rows]
        columns = list(dict.fromkeys(key for row in rows for key in row)) or ["index"]
    emit(rows, columns, form, output)


COMMANDS = (enumerate_, sample, check)
