"""The timeline of a program as SVG; :mod:`vtacsp.report.timeline` draws the same for print."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vtacsp.report.activity import Part, Stretch, legend, shares
from vtacsp.report.drawing import text
from vtacsp.timing.breakdown import TimingResult

__all__ = ["draw_timeline"]

WIDTH = 640
LEFT = 92  # room for the names of lanes
LANE, BAR = 25, 20
PALE = ("reset", "dispatch", "sync")  # colours that dark letters stand out from
LETTER = 6.2  # pixels, about
SEAM = 0.6  # between two bars that are wide enough


def draw_timeline(result: TimingResult) -> str:
    """Above, all cycles by what each module did; below, a stretch in order of time."""
    whole = shares(result)
    stretch = Stretch.of(result)
    keys = "".join(
        f'<span><i style="background:{colour}"></i>{escape(label)}</span>'
        for label, colour in legend(result).items()
    )
    return (
        f"<h4>All cycles</h4>{_lanes(whole, 0, result.cycles, labels=True)}"
        f"<h4>{escape(stretch.title.capitalize())}</h4>"
        f"{_lanes(stretch.lanes, stretch.first, stretch.last, labels=False)}"
        f'<div class="marks">{keys}</div>'
    )


def _lanes(lanes: dict[str, list[Part]], first: int, last: int, *, labels: bool) -> str:
    scale = (WIDTH - LEFT) / max(last - first, 1)
    parts = []
    for lane, (name, pieces) in enumerate(lanes.items()):
        top = lane * LANE
        parts.append(text(0, top + 14, name, "lane"))
        parts += _bars(pieces, first, last, scale, top)
        if labels:
            parts += _labels(pieces, last, scale, top)
    height = len(lanes) * LANE
    kind = "shares" if labels else "stretch"
    return (
        f'<svg class="timeline" data-kind="{kind}" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{kind}">{"".join(parts)}</svg>'
    )


def _bars(pieces: Sequence[Part], first: int, last: int, scale: float, top: int) -> list[str]:
    """One path per colour; what would be narrower than half a pixel joins what is next to it."""
    runs: dict[tuple[str, str], list[list[float]]] = {}
    for piece in pieces:
        start = LEFT + (max(piece.start, first) - first) * scale
        end = LEFT + (min(piece.end, last) - first) * scale
        end -= SEAM if end - start > 5 * SEAM and not piece.waits else 0
        mine = runs.setdefault((piece.label, piece.colour), [])
        if mine and start - mine[-1][1] < SEAM and end - start < 5 * SEAM:
            mine[-1][1] = end
        else:
            mine.append([start, end])
    bars = []
    for (label, colour), spans in runs.items():
        path = "".join(_box(start, end, top) for start, end in spans)
        bars.append(f'<path fill="{colour}" d="{path}"><title>{escape(label)}</title></path>')
    return bars


def _box(start: float, end: float, top: int) -> str:
    width = max(end - start, 0.4)
    return f"M{start:.1f} {top}h{width:.1f}v{BAR}h-{width:.1f}z"


def _labels(pieces: Sequence[Part], last: int, scale: float, top: int) -> list[str]:
    """Name and share, where there is room."""
    labels = []
    for piece in pieces:
        share = f"{(piece.end - piece.start) / last:.0%}"
        room = (piece.end - piece.start) * scale / LETTER - 1
        words = next((w for w in (f"{piece.label} {share}", share) if len(w) < room), "")
        if words:
            middle = LEFT + (piece.start + piece.end) / 2 * scale
            kind = "on-light" if piece.waits or piece.name in PALE else "on-dark"
            labels.append(text(round(middle, 1), top + 14, words, kind, "middle"))
    return labels
