"""The feasible space of one layer as a matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.operators.knobs import Knob
from vtacsp.report.feasibility import FeasibilityMap
from vtacsp.report.layer_facts import shape_text
from vtacsp.report.legend import label
from vtacsp.report.palette import colours
from vtacsp.space.feasible import FeasibleSpace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["feasibility_figure"]

INK, SOFT = "#1d2428", "#5d6a71"
GAP = 0.6  # between facets, in cells
SEAM = 0.06  # between cells
MANY_TICKS = 12


def feasibility_figure(space: FeasibleSpace, path: str | Path, *, dpi: int = 150) -> None:
    """Save the feasibility map of a layer; the suffix of ``path`` chooses the format.

    Cells are programs, coloured by the cause that the stack reports first.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.08)
    fmap = FeasibilityMap.of(space)
    chosen = colours(fmap.present)
    panels, rows, columns, height, width = fmap.codes.shape
    across = columns * width + (columns - 1) * GAP
    down = rows * height + (rows - 1) * GAP
    panel_height = 2.2 * min(max(down / across, 0.45), 1.6)
    figure = Figure(figsize=(2.45 * panels + 0.5, panel_height + 1.7), layout=engine)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for panel, (axis, values) in enumerate(zip(axes, fmap.settings(fmap.panels), strict=True)):
        _draw(axis, fmap.codes[panel], [chosen.get(cause, "#fff") for cause in fmap.causes])
        _decorate(axis, fmap, first=panel == 0)
        name = ", ".join(f"{knob} {value}" for knob, value in values.items())
        axis.set_title(name, fontsize=10, color=INK, pad=20 if columns > 1 else 8)
    _headline(figure, space)
    _legend(figure, chosen)
    figure.savefig(path, dpi=dpi, facecolor="white")


def _draw(axis: Axes, codes: IntArray, fill: list[str]) -> None:
    from matplotlib.collections import PolyCollection

    rows, columns, height, width = codes.shape
    row, column, y, x = (index.ravel() for index in np.indices(codes.shape))
    left = column * (width + GAP) + x + SEAM / 2
    top = row * (height + GAP) + y + SEAM / 2
    side = 1 - SEAM
    corners = np.stack(
        [
            np.stack([left + dx * side, top + dy * side], axis=-1)
            for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))
        ],
        axis=1,
    )
    faces = [fill[code] for code in codes.ravel()]
    axis.add_collection(PolyCollection(list(corners), facecolors=faces))
    axis.set_xlim(0, columns * (width + GAP) - GAP)
    axis.set_ylim(rows * (height + GAP) - GAP, 0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    axis.tick_params(length=0, labelsize=6.5, labelcolor=SOFT, pad=2)


def _decorate(axis: Axes, fmap: FeasibilityMap, *, first: bool) -> None:
    """Cell values along the axes, facet values on top and, once, at the left."""
    _, rows, columns, height, width = fmap.codes.shape
    ticks, names = _ticks(fmap.x, columns, width)
    axis.set_xticks(ticks, names, rotation=90)
    axis.set_xlabel(fmap.x.name, fontsize=9, color=SOFT)
    ticks, names = _ticks(fmap.y, rows, height)
    axis.set_yticks(ticks, names if first else [])
    if first:
        axis.set_ylabel(fmap.y.name, fontsize=9, color=SOFT)
    if columns > 1:
        for column, text in enumerate(_names(fmap, fmap.columns)):
            middle = column * (width + GAP) + width / 2
            _annotate(axis, text, (middle, 0), (0, 8), "center")
    if rows > 1 and first:
        for row, text in enumerate(_names(fmap, fmap.rows)):
            middle = row * (height + GAP) + height / 2
            _annotate(axis, text, (0, middle), (-38, 0), "right")


def _names(fmap: FeasibilityMap, knobs: tuple[Knob, ...]) -> list[str]:
    """Values of facets, the first one with the names of its knobs."""
    settings = fmap.settings(knobs)
    names = [", ".join(map(str, values.values())) for values in settings]
    return [f"{', '.join(settings[0])} {names[0]}", *names[1:]]


def _annotate(
    axis: Axes, text: str, at: tuple[float, float], offset: tuple[int, int], align: str
) -> None:
    axis.annotate(
        text, at, xytext=offset, textcoords="offset points", ha=align, va="center",
        fontsize=8, color=INK,
    )  # fmt: skip


def _ticks(knob: Knob, facets: int, cells: int) -> tuple[list[float], list[str]]:
    """One tick per cell, or the ends of a long axis, in every facet."""
    shown = range(cells) if cells <= MANY_TICKS else (0, cells - 1)
    places = [(facet * (cells + GAP) + i + 0.5, knob.values[i]) for facet in range(facets)
              for i in shown]  # fmt: skip
    return [place for place, _ in places], [str(value) for _, value in places]


def _headline(figure: Figure, space: FeasibleSpace) -> None:
    work = space.workload
    figure.suptitle(
        f"{work.name}  ({shape_text(work)}):  {len(space):,} of {len(space.knob_space):,} "
        "configurations are feasible",
        fontsize=12,
        color=INK,
        x=0.01,
        ha="left",
    )


def _legend(figure: Figure, chosen: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=colour,
            edgecolor="#00000022",
            label=label(cause),
        )
        for cause, colour in chosen.items()
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        handlelength=1,
        handleheight=1,
        columnspacing=1.4,
    )
