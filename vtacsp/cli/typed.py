"""The command line as it was typed, for the footers of pages."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

__all__ = ["remember", "typed_command"]

KEY = "vtacsp.typed"


def remember(context: click.Context, arguments: Sequence[str]) -> None:
    """Keep the arguments with the context of the command, which parses them away."""
    context.meta[KEY] = tuple(arguments)


def typed_command() -> str:
    """The command line that runs, quoted for a shell."""
    return shlex.join(["vtacsp", *click.get_current_context().meta.get(KEY, ())])
