"""The section of a page about schedules beyond the template, and how far the limit is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from vtacsp.free.compared import ScheduleComparison
from vtacsp.report.gantt import draw_timeline
from vtacsp.report.overview import number_class
from vtacsp.timing.breakdown import TimingResult

__all__ = ["Beyond", "beyond_section"]

LIMIT, ABOVE, SAVED = "#066640", "#e9602a", "#a9b8c1"
"""Colours of the cycles below the limit, those above it, and those that a free schedule saves."""

NUMBERS = (  # and whether a narrow screen shows them too
    ("Times", False),
    ("Template", True),
    ("Free", True),
    ("Faster", False),
    ("Limit", False),
    ("Gap", True),
)


@dataclass(frozen=True)
class Beyond(ScheduleComparison):
    """A layer of the section; the programs that are there are drawn, one under the other."""

    schedule: str = ""
    programs: Mapping[str, TimingResult] = field(default_factory=dict, repr=False)


def beyond_section(rows: Sequence[Beyond], links: Mapping[str, str] | None = None) -> str:
    """A table with a bar per layer, the sum over all runs, and two timelines of each layer.

    ``links`` are the fragment identifiers of layers that the page has more about.
    """
    whole = ScheduleComparison.total(rows) if len(rows) > 1 else None
    head = "".join(f"<th{number_class(narrow)}>{name}</th>" for name, narrow in NUMBERS)
    body = "".join(_row(row, (links or {}).get(row.name, "")) for row in rows)
    foot = "" if whole is None else f"<tfoot>{_row(whole, '')}</tfoot>"
    keys = " ".join(
        f'<span class="key"><i style="background:{colour}"></i>{word}</span>'
        for colour, word in (
            (LIMIT, "the limit"),
            (ABOVE, "what is left above it"),
            (SAVED, "what a free schedule saves"),
        )
    )
    return (
        '<section id="beyond"><h2>Beyond the template</h2>'
        f"{_sentence(whole or rows[0])}"
        '<table class="bars"><thead><tr><th>Layer</th>'
        f"{head}<th>Of the template</th></tr></thead><tbody>{body}</tbody>{foot}</table>"
        f'<p class="note">{keys}</p>'
        '<p class="note">Template: the best configuration of AutoTVM\'s template. Free: a program '
        "of the same instructions without the template's restrictions, where one is known that is "
        "faster; <code>vtacsp export</code> writes it. Limit: no program of the instruction set "
        "needs fewer cycles. Gap: how far the faster one is above the limit. Total: of all runs."
        f"</p>{''.join(map(_timelines, rows))}</section>"
    )


def _sentence(row: ScheduleComparison) -> str:
    """What holds for the only layer, or for all of them together: the certificate."""
    if row.cycles is None:
        return ""
    return (
        f'<p class="headline"><b>{row.cycles:,} cycles</b>; no program of this instruction set '
        f"needs fewer than {row.limit:,} ({row.gap:.1%})</p>"
    )


def _row(row: ScheduleComparison, link: str) -> str:
    name = escape(_short(row.name))
    if link:
        name = f'<a href="#{link}" title="{escape(row.name)}">{name}</a>'
    cells = (
        "" if row.count is None else f"{row.count:,}",
        *("" if cycles is None else f"{cycles:,}" for cycles in (row.template, row.free)),
        _percent(row.faster),
        f"{row.limit:,}",
        _percent(row.gap),
    )
    numbers = "".join(
        f"<td{number_class(narrow)}>{cell}</td>"
        for cell, (_, narrow) in zip(cells, NUMBERS, strict=True)
    )
    return f'<tr><td>{name}</td>{numbers}<td class="track">{_bar(row)}</td></tr>'


def _bar(row: ScheduleComparison) -> str:
    if row.cycles is None:
        return ""
    most = max(row.cycles, row.template or 0)
    parts = (
        (LIMIT, "limit", row.limit),
        (ABOVE, "above the limit", row.cycles - row.limit),
        (SAVED, "saved by the free schedule", most - row.cycles),
    )
    bars = "".join(
        f'<i style="width:{100 * cycles / most:.3f}%;background:{colour}" '
        f'title="{word}: {cycles:,} cycles"></i>'
        for colour, word, cycles in parts
    )
    return f'<div class="stack">{bars}</div>'


def _timelines(row: Beyond) -> str:
    """The programs of a layer, one under the other, on demand."""
    if not row.programs:
        return ""
    drawn = "".join(
        f"<h3>{escape(name)}: {result.cycles:,} cycles</h3>"
        f'<div class="scroll">{draw_timeline(result)}</div>'
        for name, result in row.programs.items()
    )
    words = f'<p class="note">{escape(row.schedule)}</p>' if row.schedule else ""
    return (
        f'<details class="machine"><summary>{escape(row.name)}: the programs</summary>'
        f"{words}{drawn}</details>"
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"…{name[-27:]}"
