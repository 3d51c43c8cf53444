"""Commands that list configurations: ``enumerate``, ``sample`` and ``check``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import click
import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.causes import OK
from vtacsp.cli.free_spaces import check_schedules, sample_schedules
from vtacsp.cli.knob_columns import CONFIG, chosen, config_columns, config_rows, config_shown
from vtacsp.cli.layers import NOTHING_FEASIBLE, compile_all, each
from vtacsp.cli.network import Asked, layers_of, network_options, short
from vtacsp.cli.options import (
    hardware_option,
    index_option,
    knob_option,
    load_layers,
    output_options,
    sample_output_options,
    seed_option,
    stack_only_option,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, print_rows, rows_as_table, write
from vtacsp.cli.own_rules import OwnRules, own_rules_options
from vtacsp.cli.schedules import check_free, free_option, schedule_option
from vtacsp.errors import ConfigError, SpaceError, VtacspError, shortened
from vtacsp.network.value import Network
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
@network_options
@own_rules_options
def enumerate_(
    workload: str,
    hardware_file: str | None,
    stack_only: bool,
    form: str,
    output: str | None,
    asked: Asked,
    own: OwnRules,
) -> None:
    """Every feasible configuration, by ascending AutoTVM index.

    Of a network: of every distinct layer, with how often the network has it; the table ends with
    the feasible share of each layer and of all, and what the host has.
    """
    found, hardware = asked.find(workload, hardware_file)
    network = found if isinstance(found, Network) else None
    if isinstance(found, Network):
        layers_of(found)
        layers = found.workloads
    else:
        layers = found
    check_outputs(output)

    done = compile_all(layers, hardware, stack_only, own.of_template())
    several = len(layers) > 1 or network is not None
    listed = sum(map(len, done.results))
    rows = (row for space in done.results for row in config_rows(space.problem, space.indices))
    columns = config_columns(done.results, several)
    if network is None or form == "table":
        below = "" if network is None else _shares(network, done.results, output is not None)
        _list(rows, listed, columns, form, output, several, below)
    else:
        count = {layer.name: layer.count for layer in network.layers}
        counted = ({**row, "count": count[row["workload"]]} for row in rows)
        print_rows(counted, [columns[0], "count", *columns[1:]], form, output)
    done.end(feasible=listed > 0)


def _shares(network: Network, spaces: Sequence[FeasibleSpace], to_file: bool) -> str:
    """The feasible share of every layer of a network and of all, and how many nodes the host has.

    A layer is counted once here, however often the network has it: it is one space.
    """
    count = {layer.name: layer.count for layer in network.layers}
    rows = [
        _share(s.workload.name, count[s.workload.name], len(s.knob_space), len(s)) for s in spaces
    ]
    sums = [sum(row[name] for row in rows) for name in ("n", "grid", "feasible")]
    rows.append(_share("total", *sums))
    title = f"{network.name}; n: how often the network has the layer"
    host = sum(node.count for node in network.host)
    return (
        rows_as_table(rows, list(rows[0]), title, to_file=to_file)
        + f"on the host: {host:,} nodes (`vtacsp network` says which, and why)\n"
    )


def _share(name: str, count: int, grid: int, feasible: int) -> Row:
    share = feasible / grid if grid else None
    return {"layer": short(name), "n": count, "grid": grid, "feasible": feasible, "share": share}


@click.command()
@workload_argument
@hardware_option
@stack_only_option
@sample_output_options
@free_option
@own_rules_options
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
    free: bool,
    own: OwnRules,
) -> None:
    """Feasible configurations without replacement, the same for the same seed.

    With --free: schedules beyond the template, each of a layer's as likely as any other. With
    `--format jsonl` each row is a line of JSON: a file of them is what --schedule takes.
    """
    if free:
        other = None if method == "uniform" else method
        check_free(free, {}, {"--stack-only": stack_only, "--method": other, "--key": key})
        sample_schedules(workload, hardware_file, own, number, seed, form, output)
        return
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)
    compiled = compile_all(layers, hardware, stack_only, own.of_template())
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
@free_option
@schedule_option
@own_rules_options
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
    free: bool,
    schedules: tuple[str, ...],
    own: OwnRules,
) -> None:
    """Whether configurations are feasible, and the cause the stack reports first.

    With --free the same of schedules. Exit code 3 says that none of them is.
    """
    others = {"--stack-only": stack_only, "--index": indices, "--knob": knobs, "--all": everything}
    check_free(free, {"--schedule": schedules}, others)
    if free:
        check_schedules(workload, hardware_file, own, schedules, form, output)
        return
    rules = own.of_template()
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    def judge(layer: Workload) -> tuple[Problem, IntArray, IntArray]:
        problem = Problem(layer, hardware, rules, stack_only=stack_only)
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
    below: str = "",
) -> None:
    """Configurations with a column per knob, or for people with one for all of them.

    ``below`` stands under the table.
    """
    if form == "table":
        if number > LONGEST_TABLE:
            raise VtacspError(
                f"a table of {number:,} configurations is not for people, the most is "
                f"{LONGEST_TABLE:,}; use --format csv"
            )
        rows = [config_shown(row, named) for row in rows]
        columns = list(dict.fromkeys(key for row in rows for key in row)) or ["index"]
        write(rows_as_table(rows, columns, to_file=output is not None) + below, output)
        return
    print_rows(rows, columns, form, output)


COMMANDS = (enumerate_, sample, check)
