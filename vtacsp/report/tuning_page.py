"""The page of a search: per layer its curve, where it measured, and its best program."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.answer import NetworkAnswer
from vtacsp.report import drawing
from vtacsp.report.curve import draw_curve
from vtacsp.report.feasibility import FeasibilityMap
from vtacsp.report.free_section import Beyond, beyond_section
from vtacsp.report.gantt import draw_timeline
from vtacsp.report.layer_facts import shape_cell, shape_text
from vtacsp.report.legend import Legend
from vtacsp.report.network_section import network_section
from vtacsp.report.origin import Origin
from vtacsp.report.overview import anchor, number_class
from vtacsp.report.page import header, page
from vtacsp.report.speed import FAILED, SPEEDS, speed_of
from vtacsp.report.tuned import TunedLayer
from vtacsp.space.statistics import statistics
from vtacsp.timing.model import TimingModel
from vtacsp.tune.loop import Trial

__all__ = ["render", "write_tuning_html"]

FADE = 0.62  # how far the colours of causes go towards white: measurements stand out

NUMBERS = (  # and whether a narrow screen shows them too
    ("Cycles", True),
    ("GOPS", False),
    ("Lower bound", False),
    ("Gap", True),
    ("Measured", False),
    ("Failed", False),
    ("Best at", False),
    ("Space", False),
)


def write_tuning_html(
    path: str | Path,
    title: str,
    layers: Sequence[TunedLayer],
    hardware: VTAConfig,
    timing: TimingModel,
    origin: Origin | None = None,
) -> None:
    """Write the page of some layers, tuned on one machine, to a file.

    ``origin`` is what the footer says of the page's making; without it, that it was made from
    Python, now.
    """
    Path(path).write_text(render(title, layers, hardware, timing, origin), encoding="utf-8")


def render(
    title: str,
    layers: Sequence[TunedLayer],
    hardware: VTAConfig,
    timing: TimingModel,
    origin: Origin | None = None,
    network: NetworkAnswer | None = None,
    beyond: Sequence[Beyond] = (),
) -> str:
    """The page as text; see :func:`write_tuning_html`.

    ``network`` is the answer whose layers these are: its section comes first.  ``beyond`` is what
    is known of them beyond the template.
    """
    spaces = [layer.simulator.space for layer in layers]
    legend = Legend((space.problem.rules, statistics(space)) for space in spaces)
    legend.colours = {cause: _faded(colour) for cause, colour in legend.colours.items()}
    sections = [_section(layer, legend, anchor(position)) for position, layer in enumerate(layers)]
    whole = "" if network is None else network_section(network)
    links = {layer.workload.name: anchor(position) for position, layer in enumerate(layers)}
    more = beyond_section(beyond, links) if beyond else ""
    return page(
        f"{title}: tuned for VTA",
        _header(title, layers, hardware, timing, network),
        _keys(legend),
        whole + _overview(layers) + more + "".join(sections) + legend.table(),
        origin or Origin.now(),
    )


def _header(
    title: str,
    layers: Sequence[TunedLayer],
    hardware: VTAConfig,
    timing: TimingModel,
    network: NetworkAnswer | None,
) -> str:
    trials = [trial for layer in layers for trial in layer.result.trials]
    failed = sum(not trial.result.ok for trial in trials)
    cycles = sum(layer.best_cycles or 0 for layer in layers)
    what = "cycles" if len(layers) == 1 else "cycles, all layers together"
    if network is not None:
        cycles, what = network.cycles, "cycles, all runs of all layers"
    tiles = [
        (f"{len(layers):,}", "layer" if len(layers) == 1 else "layers"),
        (f"{len(trials):,}", "measurements"),
        (f"{failed:,}", "failed"),
        (f"{cycles:,}", what),
    ]
    return header(title, f"Tuned for VTA, {hardware.target}, {hardware}; {timing.note}", tiles)


def _keys(legend: Legend) -> str:
    """Two rows: what was measured, and what the map under it says."""
    marks = [(speed.label, speed.colour) for speed in SPEEDS]
    marks.append(("failed", FAILED))
    shown = "".join(
        f'<span class="mark"><i style="background:{colour}"></i>{label}</span>'
        for label, colour in marks
    )
    return (
        f'<div class="keys"><b>Measured</b><div>{shown}</div></div>'
        '<div class="keys"><b><a href="#causes">Not measured</a></b>'
        f"<div>{legend.html()}</div></div>"
    )


def _overview(layers: Sequence[TunedLayer]) -> str:
    head = "".join(f"<th{number_class(narrow)}>{name}</th>" for name, narrow in NUMBERS)
    body = "".join(_overview_row(position, layer) for position, layer in enumerate(layers))
    return (
        '<section><h2>Layers</h2><table class="layers"><thead><tr><th>Layer</th>'
        '<th class="shape">Shape</th>'
        f"{head}<th>Bound by</th></tr></thead><tbody>{body}</tbody></table>"
        '<p class="note">Lower bound: the least cycles that the analytic model allows any '
        "feasible configuration. Gap: how far the best is above it. Best at: the number of the "
        "trial that found the best. Space: the configurations that the search could propose."
        "</p></section>"
    )


def _overview_row(position: int, layer: TunedLayer) -> str:
    result, program = layer.result, layer.best_program
    best = result.best
    cells = ["", "", f"{layer.bound:,}", "", f"{len(result.trials):,}", f"{result.failed:,}", "",
             f"{len(result.space):,}"]  # fmt: skip
    if best is not None:
        cells[0], cells[1] = f"{layer.best_cycles:,}", f"{layer.gops:.1f}"
        cells[3], cells[6] = f"{layer.gap:.2%}", f"{best.number:,}"
    numbers = "".join(
        f"<td{number_class(narrow)}>{cell}</td>"
        for cell, (_, narrow) in zip(cells, NUMBERS, strict=True)
    )
    bound = "nothing ran" if program is None else program.bound
    return (
        f'<tr><td><a href="#{anchor(position)}">{escape(layer.workload.name)}</a></td>'
        f"{shape_cell(layer.workload)}{numbers}<td>{bound}</td></tr>"
    )


def _section(layer: TunedLayer, legend: Legend, name: str) -> str:
    work, program = layer.workload, layer.best_program
    head = (
        f'<section id="{name}"><h2>{escape(work.name)} <span class="soft" '
        f'style="font-weight:400">{escape(work.op)}, {escape(shape_text(work))}</span></h2>'
        f'<div class="soft">{_headline(layer)}</div>'
    )
    if program is None:
        timeline = '<p class="note">Nothing that was measured runs.</p>'
    else:
        timeline = (
            f"<h3>The best program: bound by {program.bound}, GEMM core "
            f"{program.gemm_utilisation:.0%}, memory reads {program.read_utilisation:.0%}</h3>"
            f"{draw_timeline(program)}"
        )
    return (
        f'{head}<div class="search"><div><h3>Best so far</h3>{draw_curve(layer)}'
        '<p class="note">A point per measurement, the line is the best so far, the dashed line '
        f"the lower bound.</p></div><div>{timeline}</div></div>"
        f"<h3>Where it measured</h3>{_map(layer, legend)}</section>"
    )


def _headline(layer: TunedLayer) -> str:
    best = layer.result.best
    if best is None:
        return f"{len(layer.result.trials):,} measurements, all failed"
    config = layer.result.space.config(best.index)
    knobs = ", ".join(f"{knob} {value}" for knob, value in config.items())
    return (
        f"best: index {best.index:,} ({escape(knobs)}), {layer.best_cycles:,} cycles, "
        f"{layer.gops:.1f} GOPS, found at measurement {best.number:,} of "
        f"{len(layer.result.trials):,}"
    )


def _map(layer: TunedLayer, legend: Legend) -> str:
    """The feasibility map, pale, with the measured cells in the colour of their speed."""
    space = layer.simulator.space
    try:
        fmap = FeasibilityMap.of(space)
    except SpaceError as too_large:
        return f'<p class="note">{escape(str(too_large))}</p>'
    lay = drawing.layout(fmap)
    cells: dict[tuple[int, ...], list[Trial]] = {}
    for trial in layer.result.trials:
        cells.setdefault(fmap.cell(space.knob_space.config(trial.index)), []).append(trial)
    notes = {
        int(fmap.indices[cell]): "; ".join(_words(layer, trial) for trial in trials)
        for cell, trials in cells.items()
    }

    def panel(number: int) -> tuple[str, str]:
        mine = {cell: trials for cell, trials in cells.items() if cell[0] == number}
        overlay = "".join(
            _point(layer, fmap, lay, cell, trials) for cell, trials in sorted(mine.items())
        )
        # the ring of the best goes over everything
        overlay += "".join(
            _ring(fmap, lay, cell) for cell, trials in mine.items() if layer.result.best in trials
        )
        return f"{len(mine):,} measured", overlay

    return drawing.draw_panels(fmap, lay, legend.colours, panel, notes)


def _words(layer: TunedLayer, trial: Trial) -> str:
    cycles = layer.cycles(trial)
    found = trial.result.error.name if cycles is None else f"{cycles:,} cycles"
    return f"measurement {trial.number}: {found}"


def _corner(fmap: FeasibilityMap, lay: drawing.Layout, cell: tuple[int, ...]) -> tuple[int, int]:
    height, width = fmap.codes.shape[3:]
    _, row, column, y, x = cell
    return lay.left(column, width) + x * lay.cell, lay.top(row, height) + y * lay.cell


def _point(
    layer: TunedLayer,
    fmap: FeasibilityMap,
    lay: drawing.Layout,
    cell: tuple[int, ...],
    trials: Sequence[Trial],
) -> str:
    left, top = _corner(fmap, lay, cell)
    inset = 1 if lay.cell >= 5 else 0
    size = lay.cell - 2 * inset
    ran = [cycles for trial in trials if (cycles := layer.cycles(trial)) is not None]
    best = layer.best_cycles or 1
    colour = speed_of(min(ran), best).colour if ran else FAILED
    numbers = ",".join(str(trial.index) for trial in trials)
    return (
        f'<rect class="measured" data-index="{numbers}" x="{left + inset}" y="{top + inset}" '
        f'width="{size}" height="{size}" fill="{colour}"/>'
    )


def _ring(fmap: FeasibilityMap, lay: drawing.Layout, cell: tuple[int, ...]) -> str:
    left, top = _corner(fmap, lay, cell)
    middle = lay.cell / 2
    return (
        f'<circle class="ring" cx="{left + middle:g}" cy="{top + middle:g}" '
        f'r="{max(middle + 3, 6):g}"/>'
    )


def _faded(colour: str) -> str:
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * FADE):02x}" for part in parts)
