"""SVG of a report: feasibility maps and histograms, as text without any library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from json import dumps

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.operators.knobs import Knob
from vtacsp.report.feasibility import FeasibilityMap

__all__ = ["CODES", "Layout", "draw_histogram", "draw_panels", "layout", "text"]

CODES = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""One character per cause in ``data-codes``."""

WIDTH = 1130  # of all panels of a row, pixels
TOP = 34  # room for the names and values of facet columns
SPACE = 16  # between panels
LARGEST_CELL = 18
FULL_WIDTH_CELLS = 7  # smaller cells get more room instead
LINE = 13  # pixels from a label to the next; labels are 11 pixels high
CHARACTER = 7  # pixels, at most


@dataclass(frozen=True)
class Layout:
    """Geometry that all panels of a layer share, in pixels."""

    cell: int
    gap: int
    width: int
    height: int
    margin: int  # left of the cells, for values of facet rows and ticks
    foot: int  # below the cells, for ticks and the names of the axes

    def left(self, column: int, cells: int) -> int:
        """Left edge of a facet."""
        return self.margin + column * (cells * self.cell + self.gap)

    def top(self, row: int, cells: int) -> int:
        """Top edge of a facet."""
        return TOP + row * (cells * self.cell + self.gap)


def layout(fmap: FeasibilityMap) -> Layout:
    """The largest cells with which the panels fit the page, four in a row or two."""
    panels, rows, columns, height, width = fmap.codes.shape
    cells = columns * width
    gap = 5 if columns * rows > 1 else 0
    facets = _longest(_values(values) for values in fmap.settings(fmap.rows)) if rows > 1 else 0
    margin = facets + _longest(map(str, fmap.y.values)) + LINE
    foot = _longest(map(str, fmap.x.values)) + 2 * LINE
    per_row = max(min(panels, 4), 2)
    while True:
        room = (WIDTH - (per_row - 1) * SPACE) // per_row - margin - (columns - 1) * gap
        cell = room // cells
        if cell >= FULL_WIDTH_CELLS or per_row <= 2:
            break
        per_row //= 2
    cell = max(2, min(cell, LARGEST_CELL))
    if cell < 4:
        gap = min(gap, 3)
    return Layout(
        cell,
        gap,
        margin + cells * cell + (columns - 1) * gap + 2,
        TOP + rows * height * cell + (rows - 1) * gap + foot,
        margin,
        foot,
    )


def _longest(labels: Iterable[str]) -> int:
    """Pixels that the longest label takes."""
    return CHARACTER * max(map(len, labels))


def draw_panels(
    fmap: FeasibilityMap,
    lay: Layout,
    colours: Mapping[str, str],
    panel: Callable[[int], tuple[str, str]],
    notes: Mapping[int, str] | None = None,
) -> str:
    """The whole map: a figure per panel, and the data of its tooltips.

    ``panel`` gives what the caption of a panel counts, and what is drawn over its cells;
    ``notes`` are words on cells, by the index of the cell.
    """
    figures = []
    for number, values in enumerate(fmap.settings(fmap.panels)):
        name = ", ".join(f"{knob} {value}" for knob, value in values.items()) or "all"
        count, overlay = panel(number)
        figures.append(
            f"<figure><figcaption><b>{escape(name)}</b> "
            f'<span class="soft">{count}</span></figcaption>'
            f"{_draw_panel(fmap, number, lay, colours, name, overlay)}</figure>"
        )
    data = f'<script type="application/json">{_map_data(fmap, notes)}</script>'
    return f'<div class="panels">{"".join(figures)}</div>{data}'


def _draw_panel(
    fmap: FeasibilityMap,
    panel: int,
    lay: Layout,
    colours: Mapping[str, str],
    title: str,
    overlay: str = "",
) -> str:
    """One panel of a map; every cell is covered by the path of its cause, then ``overlay``."""
    codes = fmap.codes[panel]
    rows, columns, height, width = codes.shape
    shapes = [_path(codes, code, lay, fmap.causes[code], colours) for code in np.unique(codes)]
    return "".join([
        f'<svg class="map" width="{lay.width}" height="{lay.height}" '
        f'viewBox="0 0 {lay.width} {lay.height}" role="img" aria-label="{escape(title)}" '
        f'data-panel="{panel}" data-cell="{lay.cell}" data-gap="{lay.gap}" '
        f'data-left="{lay.margin}" data-top="{TOP}" data-shape="{rows},{columns},{height},{width}" '
        f'data-codes="{"".join(CODES[c] for c in codes.ravel())}">',
        *shapes,
        _separators(codes, lay),
        overlay,
        _labels(fmap, lay),
        '<rect class="cursor"/></svg>',
    ])  # fmt: skip


def _path(codes: IntArray, code: int, lay: Layout, cause: str, colours: Mapping[str, str]) -> str:
    """All cells of a cause: horizontal runs, one path."""
    rows, columns, height, width = codes.shape
    steps = []
    for row in range(rows):
        for column in range(columns):
            facet = codes[row, column] == code
            for y in range(height):
                edges = np.flatnonzero(np.diff(facet[y], prepend=False, append=False))
                top = lay.top(row, height) + y * lay.cell
                for start, end in zip(edges[::2], edges[1::2], strict=True):
                    left = lay.left(column, width) + int(start) * lay.cell
                    run = int(end - start) * lay.cell
                    steps.append(f"M{left} {top}h{run}v{lay.cell}h-{run}z")
    return (
        f'<path data-cause="{escape(cause)}" fill="{colours[cause]}" d="{"".join(steps)}">'
        f"<title>{escape(cause)}</title></path>"
    )


