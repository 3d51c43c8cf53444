"""The frame of a page: one self-contained HTML file in the style of all reports."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

from vtacsp.glossary import SECTIONS
from vtacsp.report.origin import Origin

__all__ = ["header", "page"]


def page(title: str, top: str, keys: str, body: str, origin: Origin) -> str:
    """A whole page: its header, the bar with the keys of its colours, its sections, the words."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{_asset('report.css')}</style></head><body>{top}"
        f"<nav><div>{keys}</div></nav><main>{body}{_glossary()}<footer>{origin.html()}</footer></main>"
        f'<div id="tip"></div><script>{_asset("report.js")}</script></body></html>\n'
    )


def header(title: str, subtitle: str, tiles: Iterable[tuple[str, str]]) -> str:
    """The title and a few large numbers with their names."""
    shown = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in tiles
    )
    return (
        f"<header><div><h1>{escape(title)}</h1><p>{escape(subtitle)}</p>"
        f'<div class="tiles">{shown}</div></div></header>'
    )


def _glossary() -> str:
    """The words of the page, at its end: nobody should need another file to read it."""
    parts = []
    for title, words in SECTIONS.items():
        entries = "".join(
            f"<div><dt>{escape(word)}</dt><dd>{escape(text)}</dd></div>"
            for word, text in words.items()
        )
        parts.append(f"<div><h3>{escape(title)}</h3><dl>{entries}</dl></div>")
    return (
        f'<section id="glossary"><h2>Glossary</h2><div class="words">{"".join(parts)}</div>'
        '<p class="note">Also: <code>vtacsp glossary WORD</code>, and docs/glossary.md of the '
        "repository.</p></section>"
    )


def _asset(name: str) -> str:
    return (files("vtacsp.report") / "assets" / name).read_text(encoding="utf-8").strip()
