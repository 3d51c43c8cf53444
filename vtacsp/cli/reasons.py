"""Commands that say why and what would help: ``explain`` and ``advise``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vtacsp.cli.cycle_advice import advise_cycles, check_alone
from vtacsp.cli.free_spaces import explain_schedules
from vtacsp.cli.knob_columns import chosen
from vtacsp.cli.layers import NOTHING_FEASIBLE, each
from vtacsp.cli.options import (
    free_sizes,
    hardware_option,
    index_option,
    knob_option,
    load_layers,
    output_options,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, print_rows, write
from vtacsp.cli.own_rules import OwnRules, own_rules_options
from vtacsp.cli.preset import timing_options
from vtacsp.cli.schedules import check_free, free_option, schedule_option
from vtacsp.cli.terminal import printable
from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import BUFFER_FIELDS
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.workload import Workload
from vtacsp.space.explanation import Explanation
from vtacsp.space.feasible import compile

if TYPE_CHECKING:
    from vtacsp.space.advice import Advice, NetworkAdvice

__all__ = ["COMMANDS"]

WORDS = "What the words mean: `vtacsp glossary`, or docs/glossary.md"
REASONS = ("workload", "index", "cause", "rule", "message", "remedy")
ADVICE = (
    *("scope", "workload", "index", "possible", "feasible"),
    *(key.lower() for key in BUFFER_FIELDS.values()),
    "conflict",
)


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
@free_option
@schedule_option
@own_rules_options
def explain(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    free: bool,
    schedules: tuple[str, ...],
    own: OwnRules,
) -> None:
    """Why configurations are refused, in numbers, and what would have to change.

    With --free the same of schedules, every broken rule of each.
    """
    check_free(free, {"--schedule": schedules}, {"--index": indices, "--knob": knobs})
    if free:
        explain_schedules(workload, hardware_file, own, schedules, form, output, WORDS)
        return
    rules = own.of_template()
    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    def reasons(layer: Workload) -> list[tuple[Workload, Explanation]]:
        space = compile(layer, hardware, rules)
        picked = chosen(space.knob_space, indices, knobs, None).tolist()
        return [(layer, space.explain(space.knob_space.config(index))) for index in picked]

    done = each(layers, reasons)
    found = [pair for pairs in done.results for pair in pairs]
    if form == "table":
        lines = [f"{layer.name}: {explanation}" for layer, explanation in found]
        write(printable("\n".join([*lines, WORDS])) + "\n", output)
    else:
        print_rows([row for pair in found for row in _reasons(*pair)], REASONS, form, output)
    done.end()


def _reasons(layer: Workload, explanation: Explanation) -> list[Row]:
    """A row per broken rule; one without a rule for a feasible configuration."""
    head: Row = {
        "workload": layer.name,
        "index": explanation.index,
        "cause": explanation.cause,
    }
    if explanation.feasible:
        return [head]
    return [
        {**head, "rule": v.rule, "message": v.message, "remedy": v.remedy or None}
        for v in explanation.violations
    ]


@click.command()
@workload_argument
@hardware_option
@output_options
@index_option
@knob_option
@click.option("--at-least", type=click.IntRange(1), default=1, show_default=True, metavar="K")
@click.option(
    "--free",
    multiple=True,
    metavar="KEY=LOW:HIGH",
    help="Sizes to consider (repeatable), log2; all four within 2^4 when not given.",
)
@click.option(
    "--faster",
    type=float,
    metavar="PERCENT",
    help="Instead: the smallest change that makes the network so much faster; batch, block and "
    "LOG_BUS_WIDTH may change too.",
)
@click.option(
    "--smallest",
    metavar="SIZE",
    help="Instead: how small a size (INP, LOG_INP_BUFF_SIZE) may be before it costs --slower.",
)
@click.option(
    "--slower", type=float, metavar="PERCENT", help="What --smallest may cost.  [default: 1]"
)
@timing_options
def advise(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    indices: tuple[int, ...],
    knobs: tuple[str, ...],
    at_least: int,
    free: tuple[str, ...],
    faster: float | None,
    smallest: str | None,
    slower: float | None,
    preset: str,
    overrides: tuple[str, ...],
) -> None:
    """The smallest change of hardware that makes configurations feasible, or a network faster.

    For every layer on its own, and for a network also one machine for all its layers.
    """
    if smallest is None and slower is not None:
        raise SpaceError("--slower says what --smallest may cost, which is not given")
    if faster is None and smallest is None and (overrides or preset != "rtl"):
        given = f"--timing {overrides[0]}" if overrides else f"--preset {preset}"
        raise SpaceError(f"{given:.80}: --preset and --timing go with --faster and --smallest")
    if faster is not None or smallest is not None:
        others = bool(indices or knobs) or at_least > 1 or (faster is not None) == bool(smallest)
        check_alone(others)
        advise_cycles(
            workload, hardware_file, preset, overrides, faster, smallest, slower, free, form, output
        )
        return
    from vtacsp.space.advice import advise as ask
    from vtacsp.space.advice import advise_network

    layers, hardware = load_layers(workload, hardware_file)
    sizes = free_sizes(free)
    check_outputs(output)

    def answers(layer: Workload) -> list[tuple[Workload, int | None, Advice]]:
        space = KnobSpace.of(layer, hardware)
        asked: list[int | None] = [None]
        if indices or knobs:
            asked = chosen(space, indices, knobs, None).tolist()
        found = []
        for index in asked:
            config = None if index is None else space.config(index)
            answer = ask(layer, hardware, config=config, at_least=at_least, free=sizes)
            found.append((layer, index, answer))
        return found

    done = each(layers, answers)
    advices = [pair for pairs in done.results for pair in pairs]
    network: NetworkAdvice | None = None
    if len(done.results) > 1 and not (indices or knobs or done.interrupted):
        packed = [layer for layer, *_ in advices]
        try:
            network = advise_network(packed, hardware, at_least=at_least, free=sizes)
        except KeyboardInterrupt:
            done.interrupted = True
    if form == "table":
        write(printable(_told(workload, advices, network)), output)
    else:
        rows = [_row(*pair) for pair in advices]
        if network is not None:
            rows.append(_network_row(workload, network))
        print_rows(rows, ADVICE, form, output)
    done.end()
    if not any(answer.hardware for *_, answer in advices):
        sys.exit(NOTHING_FEASIBLE)


def _told(
    workload: str, advices: list[tuple[Workload, int | None, Advice]], network: NetworkAdvice | None
) -> str:
    lines = [str(answer) for *_, answer in advices]
    if network is not None:
        lines.insert(0, "Each layer on its own, a machine per layer:")
        lines += [f"One machine for all {len(advices)} layers of {workload}:", str(network)]
    return "\n".join(lines) + "\n"


def _row(layer: Workload, index: int | None, answer: Advice) -> Row:
    sizes = answer.hardware.symbols if answer.hardware is not None else {}
    return {
        "scope": "layer",
        "workload": layer.name,
        "index": index,
        "possible": int(answer.hardware is not None),
        "feasible": answer.feasible,
        **{key.lower(): sizes.get(key) for key in BUFFER_FIELDS.values()},
        "conflict": " ".join(answer.core) or None,
    }


def _network_row(workload: str, answer: NetworkAdvice) -> Row:
    sizes = answer.hardware.symbols if answer.hardware is not None else {}
    return {
        "scope": "network",
        "workload": workload,
        "possible": int(answer.hardware is not None),
        "feasible": min(answer.counts),
        **{key.lower(): sizes.get(key) for key in BUFFER_FIELDS.values()},
        "conflict": " ".join(answer.short) or None,
    }


COMMANDS = (explain, advise)
