"""``vtacsp glossary``: what the words of reports and explanations mean."""

from __future__ import annotations

import shutil
from textwrap import fill

import click

from vtacsp.errors import VtacspError
from vtacsp.glossary import look_up

__all__ = ["COMMANDS"]

WIDEST = 100


@click.command()
@click.argument("word", required=False)
def glossary(word: str | None) -> None:
    """What the words mean: all of them, or those with WORD in their name."""
    found = look_up(word or "")
    if not found:
        raise VtacspError(
            f"no {str(word)[:40]!r} in the glossary; `vtacsp glossary` lists every word"
        )
    width = min(shutil.get_terminal_size().columns, WIDEST)
    for name, meaning in found.items():
        text = f"{name}: {meaning}"
        click.echo(fill(text, width, subsequent_indent="  ", break_on_hyphens=False))


COMMANDS = (glossary,)