def _separators(codes: IntArray, lay: Layout) -> str:
    """White hairlines between cells, where cells are large enough."""
    if lay.cell < 6:
        return ""
    rows, columns, height, width = codes.shape
    across, down = lay.width - lay.margin - 2, lay.height - TOP - lay.foot
    lines = [
        f"M{lay.margin} {lay.top(row, height) + y * lay.cell}h{across}"
        for row in range(rows)
        for y in range(1, height)
    ]
    lines += [
        f"M{lay.left(column, width) + x * lay.cell} {TOP}v{down}"
        for column in range(columns)
        for x in range(1, width)
    ]
    return f'<path class="grid" d="{"".join(lines)}"/>'


def _labels(fmap: FeasibilityMap, lay: Layout) -> str:
    """Facet values on top and at the left; ticks of the cells at the last facet row."""
    _, rows, columns, height, width = fmap.codes.shape
    parts = []
    facet_w, facet_h = width * lay.cell, height * lay.cell
    beside = ""
    if rows > 1:
        beside = _names(fmap.rows) + " ↓"
        parts.append(text(0, 10, beside, "axis"))
        every = -(-LINE // (facet_h + lay.gap))
        for row, label in _sparse(map(_values, fmap.settings(fmap.rows)), every):
            parts.append(text(0, lay.top(row, height) + facet_h / 2 + 4, label, "facet"))
    if columns > 1:
        start = max(lay.margin, CHARACTER * (len(beside) + 1))
        parts.append(text(start, 10, _names(fmap.columns) + " →", "axis"))
        labels = [_values(values) for values in fmap.settings(fmap.columns)]
        every = -(-(_longest(labels) + CHARACTER) // (facet_w + lay.gap))
        for column, label in _sparse(labels, every):
            middle = lay.left(column, width) + facet_w / 2
            parts.append(text(middle, 26, label, "facet", "middle"))
    bottom = lay.top(rows - 1, height)
    every = -(-LINE // lay.cell)
    for y, label in _sparse(map(str, fmap.y.values), every):
        middle = bottom + (y + 0.5) * lay.cell + 4
        parts.append(text(lay.margin - 4, middle, label, "tick", "end"))
    under = bottom + facet_h + 4
    for x, label in _sparse(map(str, fmap.x.values), every):
        middle = lay.left(0, width) + (x + 0.5) * lay.cell + 4
        turned = f' transform="rotate(-90 {middle:g} {under})"'
        parts.append(text(middle, under, label, "tick", "end", more=turned))
    caption = f"{fmap.x.name} →  ·  {fmap.y.name} ↓"
    parts.append(text(lay.margin, lay.height - 4, caption, "axis"))
    return "".join(parts)


def _sparse(labels: Iterable[str], every: int) -> list[tuple[int, str]]:
    """Labels with their positions, of ``every`` so many one, the last in any case."""
    ticks = list(enumerate(labels))
    return ticks[::-1][::every][::-1]


def _names(knobs: Sequence[Knob]) -> str:
    return ", ".join(knob.name for knob in knobs)


def _values(values: Mapping[str, int]) -> str:
    return ", ".join(map(str, values.values()))


def text(
    x: float, y: float, words: str, kind: str, anchor: str = "start", *, more: str = ""
) -> str:
    """A label; ``kind`` is its class in the style sheet, ``more`` further attributes."""
    return (
        f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}"{more}>'
        f"{escape(words)}</text>"
    )


def _map_data(fmap: FeasibilityMap, notes: Mapping[int, str] | None = None) -> str:
    """What the tooltips need: values of every axis, causes, index of every cell.

    ``notes`` are words on cells, by the index of the cell.
    """
    roles = {"rows": fmap.rows, "columns": fmap.columns, "y": [fmap.y], "x": [fmap.x]}
    data = {
        **{role: fmap.settings(knobs) for role, knobs in roles.items()},
        "panels": fmap.settings(fmap.panels),
        "causes": fmap.causes,
        # an index is a sum over the axes
        "strides": [
            [int(i) for i in np.moveaxis(fmap.indices, axis, 0).reshape(n, -1)[:, 0]]
            for axis, n in enumerate(fmap.indices.shape)
        ],
        **({"notes": notes} if notes else {}),
    }
    return dumps(data, separators=(",", ":")).replace("</", "<\\/")


def draw_histogram(counts: Sequence[int], colour: str, title: str) -> str:
    """Bars from empty to full, with ticks at 0, 50 and 100%."""
    width, height, top = 190, 64, 14
    bar, highest = width / len(counts), max(counts)
    bars = [
        f'<rect x="{i * bar + 0.5:.1f}" y="{top + height * (1 - n / highest):.1f}" '
        f'width="{bar - 1:.1f}" height="{height * n / highest:.1f}" fill="{colour}">'
        f"<title>{100 * i / len(counts):.0f}–{100 * (i + 1) / len(counts):.0f}%: {n:,}</title>"
        "</rect>"
        for i, n in enumerate(counts)
        if n
    ]
    base = top + height
    ticks = [
        text(width * share, base + 14, f"{share:.0%}", "tick", anchor)
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ]
    label = f"{highest:,}"
    half = CHARACTER * len(label) / 2
    middle = min(max((counts.index(highest) + 0.5) * bar, half), width - half)
    ticks.append(text(middle, top - 2, label, "tick", "middle"))
    return (
        f'<svg class="histogram" width="{width}" height="{base + 18}" '
        f'viewBox="0 0 {width} {base + 18}" role="img" aria-label="{escape(title)}">'
        f'{"".join(bars)}<path class="base" d="M0 {base + 0.5}h{width}"/>{"".join(ticks)}</svg>'
    )
