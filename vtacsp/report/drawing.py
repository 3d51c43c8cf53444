"""SVG of a report: feasibility maps and histograms, as text without any library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from json import dumps

import numpy as np

from vtacsp.knobs import IntArray, Knob
from vtacsp.report.feasibility import FeasibilityMap

__all__ = ["CODES", "Layout", "draw_histogram", "draw_panels", "layout", "text"]

CODES = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""One character per cause in ``data-codes``."""

WIDTH = 1130  # of all panels of a row, pixels
LEFT, TOP, BOTTOM = 42, 32, 36  # room for labels
SPACE = 16  # between panels
LARGEST_CELL = 18
FULL_WIDTH_CELLS = 7  # smaller cells get more room instead
TICK_CELLS = 8  # smaller cells have no room for every tick


@dataclass(frozen=True)
class Layout:
    """Geometry that all panels of a layer share, in pixels."""

    cell: int
    gap: int
    width: int
    height: int

    def left(self, column: int, cells: int) -> int:
        """Left edge of a facet."""
        return LEFT + column * (cells * self.cell + self.gap)

    def top(self, row: int, cells: int) -> int:
        """Top edge of a facet."""
        return TOP + row * (cells * self.cell + self.gap)


def layout(fmap: FeasibilityMap) -> Layout:
    """The largest cells with which the panels fit the page, four in a row or two."""
    panels, rows, columns, height, width = fmap.codes.shape
    cells = columns * width
    gap = 5 if columns * rows > 1 else 0
    per_row = max(min(panels, 4), 2)
    while True:
        room = (WIDTH - (per_row - 1) * SPACE) // per_row - LEFT - (columns - 1) * gap
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
        LEFT + cells * cell + (columns - 1) * gap + 2,
        TOP + rows * height * cell + (rows - 1) * gap + BOTTOM,
    )


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
        f'data-left="{LEFT}" data-top="{TOP}" data-shape="{rows},{columns},{height},{width}" '
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
    across, down = lay.width - LEFT - 2, lay.height - TOP - BOTTOM
    lines = [
        f"M{LEFT} {lay.top(row, height) + y * lay.cell}h{across}"
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
    if columns > 1:
        parts.append(text(LEFT, 9, _names(fmap.columns) + " →", "axis"))
        for column, values in enumerate(fmap.settings(fmap.columns)):
            middle = lay.left(column, width) + facet_w / 2
            parts.append(text(middle, 24, _values(values), "facet", "middle"))
    if rows > 1:
        parts.append(text(0, 24, _names(fmap.rows) + "↓", "axis"))
        for row, values in enumerate(fmap.settings(fmap.rows)):
            middle = lay.top(row, height) + facet_h / 2 + 4
            parts.append(text(0, middle, _values(values), "facet"))
    bottom = lay.top(rows - 1, height)
    for y, value in _ticks(fmap.y, lay):
        middle = bottom + (y + 0.5) * lay.cell + 2.5
        parts.append(text(LEFT - 4, middle, str(value), "tick", "end"))
    under = bottom + facet_h + 4
    for x, value in _ticks(fmap.x, lay):
        middle = lay.left(0, width) + (x + 0.5) * lay.cell
        turned = f' transform="rotate(-90 {middle + 2.5} {under})"'
        parts.append(text(middle + 2.5, under, str(value), "tick", "end", more=turned))
    caption = f"{fmap.x.name} →  ·  {fmap.y.name} ↓"
    parts.append(text(LEFT, under + 29, caption, "axis"))
    return "".join(parts)


def _ticks(knob: Knob, lay: Layout) -> list[tuple[int, int]]:
    ticks = list(enumerate(knob.values))
    if lay.cell >= TICK_CELLS:
        return ticks
    every = -(-TICK_CELLS // lay.cell)
    last = len(ticks) - 1
    return [tick for tick in ticks if (last - tick[0]) % every == 0]


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
    width, height, top = 190, 64, 13
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
        text(width * share, base + 13, f"{share:.0%}", "tick", anchor)
        for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ]
    middle = min(max((counts.index(highest) + 0.5) * bar, 8), width - 8)
    ticks.append(text(middle, top - 2, f"{highest:,}", "tick", "middle"))
    return (
        f'<svg class="histogram" width="{width}" height="{base + 18}" '
        f'viewBox="0 0 {width} {base + 18}" role="img" aria-label="{escape(title)}">'
        f'{"".join(bars)}<path class="base" d="M0 {base + 0.5}h{width}"/>{"".join(ticks)}</svg>'
    )
