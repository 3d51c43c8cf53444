"""The command line: ``vtacsp COMMAND WORKLOAD``.

Exit codes: 0 fine, 2 bad input (one message on standard error), 3 nothing feasible,
130 interrupted (what was measured is in the log).
"""

from __future__ import annotations

import sys

import click

from vtacsp.cli import commands, logs, simulation, study, tuning
from vtacsp.errors import VtacspError

__all__ = ["BAD_INPUT", "main"]

BAD_INPUT = 2


class _Group(click.Group):
    """Errors of the package become one line on standard error and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VtacspError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(BAD_INPUT)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vtacsp")
def main() -> None:
    """Exact feasible schedule spaces for the VTA tensor accelerator.

    WORKLOAD is a suite (resnet18, mobilenet, dcgan, deepbench), a suite member (resnet18.C8) or
    a JSON file with one workload or a list of them.
    """


GROUPS = (commands, simulation, tuning, logs, study)

for command in (command for group in GROUPS for command in group.COMMANDS):
    main.add_command(command)
