"""``vtacsp program``: the instructions and micro-ops of a configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from vtacsp.cli.layers import each
from vtacsp.cli.options import hardware_option, load_layers, output_options, workload_argument
from vtacsp.cli.output import Row, check_outputs, print_rows, write
from vtacsp.cli.terminal import printable
from vtacsp.errors import ProgramError, TooLongError, VtacspError
from vtacsp.machine.instructions import INSTRUCTION
from vtacsp.operators.workload import Workload

__all__ = ["COMMANDS", "pointing_to_explain"]

COLUMNS = ("workload", "index", "instruction", "text", *(INSTRUCTION.names or ()))


@click.command()
@workload_argument
@hardware_option
@output_options
@click.option("--index", type=int, required=True, metavar="N", help="AutoTVM index.")
def program(
    workload: str, hardware_file: str | None, form: str, output: str | None, index: int
) -> None:
    """The instructions and micro-ops of one configuration, readable."""
    from vtacsp.operators.builder import build
    from vtacsp.program.listing import line, listing

    layers, hardware = load_layers(workload, hardware_file)
    check_outputs(output)

    def instructions(layer: Workload) -> list[Row]:
        made = build(layer, hardware, index)
        head = {"workload": layer.name, "index": index}
        return [
            {**head, "instruction": at, "text": line(made, at), **_fields(made.instructions[at])}
            for at in range(len(made))
        ]

    with pointing_to_explain(workload, hardware_file, (index,)):
        if form == "table":
            texts = each(layers, lambda layer: listing(build(layer, hardware, index), index))
            write(printable("\n".join(texts.results)) + "\n", output)
            texts.end()
            return
        done = each(layers, instructions)
    print_rows([row for rows in done.results for row in rows], COLUMNS, form, output)
    done.end()


def _fields(record: Any) -> Row:
    return {name: int(record[name]) for name in INSTRUCTION.names or ()}


@contextmanager
def pointing_to_explain(
    workload: str, hardware_file: str | None, indices: Sequence[int]
) -> Iterator[None]:
    """An error about a configuration that cannot run says which command tells why."""
    try:
        yield
    except TooLongError:  # no rule refuses it
        raise
    except ProgramError as error:
        words = ["vtacsp", "explain", workload]
        words += ["--hardware", hardware_file] if hardware_file else []
        words += ["--index", str(indices[0])] if len(indices) == 1 else ["--index", "..."]
        raise VtacspError(f"{error}; `{shlex.join(words)}` says why") from error


COMMANDS = (program,)
