"""The frame of a page: one self-contained HTML file in the style of all reports."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

__all__ = ["header", "page"]


def page(title: str, top: str, keys: str, body: str, command: str) -> str:
    """A whole page: its header, the bar with the keys of its colours, its sections."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{_asset('report.css')}</style></head><body>{top}"
        f"<nav><div>{keys}</div></nav><main>{body}<footer>vtacsp {escape(command)}</footer></main>"
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


def _asset(name: str) -> str:
    return (files("vtacsp.report") / "assets" / name).read_text(encoding="utf-8").strip()
