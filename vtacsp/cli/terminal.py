"""What reaches a terminal: no control characters, lines on standard error, streams that fail."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress

import click

from vtacsp.errors import VtacspError

__all__ = ["ascii_only", "forget_output", "prepare_streams", "printable", "put", "say", "width"]

PIPE_WIDTH = 160  # of a table that goes to a pipe or a file, when COLUMNS does not say
NARROWEST = 20


def printable(text: str) -> str:
    """Text without what a terminal would obey: control characters are escaped, lines stay."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def say(text: str) -> None:
    """One line on standard error; what it cannot hold is escaped, and nobody may be listening."""
    with suppress(OSError, ValueError):
        click.echo(printable(text.strip().replace("\n", " ")), err=True)


def put(text: str) -> None:
    """Text on standard output.

    Raises :class:`~vtacsp.errors.VtacspError` when it cannot be written, and
    :class:`BrokenPipeError` when the reader has gone away.
    """
    if sys.stdout is None:
        raise VtacspError("cannot write standard output: it is closed")
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as failure:
        forget_output()
        reason = failure.strerror or failure
        raise VtacspError(f"cannot write standard output: {reason}") from failure


def prepare_streams() -> None:
    """What an encoding such as latin-1 has no sign for is escaped, and raises no exception."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def forget_output() -> None:
    """Drop what standard output still holds: Python would try to write it again at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def ascii_only() -> bool:
    """Whether standard output has no signs for the lines of a table."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return not encoding.lower().startswith("utf")


def width() -> int:
    """Columns of a table: those of the terminal, or of COLUMNS, which a pipe heeds too."""
    return max(shutil.get_terminal_size((PIPE_WIDTH, 24)).columns, NARROWEST)
