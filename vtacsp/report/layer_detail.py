"""The section of one layer: its feasibility map, its causes, how full its scratchpads are."""

from __future__ import annotations

from html import escape

import numpy as np

from vtacsp.causes import OK
from vtacsp.errors import SpaceError
from vtacsp.report import drawing
from vtacsp.report.feasibility import FeasibilityMap
from vtacsp.report.layer_facts import shape_text
from vtacsp.report.legend import Legend
from vtacsp.report.overview import percent
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.occupancy import Occupancy, occupancy
from vtacsp.space.statistics import SpaceStatistics

__all__ = ["detail"]


def detail(space: FeasibleSpace, counts: SpaceStatistics, legend: Legend, anchor: str) -> str:
    """Everything about a layer."""
    work = space.workload
    programs = (
        f" ({counts.programs:,} distinct programs, {counts.feasible_programs:,} feasible)"
        if counts.programs != counts.size
        else ""
    )
    return (
        f'<section id="{anchor}"><h2>{escape(work.name)} <span class="soft" '
        f'style="font-weight:400">{escape(work.op)}, {escape(shape_text(work))}</span></h2>'
        f'<div class="soft">{counts.feasible:,} of {counts.size:,} configurations are feasible, '
        f"{percent(counts.share)}{programs}</div>"
        f"{_map(space, legend)}"
        f'<div class="details"><div><h3>Configurations that each rule refuses</h3>'
        f"{_bars(counts, legend)}</div><div><h3>Scratchpad share that the feasible ones need</h3>"
        f"{_occupancies(occupancy(space), legend)}</div></div></section>"
    )


def _map(space: FeasibleSpace, legend: Legend) -> str:
    try:
        fmap = FeasibilityMap.of(space)
    except SpaceError as too_large:
        return f'<p class="note">{escape(str(too_large))}</p>'

    def panel(number: int) -> tuple[str, str]:
        codes = fmap.codes[number]
        feasible = int(np.count_nonzero(codes == fmap.causes.index(OK)))
        return f"{feasible:,} of {codes.size:,}", ""

    return drawing.draw_panels(fmap, drawing.layout(fmap), legend.colours, panel)


def _bars(counts: SpaceStatistics, legend: Legend) -> str:
    """Per rule: reported first (solid) and broken at all (light)."""
    ranked = sorted(counts.any, key=lambda rule: (-counts.first.get(rule, 0), -counts.any[rule]))
    longest = max([counts.feasible, *counts.any.values()])
    rows = [_bar("feasible", legend.colours[OK], counts.feasible, None, longest)]
    for rule in ranked:
        cause = legend.cause_of[rule]
        name = escape(rule) if cause == rule else f"{escape(rule)} <i>{escape(cause)}</i>"
        first, every = counts.first.get(rule, 0), counts.any[rule]
        rows.append(_bar(name, legend.colours[cause], first, every, longest))
    return (
        '<table class="bars"><thead><tr><th>Rule</th><th></th><th class="n">First</th>'
        f'<th class="n">Any</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        '<p class="note">Solid: the stack reports this cause first. Light: the rule does not '
        "hold, whatever is reported.</p>"
    )


def _bar(name: str, colour: str, first: int, every: int | None, longest: int) -> str:
    light = "" if every is None else _strip("any", colour, every / longest)
    solid = _strip("first", colour, first / longest) if first else ""
    total = "" if every is None else f"{every:,}"
    return (
        f'<tr><td>{name}</td><td class="track"><div class="bar">{light}{solid}</div></td>'
        f'<td class="n">{first:,}</td><td class="n soft">{total}</td></tr>'
    )


def _strip(kind: str, colour: str, share: float) -> str:
    return f'<i class="{kind}" style="width:{100 * share:.2f}%;background:{colour}"></i>'


def _occupancies(found: list[Occupancy], legend: Legend) -> str:
    if not found:
        return '<p class="note">Nothing is feasible.</p>'
    parts = []
    for item in found:
        name = f"{item.buffer.upper()} {item.name}"
        picture = drawing.draw_histogram(item.histogram(), legend.colours[OK], name)
        parts.append(
            f"<figure><figcaption><b>{item.buffer.upper()}</b> {item.name}<br>"
            f'<span class="soft">median {percent(float(np.median(item.shares)))}, '
            f"most {percent(float(item.shares.max()))}</span></figcaption>{picture}</figure>"
        )
    return (
        f'<div class="hists">{"".join(parts)}</div>'
        '<p class="note">Configurations by the share of a scratchpad that their buffers take, '
        "copies of virtual threads included.</p>"
    )
