"""A simulated program as a picture: where each module's cycles go, and a stretch of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vtacsp.errors import VtacspError
from vtacsp.files import replacing
from vtacsp.report.activity import Stretch, legend, shares
from vtacsp.timing.breakdown import MODULES, TimingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["timeline_figure", "timelines_figure"]

INK, SOFT = "#1d2428", "#5d6a71"
NARROW = 0.045  # a share too small for its label


def timeline_figure(result: TimingResult, path: str | Path, *, dpi: int = 150) -> None:
    """Save the picture, whole or not at all; the suffix of ``path`` chooses the format.

    Above, the cycles of each module by what it did or waited for; below, the modules over a
    stretch in the middle of the program.  Raises :class:`~vtacsp.errors.VtacspError` when the
    file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(1.15, 1))
    _shares(above, result)
    _stretch(below, result)
    _headline(figure, result)
    _legend(figure, legend(result))
    _save(figure, path, dpi)


def timelines_figure(
    results: Mapping[str, TimingResult], path: str | Path, *, dpi: int = 150
) -> None:
    """Save whole programs in order of time, one under the other, on one axis of cycles.

    ``results`` are by their titles; a program of several launches is drawn up to the second.
    Raises :class:`~vtacsp.errors.VtacspError` when the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.4 * len(results) + 0.8), layout="constrained")
    axes = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    last = max(result.cycles for result in results.values())
    labels: dict[str, str] = {}
    for axis, (title, result) in zip(axes, results.items(), strict=True):
        _spans(axis, Stretch.between(result, 0, int(result.launches[0].cycles)))
        axis.set_xlim(0, last)
        axis.set_title(title, fontsize=10, color=INK, loc="left")
        labels |= legend(result)
    _legend(figure, labels)
    _save(figure, path, dpi)


def _save(figure: Figure, path: str | Path, dpi: int) -> None:
    try:
        picture = io.BytesIO()
        suffix = Path(path).suffix[1:] or None
        figure.savefig(picture, format=suffix, dpi=dpi, facecolor="white")
    except ValueError as error:  # a format that matplotlib does not know
        raise VtacspError(f"cannot write {path}: {error}") from error
    with replacing(path) as file:
        file.write(picture.getvalue())


def _headline(figure: Figure, result: TimingResult) -> None:
    program = result.program
    knobs = "  ".join(f"{name} {value}" for name, value in program.config.items())
    figure.suptitle(
        f"{program.workload.name}: {result.cycles:,} cycles, bound by {result.bound}\n"
        f"{knobs}\nGEMM core {result.gemm_utilisation:.0%}, memory reads "
        f"{result.read_utilisation:.0%}, {result.gops:.1f} GOPS; {result.timing.note}",
        fontsize=10,
        color=INK,
        x=0.01,
        ha="left",
    )


def _shares(axis: Axes, result: TimingResult) -> None:
    lanes = shares(result)
    for row, parts in enumerate(lanes.values()):
        for part in parts:
            left, share = part.start / result.cycles, (part.end - part.start) / result.cycles
            axis.barh(
                row, share, left=left, height=0.72, color=part.colour, edgecolor="white", lw=0.4
            )
            if share > NARROW:
                text = f"waits: {part.name}" if part.waits and part.name != "done" else part.name
                axis.text(
                    left + share / 2, row, f"{text}\n{share:.0%}", fontsize=7, ha="center",
                    va="center", color=INK if part.waits else "white",
                )  # fmt: skip
    _lanes(axis, list(lanes))
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axis.set_title("all cycles", fontsize=9, color=SOFT, loc="left")


def _stretch(axis: Axes, result: TimingResult) -> None:
    stretch = Stretch.of(result)
    _spans(axis, stretch)
    axis.set_xlim(stretch.first, stretch.last)
    axis.set_title(stretch.title, fontsize=9, color=SOFT, loc="left")


def _spans(axis: Axes, stretch: Stretch) -> None:
    for lane, (name, parts) in enumerate(stretch.lanes.items()):
        for part in parts:
            seam = name in MODULES and not part.waits
            axis.broken_barh(
                [(part.start, part.end - part.start)], (lane - 0.36, 0.72),
                facecolor=part.colour,
                edgecolor="white" if seam else "none", lw=0.3 if seam else 0,
            )  # fmt: skip
    _lanes(axis, list(stretch.lanes))
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")


def _lanes(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=9, color=INK)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(length=0, labelsize=8, colors=SOFT)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, labels: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in labels.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=7, fontsize=8, frameon=False)
