"""Rows to a table for people, or to CSV and JSON for programs; to the terminal or a file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vtacsp.errors import VtacspError

__all__ = ["FORMATS", "emit", "render", "write"]

FORMATS = ("table", "csv", "json")
PIPE_WIDTH = 160

Row = dict[str, Any]


def emit(
    rows: Sequence[Row],
    columns: Sequence[str],
    form: str,
    output: str | None,
    title: str = "",
) -> None:
    """Print rows, or write them to the file ``output``; a missing cell is empty."""
    write(render(rows, columns, form, title, to_file=output is not None), output)


def render(
    rows: Sequence[Row],
    columns: Sequence[str],
    form: str,
    title: str = "",
    *,
    to_file: bool = False,
) -> str:
    """Rows as text in one of :data:`FORMATS`."""
    if form == "json":
        return json.dumps(list(rows), indent=1) + "\n"
    if form == "csv":
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return buffer.getvalue()
    return _table(rows, columns, title, to_file)


def write(text: str, output: str | None) -> None:
    """Text to standard output, or to a file.

    Raises :class:`~vtacsp.errors.VtacspError` when the file cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise VtacspError(f"cannot write {output}: {error.strerror or error}") from error


def _table(rows: Sequence[Row], columns: Sequence[str], title: str, to_file: bool) -> str:
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty() and not to_file
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=terminal,
        width=None if terminal else PIPE_WIDTH,
        highlight=False,
    )
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        numeric = all(isinstance(row.get(column, 0), (int, float)) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    console.print(table)
    return buffer.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1%}"
    return str(value)
