"""Plots of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtacsp.study.search_cost import BASELINE, METHODS
from vtacsp.study.summary import METRICS, SOURCES, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["model_figure", "search_figure", "validity_figure"]

INK, SOFT = "#1d2428", "#5d6a71"
KINDS = {"baseline": "#5d6a71", "published": "#e9602a", "ours": "#066640", "reference": "#a9b4ba"}
LOSSES = {"reg": "#4085dc", "rank": "#d461a5"}
STYLES = {"kept": "-", "dropped": "--"}
TITLES = {
    "pairwise": "pairwise accuracy",
    "precision": "precision at 10",
    "ndcg": "NDCG at 10",
    "runs": "of the 10 highest of the grid, run",
}


def search_figure(summary: Summary, source: str, path: str | Path) -> None:
    """Measurements to the best per layer and method: every seed, quartiles and median."""
    layers, methods = summary.of_source(source), summary.methods
    figure, axes = _figure(len(methods), 1.45, 0.3 * len(layers) + 1.6, share=True)
    for axis, method in zip(axes, methods, strict=True):
        colour = KINDS[METHODS[method].kind]
        for y, layer in enumerate(layers):
            counts = [run["best"] for run in summary.runs(layer, method)]
            base = [run["best"] for run in summary.runs(layer, BASELINE)]
            if base:
                axis.plot([np.median(base)] * 2, [y - 0.4, y + 0.4], color=SOFT, lw=1)
            if counts:
                low, middle, high = np.quantile(counts, [0.25, 0.5, 0.75])
                axis.plot([low, high], [y, y], color=colour, lw=5, alpha=0.35)
                axis.plot(counts, [y] * len(counts), "o", color=colour, ms=2, alpha=0.5)
                axis.plot([middle], [y], "|", color=colour, ms=11, mew=2.2)
        axis.set_xscale("log")
        axis.set_title(method, fontsize=9, color=colour)
        _soften(axis)
    axes[0].set_yticks(range(len(layers)), [layer.name for layer in layers])
    axes[0].invert_yaxis()
    figure.supxlabel(
        f"measurements until the best configuration ({SOURCES[source]}); dots: seeds, bar: "
        f"quartiles, tick: median, grey line: median of {BASELINE}",
        fontsize=8,
        color=SOFT,
    )
    figure.savefig(path, dpi=110, facecolor="white")


def model_figure(summary: Summary, source: str, path: str | Path) -> None:
    """Quality of the model against the invalid share of its training set."""
    rows = summary.model(source)
    figure, axes = _figure(len(METRICS), 2.6, 2.7)
    for axis, metric in zip(axes, METRICS, strict=True):
        for loss, colour in LOSSES.items():
            for invalid, style in STYLES.items():
                mine = [
                    row
                    for row in rows
                    # without invalid ones the two are the same model
                    if row["loss"] == loss and (row["invalid"] == invalid or not row["share"])
                ]
                axis.plot(
                    [row["share"] for row in mine],
                    [row[metric] for row in mine],
                    style,
                    marker="o",
                    ms=3,
                    color=colour,
                    label=f"{loss}, {invalid}",
                )
        axis.set_title(TITLES[metric], fontsize=9, color=INK)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        _soften(axis)
    axes[0].legend(fontsize=7, frameon=False)
    figure.supxlabel("invalid share of the training set", fontsize=8, color=SOFT)
    figure.savefig(path, dpi=110, facecolor="white")


def validity_figure(summary: Summary, path: str | Path) -> None:
    """Share of valid configurations against the distance from a valid one."""
    layers = summary.layers
    figure, axes = _figure(2, 4.2, max(2.9, 0.2 * len(layers) + 1.2))
    bars, profile = axes
    places = np.arange(len(layers))
    around = [layer.validity.neighbours for layer in layers]
    base = [layer.validity.share for layer in layers]
    bars.barh(places - 0.2, around, 0.4, color=KINDS["ours"], label="neighbours of a valid one")
    bars.barh(places + 0.2, base, 0.4, color=KINDS["reference"], label="the whole grid")
    bars.set_yticks(places, [layer.name for layer in layers])
    bars.invert_yaxis()
    bars.set_title("valid share", fontsize=9, color=INK)
    bars.legend(fontsize=7, frameon=False, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    bars.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    for layer in layers:
        values = np.array(layer.validity.profile) / layer.validity.share
        profile.plot(range(1, len(values) + 1), values, color=KINDS["ours"], alpha=0.45, lw=1.2)
    profile.axhline(1, color=SOFT, lw=1)
    profile.set_title("valid share at a distance from a valid one,\nin base rates; one line per "
                      "layer", fontsize=9, color=INK)  # fmt: skip
    profile.set_xlabel("Manhattan distance in the knob grid", fontsize=8, color=SOFT)
    for axis in axes:
        _soften(axis)
    figure.savefig(path, dpi=110, facecolor="white")


def _figure(panels: int, width: float, height: float, share: bool = False) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * panels + 0.6, height), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False, sharex=share, sharey=share)[0]
    return figure, list(axes)


def _soften(axis: Axes) -> None:
    axis.tick_params(labelsize=7, labelcolor=SOFT, color=SOFT)
    axis.grid(axis="x", color="#e8ecee", lw=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
