"""A simulated program as a picture: where each module's cycles go, and a stretch of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vtacsp.errors import VtacspError
from vtacsp.simulate.result import KINDS, MODULES, TimingResult, kinds, waits_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["timeline_figure"]

INK, SOFT = "#1d2428", "#5d6a71"
WORK = {
    "gemm": "#066640",
    "reset": "#8fbf9f",
    "alu": "#7a5fb5",
    "load inp": "#2f7dc1",
    "load wgt": "#18a7b4",
    "load uop": "#8a6d3b",
    "load acc": "#b0813f",
    "store": "#e9602a",
    "read": "#6a7f8c",
    "dispatch": "#a9b8c1",
    "sync": "#c9c2d6",
    "finish": "#1f2022",
}
"""What a module does -> colour."""
WAIT = {
    "memory": "#f3b8a8",
    "load": "#cfe3f5",
    "compute": "#cfe6d6",
    "store": "#fbdcc6",
    "fetch": "#dfe4e7",
    "queue": "#dfe4e7",
    "done": "#f4f5f6",
}
"""What a module waits for -> colour, light."""

SHOWN = 24  # GEMM instructions in the stretch
NARROW = 0.045  # a share too small for its label


def timeline_figure(result: TimingResult, path: str | Path, *, dpi: int = 150) -> None:
    """Save the picture; the suffix of ``path`` chooses the format.

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
    _legend(figure, result)
    try:
        figure.savefig(path, dpi=dpi, facecolor="white")
    except (OSError, ValueError) as error:
        raise VtacspError(f"cannot write {path}: {error}") from error


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
    for row, (_, time) in enumerate(result.modules.items()):
        left = 0.0
        parts = [(name, n, WORK[name], "white") for name, n in time.busy.items()]
        parts += [(f"waits: {name}", n, WAIT[name], INK) for name, n in time.stalls.items()]
        for name, cycles, colour, ink in parts:
            share = cycles / result.cycles
            axis.barh(row, share, left=left, height=0.72, color=colour, edgecolor="white", lw=0.4)
            if share > NARROW:
                text = name.replace("waits: done", "done")
                axis.text(
                    left + share / 2, row, f"{text}\n{share:.0%}", color=ink,
                    fontsize=7, ha="center", va="center",
                )  # fmt: skip
            left += share
    _lanes(axis, list(result.modules))
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axis.set_title("all cycles", fontsize=9, color=SOFT, loc="left")


def _stretch(axis: Axes, result: TimingResult) -> None:
    """The modules from the middle on, until some GEMM instructions have been seen."""
    launch, segment = result.launches[0], result.program.segments[0]
    kind = kinds(result.program.instructions[segment.start : segment.stop])
    gemms = launch.start[kind == KINDS.index("gemm")]
    middle = max(0, len(gemms) // 2 - SHOWN // 2)
    first, last = 0, int(launch.cycles)
    if len(gemms) > SHOWN:
        first, last = int(gemms[middle]), int(gemms[middle + SHOWN])
    for lane, module in enumerate(MODULES):
        mine = np.flatnonzero(launch.module == lane)
        idle = 0
        for i in mine.tolist():
            start, end = int(launch.start[i]), int(launch.done[i]) + 1
            reason = waits_for(module, int(launch.reason[i]))
            if end > first and idle < last:
                if start > idle and reason:
                    axis.broken_barh(
                        [(idle, start - idle)], (lane - 0.36, 0.72), color=WAIT[reason]
                    )
                axis.broken_barh(
                    [(start, end - start)], (lane - 0.36, 0.72),
                    facecolor=WORK[KINDS[kind[i]]], edgecolor="white", lw=0.3,
                )  # fmt: skip
            idle = end
    reads = launch.reads[(launch.reads[:, 3] >= first) & (launch.reads[:, 2] <= last)]
    for i, _, begin, end in reads.tolist():
        colour = WORK["read"] if i < 0 else WORK[KINDS[kind[i]]]
        axis.broken_barh([(begin, end + 1 - begin)], (len(MODULES) - 0.36, 0.72), facecolor=colour)
    _lanes(axis, [*MODULES, "memory reads"])
    axis.set_xlim(first, last)
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    whole = "" if len(gemms) <= SHOWN else f" to {last:,} of {result.cycles:,}"
    axis.set_title(f"cycles {first:,}{whole}", fontsize=9, color=SOFT, loc="left")


def _lanes(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=9, color=INK)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(length=0, labelsize=8, colors=SOFT)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, result: TimingResult) -> None:
    from matplotlib.patches import Patch

    busy = {name for time in result.modules.values() for name in time.busy}
    waits = {name for time in result.modules.values() for name, n in time.stalls.items() if n}
    handles = [Patch(color=colour, label=name) for name, colour in WORK.items() if name in busy]
    handles += [
        Patch(color=colour, label=name if name == "done" else f"waits for {name}")
        for name, colour in WAIT.items()
        if name in waits
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=7, fontsize=8, frameon=False)
