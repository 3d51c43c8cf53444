"""Rows to a table for people, or to CSV and JSON for programs; to the terminal or a file.

Columns are named by their path in a row of JSON: ``first.sram:acc`` is the value of ``sram:acc``
in the object ``first``, and the column ``first_sram_acc`` of CSV.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Literal

from vtacsp.cli.terminal import ascii_only, printable, put, say, width
from vtacsp.files import check_writable, write_text

__all__ = [
    "FORMATS",
    "LINES",
    "Row",
    "check_outputs",
    "print_rows",
    "rows_as_table",
    "rows_as_text",
    "write",
    "wrote",
]

FORMATS = ("table", "csv", "json")
LINES = "jsonl"
"""A row per line of JSON, of commands whose rows other commands read."""
AT_ONCE = 4096  # rows that are text at the same time

Row = dict[str, Any]


def print_rows(
    rows: Iterable[Row],
    columns: Sequence[str],
    form: str,
    output: str | None,
    title: str = "",
) -> None:
    """Print rows, or write them to the file ``output``; a missing cell is empty, in JSON null.

    CSV and JSON are written while the rows are made: there may be millions of them.
    """
    if form == "table":
        write(rows_as_table(list(rows), columns, title, to_file=output is not None), output)
        return
    texts = _texts(rows, columns, form, to_file=output is not None)
    if output is not None:
        write_text(output, texts)
        return
    for text in texts:
        put(text)


def rows_as_text(
    rows: Sequence[Row],
    columns: Sequence[str],
    form: str,
    title: str = "",
    *,
    to_file: bool = False,
) -> str:
    """Rows as text in one of :data:`FORMATS`."""
    if form == "table":
        return rows_as_table(rows, columns, title, to_file=to_file)
    return "".join(_texts(rows, columns, form, to_file))


def _texts(rows: Iterable[Row], columns: Sequence[str], form: str, to_file: bool) -> Iterator[str]:
    """Rows as text, some at a time."""
    rest = iter(rows)
    parts = iter(lambda: list(islice(rest, AT_ONCE)), [])
    if form == "json":
        names = list(dict.fromkeys(path.partition(".")[0] for path in columns))
        separator = "["
        for part in parts:
            text = json.dumps([{name: row.get(name) for name in names} for row in part], indent=1)
            yield separator + text[1:-2]
            separator = ","
        yield "[]\n" if separator == "[" else "\n]\n"
        return
    if form == LINES:
        for part in parts:
            kept = ({name: row[name] for name in columns if name in row} for row in part)
            yield "".join(json.dumps(row) + "\n" for row in kept)
        return
    plain = to_file or not sys.stdout.isatty()
    heads = [[re.sub(r"\W", "_", path) for path in columns]]
    for lines in chain(
        [heads], ([[_at(row, path) for path in columns] for row in p] for p in parts)
    ):
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(lines)
        yield buffer.getvalue() if plain else printable(buffer.getvalue())


def _at(row: Mapping[str, Any], path: str) -> Any:
    """The value at a path; None when it is not there."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return int(value) if isinstance(value, bool) else value


def write(text: str, output: str | None) -> None:
    """Text to standard output, or to a file, whole or not at all.

    Raises :class:`~vtacsp.errors.VtacspError` when it cannot be written.
    """
    if output is None:
        put(text)
    else:
        write_text(output, text)


def check_outputs(*paths: str | None) -> None:
    """Files that cannot be written are said before the work; None is no file.

    Raises :class:`~vtacsp.errors.VtacspError`.
    """
    for path in paths:
        if path is not None:
            check_writable(path)


def wrote(*paths: str | None) -> None:
    """Say on standard error what was written."""
    for path in paths:
        if path is not None:
            say(f"wrote {path}")


def rows_as_table(
    rows: Sequence[Row], columns: Sequence[str], title: str = "", *, to_file: bool = False
) -> str:
    """Rows for people, as wide as the terminal; names of layers are text and never markup.

    No word is broken: where the words of a row do not fit side by side, each row is a list.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout is not None and sys.stdout.isatty() and not to_file
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=terminal, width=width(), highlight=False)
    lines = box.ASCII if ascii_only() and not to_file else box.HEAVY_HEAD
    grid = Table(header_style="bold", box=lines)
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = _widths([columns, *cells], width() - 3 * len(columns) - 1)
    for place, column in enumerate(columns):
        numeric = all(_NUMBER.fullmatch(row[place]) for row in cells)
        side: Literal["right", "left"] = "right" if numeric else "left"
        grid.add_column(column, justify=side, width=widths[place] if widths else None)
    for row in cells:
        grid.add_row(*map(Text, row))
    if title:
        console.print(Text(printable(title)), soft_wrap=not terminal)
    if widths is not None:
        console.print(grid)
    else:
        console.print(Text(_lists(columns, cells)), soft_wrap=not terminal)
    return buffer.getvalue()


def _widths(lines: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """A width per column that breaks no word, together at most ``room``; None: there is none."""
    from rich.cells import cell_len

    columns = list(zip(*lines, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    least = [max(cell_len(w) for cell in c for w in cell.split() or [""]) for c in columns]
    if sum(least) > room:
        return None
    while sum(widths) > room:
        wide = max((w, place) for place, w in enumerate(widths) if w > least[place])[1]
        widths[wide] -= 1
    return widths


def _lists(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Every row as lines of a name and a value; values without a word are left out."""
    left = max(map(len, columns), default=0)
    rows = [
        "\n".join(f"{name:{left}}  {cell}" for name, cell in zip(columns, row, strict=True) if cell)
        for row in cells
    ]
    return "\n\n".join(rows)


_NUMBER = re.compile(r"-?[\d,]*(\.\d+)?%?")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1%}"
    return printable(str(value)).strip()  # a blank in front would be broken off as a line
