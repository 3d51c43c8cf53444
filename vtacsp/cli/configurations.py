"""Commands that list configurations: ``enumerate``, ``sample`` and ``check``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import numpy as np

from vtacsp.cli.knobs import CONFIG, chosen, config_columns, config_rows, config_shown
from vtacsp.cli.layers import NOTHING_FEASIBLE, compile_all, each
from vtacsp.cli.options import (
    hardware_option,
    index_option,
    knob_option,
    load_layers,
    output_options,
    seed_option,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, emit
from vtacsp.errors import ConfigError, SpaceError, shortened
from vtacsp.space.feasible import FeasibleSpace, compile
from vtacsp.space.problem import OK, Problem
from vtacsp.space.sampling import METHODS
from vtacsp.workload import Workload

__all__ = ["COMMANDS"]


@click.command(name="enumerate")
@workload_argument
@hardware_option
@output_options
def enumerate_(workload: str, hardware_file: str | None, form: str, output: str | None) -> None:
    """Every feasible configuration, by ascending AutoTVM index."""
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    def all_of(layer: Workload) -> tuple[FeasibleSpace, list[Row]]:
        space = compile(layer, hardware)
        return space, config_rows(space.problem, space.indices)

    done = each(layers, all_of)
    rows = [row for _, rows in done.results for row in rows]
    several = len(layers) > 1
    columns = config_columns([space for space, _ in done.results], several)
    _list(rows, columns, form, output, several)
    done.end(feasible=bool(rows))


@click.command()
@workload_argument
@hardware_option
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
    compiled = compile_all(layers, hardware)
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
        return config_rows(space.problem, np.array(indices, dtype=np.int64))

    done = each(compiled.results, draw)
    rows = [row for rows in done.results for row in rows]
    _list(rows, CONFIG, form, output, len(layers) > 1)
    compiled.end()
    done.end()


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
    """Whether configurations are feasible, and the cause the stack reports first.

    Exit code 3 says that none of them is.
    """
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    def judge(layer: Workload) -> tuple[Problem, list[Row]]:
        problem = Problem(layer, hardware)
        picked = chosen(problem.knob_space, indices, knobs, everything)
        judged = zip(config_rows(problem, picked), problem.causes(picked), strict=True)
        return problem, [
            {**row, "feasible": int(cause == OK), "cause": cause} for row, cause in judged
        ]

    done = each(layers, judge)
    rows = [row for _, rows in done.results for row in rows]
    several = len(layers) > 1
    columns = config_columns([problem for problem, _ in done.results], several)
    _list(rows, [*columns, "feasible", "cause"], form, output, several)
    done.end()
    if not any(row["feasible"] for row in rows):
        sys.exit(NOTHING_FEASIBLE)


def _list(
    rows: Sequence[Row], columns: Sequence[str], form: str, output: str | None, named: bool
) -> None:
    """Configurations with a column per knob, or for people with one for all of them."""
    if form == "table":
        rows = [config_shown(row, named) for row in rows]
        columns = list(dict.fromkeys(key for row in rows for key in row)) or ["index"]
    emit(rows, columns, form, output)


COMMANDS = (enumerate_, sample, check)
