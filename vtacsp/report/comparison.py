"""The page of ``compare``: two machines side by side, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vtacsp.codesign.side_by_side import Machine, MachineComparison, Side, total
from vtacsp.report.front import BOUND_COLOURS, bound_keys
from vtacsp.report.origin import Origin
from vtacsp.report.page import header, page

__all__ = ["render"]


def render(
    network: str,
    names: tuple[str, str],
    machines: Sequence[Machine],
    rows: Sequence[MachineComparison],
    origin: Origin,
) -> str:
    """The page as text."""
    sums = [total(rows, side) for side in ("a", "b")]
    tiles = [(f"{len(rows):,}", "layers" if len(rows) != 1 else "layer")]
    for name, cycles in zip("AB", sums, strict=True):
        shown = "–" if cycles is None else f"{cycles:,}"
        tiles.append((shown, f"cycles on {name}"))
    if sums[0] is not None and sums[1] is not None:
        tiles.append((f"{sums[0] / sums[1] - 1:+.1%}", "speed of B against A"))
    body = _machines(names, machines) + "".join(_layer(row) for row in rows)
    return page(
        f"{network}: two machines",
        header(network, "Two machines for VTA, side by side", tiles),
        bound_keys(),
        body,
        origin,
    )


def _machines(names: tuple[str, str], machines: Sequence[Machine]) -> str:
    texts = []
    for name, path, m in zip("AB", names, machines, strict=True):
        texts.append(
            f"<section><h2>{name}: {escape(path)}</h2><p>{escape(str(m.hardware))}, bus "
            f"{m.timing.bus_bytes} bytes</p></section>"
        )
    return f'<div class="columns">{"".join(texts)}</div>'


def _layer(row: MachineComparison) -> str:
    times = f" × {row.layer.count}" if row.layer.count > 1 else ""
    most = max(side.cycles or 0 for side in (row.a, row.b))
    body = "".join(_side(name, side, most) for name, side in (("A", row.a), ("B", row.b)))
    both = "" if row.both is None else f"; {row.both:,} configurations run on both"
    faster = "" if row.faster is None else f"B: {row.faster:+.1%} speed"
    return (
        f"<section><h2>{escape(row.layer.name)}{times}</h2>"
        f'<div class="soft">{faster}{both}</div>'
        '<table class="bars"><thead><tr><th></th><th class="n">Cycles</th><th></th>'
        '<th>Bound by</th><th class="n">Feasible</th><th class="n wide">Moved</th>'
        f'<th class="wide">Scratchpads</th><th class="wide">Best</th></tr></thead>'
        f"<tbody>{body}</tbody></table></section>"
    )


def _side(name: str, side: Side, most: int) -> str:
    if side.cycles is None:
        why = '<td colspan="7" class="reason">nothing is feasible</td>'
        return f"<tr><td><b>{name}</b></td>{why}</tr>"
    colour = BOUND_COLOURS[side.bound or "latency"]
    used = ", ".join(f"{what} {share:.0%}" for what, share in (side.used or {}).items())
    knobs = ", ".join(f"{knob} {n}" for knob, n in (side.config or {}).items() if n != 1)
    return (
        f'<tr><td><b>{name}</b></td><td class="n">{side.cycles:,}</td><td class="track">'
        f'<div class="bar"><i class="first" style="width:{side.cycles / most:.1%};'
        f'background:{colour}"></i></div></td><td>{side.bound}</td>'
        f'<td class="n">{side.feasible:,} of {side.grid:,}</td>'
        f'<td class="n wide">{(side.moved or 0) / 1024:,.0f} KiB</td><td class="wide">{used}</td>'
        f'<td class="wide">{escape(knobs or "all knobs 1")}</td></tr>'
    )
