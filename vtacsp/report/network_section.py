"""The section of a page about a whole network: a bar per layer in network order, and totals."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vtacsp.network.answer import LayerAnswer, NetworkAnswer
from vtacsp.report.layer_facts import shape_text
from vtacsp.report.overview import anchor, number_class

__all__ = ["BOUNDS", "network_section", "network_tiles"]

BOUNDS = {"compute": "#066640", "load": "#2f7dc1", "store": "#e9602a", "latency": "#a9b8c1"}
"""What bounds a layer -> colour of its bar, as in the timelines."""

NUMBERS = (  # and whether a narrow screen shows them too
    ("Times", True),
    ("Cycles", False),
    ("All runs", True),
    ("GEMM", False),
    ("Bytes moved", False),
)


def network_tiles(answer: NetworkAnswer) -> list[tuple[str, str]]:
    """Large numbers for the head of the page."""
    total = answer.total()
    return [
        (f"{total['cycles']:,}", "cycles, all runs"),
        (f"{total['ms']:,.2f} ms", f"at {total['clock_hz'] / 1e6:g} MHz"),
        (f"{total['host']:,}", "nodes on the host"),
    ]


def network_section(answer: NetworkAnswer) -> str:
    """Bars, what to look at first, and what the host has."""
    most = max((layer.total_cycles or 0 for layer in answer.layers), default=0) or 1
    first = {layer.layer.name for layer in answer.first}
    body = "".join(
        _row(place, layer, most, layer.layer.name in first)
        for place, layer in enumerate(answer.layers)
    )
    head = "".join(f"<th{number_class(narrow)}>{name}</th>" for name, narrow in NUMBERS)
    keys = " ".join(
        f'<span class="key"><i style="background:{colour}"></i>{bound}</span>'
        for bound, colour in BOUNDS.items()
    )
    return (
        '<section id="network"><h2>The network, layer by layer</h2>'
        f'<p class="note">A bar is the cycles of all runs of a layer, in network order; its colour '
        f"is what bounds the layer: {keys}. Bytes are of all runs.</p>"
        '<table class="bars network"><thead><tr><th>Layer</th>'
        f"{head}<th>Share of the network</th></tr></thead><tbody>{body}</tbody>{_sums(answer)}"
        "</table>"
        f"{_first(answer)}{_missing(answer)}{_host(answer)}{_remarks(answer)}</section>"
    )


def _row(place: int, layer: LayerAnswer, most: int, marked: bool) -> str:
    name, run = layer.layer.name, layer.result
    title = f"{name}: {shape_text(layer.layer.workload)}"
    link = f'<a href="#{anchor(place)}" title="{escape(title)}">{escape(_short(name))}</a>'
    link = f"<b>{link}</b>" if marked else link
    if run is None:
        reason = escape(layer.refused or "nothing is feasible")
        return (
            f'<tr class="refused"><td>{escape(_short(name))}</td><td class="n">'
            f'{layer.layer.count:,}</td><td colspan="5"><span class="reason">{reason}</span>'
            "</td></tr>"
        )
    cells = (
        f"{layer.layer.count:,}",
        f"{run.cycles:,}",
        f"{layer.total_cycles:,}",
        f"{run.gemm_utilisation:.0%}",
        f"{layer.layer.count * (layer.bytes or 0):,}",
    )
    width = 100 * (layer.total_cycles or 0) / most
    bar = (
        f'<div class="bar" title="{escape(title)}; bound by {run.bound}">'
        f'<i style="width:{width:.2f}%;background:{BOUNDS[run.bound]}"></i></div>'
    )
    return f'<tr><td>{link}</td>{_numbers(cells)}<td class="track">{bar}</td></tr>'


def _numbers(cells: Sequence[str]) -> str:
    return "".join(
        f"<td{number_class(narrow)}>{cell}</td>"
        for cell, (_, narrow) in zip(cells, NUMBERS, strict=True)
    )


def _sums(answer: NetworkAnswer) -> str:
    """The last row: all runs of all layers."""
    total = answer.total()
    gemm, share = total["gemm_utilisation"], total["share"]
    cells = (
        f"{total['count']:,}",
        "",
        f"{total['cycles']:,}",
        "" if gemm is None else f"{gemm:.1%}",
        f"{total['bytes']:,}",
    )
    words = f"{total['ms']:,.3f} ms at {total['clock_hz'] / 1e6:g} MHz"
    if share is not None:
        words += f"; {share:.1%} of the configurations feasible"
    return f"<tfoot><tr><td>total</td>{_numbers(cells)}<td>{words}</td></tr></tfoot>"


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"…{name[-27:]}"


def _first(answer: NetworkAnswer) -> str:
    if len(answer.answered) < 2:
        return ""
    total = answer.cycles or 1
    items = "".join(f"<li>{_advice(layer, total)}</li>" for layer in answer.first)
    return f"<h3>Look at these first</h3><ol>{items}</ol>"


def _advice(layer: LayerAnswer, total: int) -> str:
    shape = escape(shape_text(layer.layer.workload, epilogue=False))
    bound = "" if layer.result is None else f"; bound by {layer.result.bound}"
    return (
        f"<b>{escape(layer.layer.name)}</b> ({shape}): {layer.idle:,} cycles of the network pass "
        f"there without GEMM, {layer.idle / total:.0%} of all{bound}"
    )


def _missing(answer: NetworkAnswer) -> str:
    names = answer.total()["missing"]
    if not names:
        return ""
    return f'<p class="note">Not in the total: {escape(", ".join(names))}</p>'


def _host(answer: NetworkAnswer) -> str:
    reasons: dict[tuple[str, str], int] = {}
    for node in answer.network.host:
        reasons[node.op, node.why] = reasons.get((node.op, node.why), 0) + node.count
    if not reasons:
        return ""
    rows = "".join(
        f'<tr><td class="n">{count:,}</td><td>{escape(op)}</td><td>{escape(why)}</td></tr>'
        for (op, why), count in reasons.items()
    )
    return (
        '<h3>On the host</h3><table class="host"><thead><tr><th class="n">Times</th>'
        f"<th>Operator</th><th>Why</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _remarks(answer: NetworkAnswer) -> str:
    remarks = list(answer.network.remarks)
    remarks += [
        f"{layer.layer.name}: {'; '.join(layer.layer.remarks)}"
        for layer in answer.layers
        if layer.layer.remarks
    ]
    return "".join(f'<p class="note">{escape(note)}</p>' for note in remarks)
