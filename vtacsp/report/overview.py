"""The summary: one row per layer with its counts, or why it was refused."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vtacsp.causes import OK
from vtacsp.report.layer_facts import LayerFacts, shape_cell
from vtacsp.report.legend import Legend, label
from vtacsp.space.statistics import SpaceStatistics

__all__ = ["anchor", "number_class", "overview", "percent"]

NUMBERS = (  # and whether a narrow screen shows them too
    ("Configu-<br>rations", True),
    ("Distinct<br>programs", False),
    ("Feasible", True),
    ("Feasible<br>programs", False),
    ("Share", True),
)
NAMED_CAUSES = 2  # in words below the bar


def overview(layers: Sequence[LayerFacts], legend: Legend) -> str:
    """Table of all layers, in order, with a total when there are several."""
    head = '<th>Layer</th><th class="shape">Shape</th>'
    head += "".join(f"<th{number_class(narrow)}>{name}</th>" for name, narrow in NUMBERS)
    body = "".join(_row(position, layer, legend) for position, layer in enumerate(layers))
    return (
        '<section><h2>Layers</h2><table class="layers"><thead><tr>'
        f'{head}<th class="causes">What the stack reports first</th></tr></thead>'
        f"<tbody>{body}</tbody>{_total(layers)}</table></section>"
    )


def number_class(narrow: bool) -> str:
    """Class of a column of numbers; what a narrow screen does not show is ``wide``."""
    return ' class="n"' if narrow else ' class="n wide"'


def anchor(position: int) -> str:
    """Fragment identifier of a layer."""
    return f"layer-{position}"


def percent(share: float) -> str:
    """A share in percent, with a decimal where it matters."""
    return f"{share:.1%}" if share < 0.9995 else "100%"


def _row(position: int, layer: LayerFacts, legend: Legend) -> str:
    work, counts = layer.workload, layer.statistics
    about = shape_cell(work)
    if counts is None:
        return (
            f'<tr class="refused"><td><b>{escape(work.name)}</b></td>{about}'
            f'<td class="causes" colspan="6"><span class="reason">refused:</span> '
            f"{escape(layer.reason)}</td></tr>"
        )
    link = f'<a href="#{anchor(position)}">{escape(work.name)}</a>'
    return (
        f"<tr><td>{link}</td>{about}{_numbers(counts)}"
        f'<td class="causes">{_stack(counts, legend)}{_main_causes(counts, legend)}</td></tr>'
    )


def _numbers(counts: SpaceStatistics) -> str:
    numbers = [
        f"{n:,}" for n in (counts.size, counts.programs, counts.feasible, counts.feasible_programs)
    ]
    return "".join(
        f"<td{number_class(narrow)}>{number}</td>"
        for number, (_, narrow) in zip([*numbers, percent(counts.share)], NUMBERS, strict=True)
    )


def _stack(counts: SpaceStatistics, legend: Legend) -> str:
    """Feasible and first causes as one bar."""
    parts = "".join(
        f'<i style="width:{100 * n / counts.size:.3f}%;background:{legend.colours[cause]}" '
        f'title="{escape(label(cause))}: {n:,}"></i>'
        for cause, n in legend.first_causes(counts).items()
    )
    return f'<div class="stack">{parts}</div>'


def _main_causes(counts: SpaceStatistics, legend: Legend) -> str:
    causes = {c: n for c, n in legend.first_causes(counts).items() if c != OK}
    ranked = sorted(causes, key=lambda cause: -causes[cause])[:NAMED_CAUSES]
    return ", ".join(f"{escape(c)} {causes[c] / counts.size:.0%}" for c in ranked)


def _total(layers: Sequence[LayerFacts]) -> str:
    counts = [layer.statistics for layer in layers if layer.statistics is not None]
    if len(counts) < 2:
        return ""
    total = SpaceStatistics(
        name="total",
        size=sum(c.size for c in counts),
        programs=sum(c.programs for c in counts),
        feasible=sum(c.feasible for c in counts),
        feasible_programs=sum(c.feasible_programs for c in counts),
        first={},
        any={},
    )
    cells = f'<td colspan="2">Total</td>{_numbers(total)}<td class="causes"></td>'
    return f"<tfoot><tr>{cells}</tr></tfoot>"
