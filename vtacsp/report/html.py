"""One self-contained HTML page for a list of layers, to look at rather than to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.answer import NetworkAnswer
from vtacsp.operators.workload import Workload
from vtacsp.report.free_section import Beyond, beyond_section
from vtacsp.report.hardware import hardware_card, outlook_card
from vtacsp.report.layer_detail import detail
from vtacsp.report.layer_facts import LayerFacts
from vtacsp.report.legend import Legend
from vtacsp.report.network_section import network_section, network_tiles
from vtacsp.report.origin import Origin
from vtacsp.report.outlook import best_change
from vtacsp.report.overview import anchor, overview, percent
from vtacsp.report.page import header, page
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["render", "write_html"]


LayerOutcome = tuple[Workload, FeasibleSpace | WorkloadError]
"""A layer with its compiled space, or with the refusal of a workload that cannot be packed."""


def write_html(
    path: str | Path,
    title: str,
    layers: Sequence[LayerOutcome],
    hardware: VTAConfig,
    origin: Origin | None = None,
) -> None:
    """Write the report of some layers, compiled for ``hardware``, to a file.

    ``title`` names them all: a suite, a member, a file.  ``origin`` is what the footer says of the
    page's making; without it, that it was made from Python, now.
    """
    Path(path).write_text(render(title, layers, hardware, origin), encoding="utf-8")


def render(
    title: str,
    layers: Sequence[LayerOutcome],
    hardware: VTAConfig,
    origin: Origin | None = None,
    network: NetworkAnswer | None = None,
    beyond: Sequence[Beyond] = (),
    timing: TimingModel = RTL,
) -> str:
    """The page as text; see :func:`write_html`.

    ``network`` is the answer whose layers these are: its section comes first.  ``beyond`` is what
    is known of them beyond the template, and ``timing`` what cycles are of.
    """
    rows = [LayerFacts.of(workload, outcome) for workload, outcome in layers]
    compiled = [
        (anchor(position), row.space, row.statistics)
        for position, row in enumerate(rows)
        if row.space is not None and row.statistics is not None
    ]
    legend = Legend((space.problem.rules, counts) for _, space, counts in compiled)
    cards = [hardware_card(hardware)]
    if compiled:
        workloads = [space.workload for _, space, _ in compiled]
        problem = compiled[0][1].problem
        outlook = best_change(
            workloads, hardware, problem.user_rules, stack_only=problem.stack_only, timing=timing
        )
        cards.append(outlook_card(outlook, [workload.name for workload in workloads]))
    details = [detail(space, counts, legend, name) for name, space, counts in compiled]
    meanings = legend.table() if compiled else ""
    columns = f'<div class="columns">{"".join(cards)}</div>'
    whole = "" if network is None else network_section(network)
    links = {row.workload.name: anchor(position) for position, row in enumerate(rows)}
    more = beyond_section(beyond, links) if beyond else ""
    body = f"{whole}{overview(rows, legend)}{more}{meanings}{columns}{''.join(details)}"
    name = f"{title}: feasible schedules on VTA"
    tiles = [] if network is None else network_tiles(network)
    return page(
        name, _header(title, rows, hardware, tiles), legend.html(), body, origin or Origin.now()
    )


def _header(
    title: str, rows: Sequence[LayerFacts], hardware: VTAConfig, more: Sequence[tuple[str, str]]
) -> str:
    counted = [row.statistics for row in rows if row.statistics is not None]
    size, feasible = sum(c.size for c in counted), sum(c.feasible for c in counted)
    tiles = [(f"{len(rows):,}", "layers" if len(rows) != 1 else "layer")]
    if len(counted) < len(rows):
        tiles.append((f"{len(rows) - len(counted):,}", "refused"))
    if size:
        tiles += [
            (f"{size:,}", "configurations"),
            (f"{feasible:,}", "feasible"),
            (percent(feasible / size), "of the space"),
        ]
    subtitle = f"Feasible schedules on VTA, {hardware.target}, {hardware}"
    return header(title, subtitle, [*tiles, *more])
