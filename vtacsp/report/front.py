"""The page of ``codesign``: the front as a picture, its machines in detail, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from math import log10

from vtacsp.codesign.beyond import FreeFront, FreePoint
from vtacsp.codesign.costs import Cost
from vtacsp.codesign.front_machine import Detail
from vtacsp.codesign.machines import BUS, KEYS
from vtacsp.codesign.pareto import Front, Point
from vtacsp.machine.design import design_changes, design_hazards, design_limits
from vtacsp.report.curve import short, ticks
from vtacsp.report.drawing import text
from vtacsp.report.origin import Origin
from vtacsp.report.page import header, page

__all__ = ["BOUND_COLOURS", "bound_keys", "render", "size_words"]

WIDTH, HEIGHT = 548, 330
NARROW = 344  # of a phone
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 22, 40
BOUND_COLOURS = {
    "compute": "#066640", "load": "#4085dc", "store": "#e9602a", "latency": "#a0aaaa",
}  # fmt: skip
# by block, from small to large: light to dark, apart in every kind of colour vision
BLOCK_COLOURS = ("#fde725", "#a0da39", "#4ac16d", "#1fa187", "#277f8e", "#365c8d", "#46327e",
                 "#440154")  # fmt: skip
NAMES = dict(zip(KEYS, ("batch", "block", "bus", "uop", "inp", "wgt", "acc"), strict=True))


def render(
    title: str,
    front: Front,
    details: Sequence[Detail],
    origin: Origin,
    free: FreeFront | None = None,
) -> str:
    """The page as text; ``details`` are those of all points, in their order.

    ``free`` is the front of the best known with schedules beyond the template.
    """
    blocks = sorted({d.point.sizes["LOG_BLOCK"] for d in details})
    colours = {block: BLOCK_COLOURS[block % len(BLOCK_COLOURS)] for block in blocks}
    keys = (
        "".join(
            f'<span class="mark"><i style="background:{colour}"></i>block {1 << block}</span>'
            for block, colour in colours.items()
        )
        + bound_keys()
    )
    body = _picture(front, details, colours, free) + _machines(front, details)
    if free is not None:
        body += _beyond(front, free)
    body += _proof(front)
    script = (files("vtacsp.report") / "assets" / "front.js").read_text(encoding="utf-8")
    return page(
        f"{title}: machines for it", _header(title, front), keys,
        f"{body}<script>{script}</script>", origin,
    )  # fmt: skip


def bound_keys() -> str:
    """The keys of what bounds a layer."""
    return "".join(
        f'<span class="mark"><i style="background:{colour}"></i>bound by {bound}</span>'
        for bound, colour in BOUND_COLOURS.items()
    )


def size_words(sizes: dict[str, int], keys: Sequence[str] = KEYS) -> str:
    """A machine in words: ``block 16, bus 8 B, wgt 256 KiB``."""
    return ", ".join(f"{NAMES[key]} {_size(key, sizes[key])}" for key in keys)


def _size(key: str, log: int) -> str:
    if key == BUS:
        return f"{1 << log - 3} B"
    if not key.endswith("BUFF_SIZE"):
        return str(1 << log)
    return f"{1 << log - 10:,} KiB" if log >= 10 else f"{1 << log} B"


def _header(title: str, front: Front) -> str:
    proof, free = front.proof, ", ".join(front.space.free)
    tiles = [
        (f"{proof.machines:,}", "machines"),
        (f"{proof.front:,}", "on the front"),
        (f"{proof.programs + proof.recalled:,}", "programs simulated"),
    ]
    if front.points:
        tiles.append((f"{min(p.cycles for p in front.points):,}", "cycles, the fastest"))
    words = f"Machines for VTA, free: {free}; {front.space.timing.note}"
    return header(title, words, tiles)


# ---------------------------------------------------------------- the picture


class _Axis:
    """A logarithmic axis with some room at its ends."""

    def __init__(self, values: Sequence[int], first: float, last: float) -> None:
        low, high = max(min(values), 1), max(*values, 1, 1)
        room = max((high / low) ** 0.05, 1.02)
        self.low, self.high, self.first, self.last = low / room, high * room, first, last

    def at(self, value: int) -> float:
        share = log10(max(value, 1) / self.low) / log10(self.high / self.low)
        return self.first + (self.last - self.first) * share

    def ticks(self) -> list[int]:
        return [tick for tick in ticks(self.low, self.high) if tick >= 1]


def _picture(
    front: Front, details: Sequence[Detail], colours: dict[int, str], free: FreeFront | None
) -> str:
    if not details:
        return (
            '<section><h2>The front</h2><p class="note">No machine is within budget and runs every '
            "layer.</p></section>"
        )
    # drawn twice: letters that shrink with a picture cannot be read on a phone
    figures = "".join(
        _plot(front, cost, details, colours, width, () if free is None else free.points)
        for cost in front.objectives
        for width in (WIDTH, NARROW)
    )
    estimates = [cost.name for cost in front.costs if cost.estimate]
    note = (
        "A point per machine that no other one beats in cycles and in every cost compared; both "
        "axes are logarithmic. Point at one to see what bounds its layers, select it to open it "
        "below."
    )
    if free is not None:
        note += (
            " Rings: machines of the best known with schedules beyond the template, each above "
            "the limit (a dash) that no program gets below."
        )
    if estimates:
        note += f" Estimates by a rule: {', '.join(estimates)} (docs/codesign.md)."
    return (
        f'<section><h2>The front</h2><div class="panels">{figures}</div>'
        f'<p class="note">{note}</p></section>'
    )


def _plot(
    front: Front,
    cost: Cost,
    details: Sequence[Detail],
    colours: dict[int, str],
    width: int,
    free: Sequence[FreePoint] = (),
) -> str:
    every: list[Point | FreePoint] = [*(d.point for d in details), *free]
    x = _Axis([point.costs[cost.name] for point in every], LEFT, width - RIGHT)
    heights = [*(point.cycles for point in every), *(point.limit for point in free)]
    y = _Axis(heights, HEIGHT - BOTTOM, TOP)
    parts = []
    kind = "wide" if width == WIDTH else "narrow"
    for value in y.ticks():
        at = round(y.at(value), 1)
        parts.append(f'<path class="rule" d="M{LEFT} {at}H{width - RIGHT}"/>')
        parts.append(text(LEFT - 6, at + 3.5, short(value), "label", "end"))
    for value in x.ticks():
        at = round(x.at(value), 1)
        parts.append(f'<path class="rule" d="M{at} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(text(at, HEIGHT - BOTTOM + 15, short(value), "label", "middle"))
    parts.append(f'<path class="base" d="M{LEFT} {HEIGHT - BOTTOM}H{width - RIGHT}"/>')
    unit = f" ({cost.unit})" if cost.unit and cost.unit.lower() != cost.name else ""
    name = f"{cost.name}{unit}{', estimate' if cost.estimate else ''}"
    parts.append(text(width - RIGHT, HEIGHT - 6, name, "label", "end"))
    parts.append(text(0, 11, "cycles of the network", "label"))
    if len(front.objectives) == 1:  # the stairs: nothing is below and to the left
        stairs = sorted((d.point.costs[cost.name], d.point.cycles) for d in details)
        path = f"M{x.at(stairs[0][0]):.1f} {TOP}"
        path += "".join(f"H{x.at(c):.1f}V{y.at(n):.1f}" for c, n in stairs)
        parts.append(f'<path class="best-so-far" d="{path}H{width - RIGHT}"/>')
    for number, detail in enumerate(details, 1):
        point = detail.point
        colour = colours[point.sizes["LOG_BLOCK"]]
        parts.append(
            f'<a href="#m{number}" class="machine-point"><circle class="trial" '
            f'cx="{x.at(point.costs[cost.name]):.1f}" cy="{y.at(point.cycles):.1f}" r="5.5" '
            f'fill="{colour}"/><title>{escape(_tip(front, detail))}</title></a>'
        )
    for known in free:
        left = x.at(known.costs[cost.name])
        top, low = y.at(known.cycles), y.at(known.limit)
        parts.append(
            f'<g class="known-point"><path class="base" d="M{left:.1f} {top:.1f}V{low:.1f}'
            f'M{left - 4:.1f} {low:.1f}h8"/><circle class="base" cx="{left:.1f}" cy="{top:.1f}" '
            f'r="4" fill="none" stroke-width="2" pointer-events="all"/>'
            f"<title>{escape(_known_tip(front, known))}</title></g>"
        )
    return (
        f'<figure class="{kind}"><svg class="front" width="{width}" height="{HEIGHT}" '
        f'viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="cycles against {escape(cost.name)}">{"".join(parts)}</svg></figure>'
    )


def _tip(front: Front, detail: Detail) -> str:
    point = detail.point
    lines = [
        f"{point.cycles:,} cycles",
        size_words(point.sizes, list(front.space.free)),
        ", ".join(f"{name} {value:,}" for name, value in point.costs.items()),
    ]
    for bound, layers in _bounds(detail).items():
        shown = ", ".join(layers[:8]) + (f" and {len(layers) - 8} more" if layers[8:] else "")
        lines.append(f"{bound} bounds {_share_of(detail, layers):.0%}: {shown}")
    return "\n".join(lines)


def _known_tip(front: Front, known: FreePoint) -> str:
    costs = ", ".join(f"{name} {value:,}" for name, value in known.costs.items())
    return (
        f"{known.cycles:,} cycles, the best known; no program needs fewer than {known.limit:,}\n"
        f"{size_words(known.sizes, list(front.space.free))}\n{costs}"
    )


def _bounds(detail: Detail) -> dict[str, list[str]]:
    """Layers by what bounds them."""
    found: dict[str, list[str]] = {}
    for name, bound in detail.bound.items():
        found.setdefault(bound, []).append(name)
    return dict(sorted(found.items(), key=lambda item: -_share_of(detail, item[1])))


def _share_of(detail: Detail, names: Sequence[str]) -> float:
    """Share of the network's cycles in these layers."""
    spent = sum(b.cycles * b.layer.count for b in detail.point.layers if b.layer.name in names)
    return spent / detail.point.cycles


# ---------------------------------------------------------------- the machines


def _machines(front: Front, details: Sequence[Detail]) -> str:
    if not details:
        return ""
    fastest = min(d.point.cycles for d in details)
    entries = "".join(
        _machine(front, number, detail, fastest) for number, detail in enumerate(details, 1)
    )
    first = front.objectives[0].name if len(front.objectives) == 1 else "kib"
    return (
        f'<section id="machines"><h2>Machines</h2><p class="note">By {escape(first)}, cheapest '
        "first. Runs: the share of all programs of the layers' tilings that fit the machine."
        f"</p>{entries}</section>"
    )


def _machine(front: Front, number: int, detail: Detail, fastest: int) -> str:
    point = detail.point
    costs = ", ".join(f"{name} {value:,}" for name, value in point.costs.items())
    slower = point.cycles / fastest - 1
    than = f" (+{slower:.1%})" if slower else " (the fastest)"
    stack = "".join(
        f'<i style="width:{_share_of(detail, layers):.2%};background:{BOUND_COLOURS[bound]}"></i>'
        for bound, layers in _bounds(detail).items()
    )
    bounds = ", ".join(
        f"{bound} {_share_of(detail, layers):.0%}" for bound, layers in _bounds(detail).items()
    )
    return (
        f'<details class="machine" id="m{number}"><summary><b>{point.cycles:,} cycles</b>{than} '
        f'<span class="soft">{escape(costs)}; runs {detail.share:.1%}</span><br>'
        f"{escape(size_words(point.sizes, list(front.space.free)))}"
        f'<div class="stack" title="bound by {bounds}">{stack}</div>'
        f'<span class="soft">bound by {bounds}</span></summary>'
        f'<div class="columns"><div><h3>Layers</h3>{_layers(detail)}</div>'
        f"<div><h3>What a size is worth</h3>{_sensitivity(detail)}</div></div>{_design(point)}"
        "</details>"
    )


def _design(point: Point) -> str:
    """What the Chisel design cannot do on a machine."""
    kinds = {
        "cannot be built for this machine": design_limits,
        "needs its own sources changed": design_changes,
        "may compute wrong numbers": design_hazards,
    }
    return "".join(
        f'<p class="note">The Chisel design {word}: {escape(line)}.</p>'
        for word, lines in kinds.items()
        for line in lines(point.hardware, point.timing)
    )


def _layers(detail: Detail) -> str:
    rows = []
    for best in detail.point.layers:
        name = best.layer.name
        bound = detail.bound[name]
        spent = best.cycles * best.layer.count
        runs, grid = detail.runs[name]
        times = f" × {best.layer.count}" if best.layer.count > 1 else ""
        rows.append(
            f"<tr><td>{escape(name)}{times}</td>"
            f'<td class="n">{best.cycles:,}</td><td class="track"><div class="bar"><i class="first"'
            f' style="width:{spent / detail.point.cycles:.1%};background:{BOUND_COLOURS[bound]}">'
            f'</i></div></td><td>{bound}</td><td class="n">{runs / grid:.1%}</td></tr>'
        )
    return (
        '<table class="bars"><thead><tr><th>Layer</th><th class="n">Cycles</th>'
        '<th>Share of the network</th><th>Bound by</th><th class="n">Runs</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _sensitivity(detail: Detail) -> str:
    now = detail.point.cycles
    rows = []
    for key, (smaller, larger) in detail.neighbours.items():
        cells = "".join(f'<td class="n">{_change(n, now)}</td>' for n in (smaller, larger))
        size = _size(key, detail.point.sizes[key])
        rows.append(f"<tr><td><code>{key}</code></td><td>{size}</td>{cells}</tr>")
    return (
        '<table class="bars"><thead><tr><th>Key</th><th>Now</th><th class="n">Halved</th>'
        f'<th class="n">Doubled</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        '<p class="note">Cycles of the network with this size alone halved or doubled, every layer '
        "at its best again. A dash: outside of the ranges, no machine that can be built, or a "
        "layer does not run.</p>"
    )


def _change(cycles: int | None, now: int) -> str:
    if cycles is None:
        return "–"
    change = cycles / now - 1
    kind = "gain" if change < 0 else "loss" if change > 0 else "soft"
    return f'<span class="{kind}">{change:+.2%}</span>'


# ---------------------------------------------------------------- beyond the template


def _beyond(front: Front, free: FreeFront) -> str:
    rows = []
    for point in free.points:
        costs = ", ".join(f"{name} {value:,}" for name, value in point.costs.items())
        template = "–" if point.template_cycles is None else f"{point.template_cycles:,}"
        proven = "yes" if point.proven else f"to {point.cycles / point.floor - 1:.2%}"
        rows.append(
            f"<tr><td>{escape(size_words(point.sizes, list(front.space.free)))}<br>"
            f'<span class="soft">{escape(costs)}</span></td><td class="n">{point.cycles:,}</td>'
            f'<td class="n">{point.limit:,}</td><td class="n">{template}</td>'
            f'<td class="n">{proven}</td></tr>'
        )
    said = escape(str(free.proof)).replace(",\n", ", ").replace("\n", "; ")
    return (
        '<section id="beyond"><h2>Beyond the template</h2><p class="note">The front of the best '
        "that a search of free schedules found. No program needs fewer cycles on a machine than "
        "its limit. Proven: no machine that costs no more can be faster; else by how much one "
        'could be at most.</p><table><thead><tr><th>Machine</th><th class="n">Best known</th>'
        '<th class="n">Limit</th><th class="n">Template</th><th class="n">Proven</th></tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table><p class="note">{said}.</p></section>'
    )


# ---------------------------------------------------------------- the proof


def _proof(front: Front) -> str:
    p = front.proof
    rows = [
        *((f"cannot be built: rule {name}", n) for name, n in p.illegal.items()),
        *((f"over budget: {name}", n) for name, n in p.over_budget.items()),
        *((f"cannot run {name}", n) for name, n in p.infeasible.items()),
        ("cut by the work that no tiling avoids", p.cut_by_work),
        ("cut by the bounds of the schedules that fit", p.cut_by_schedule),
        ("cycles computed, and beaten", p.beaten),
        ("on the front", p.front),
    ]
    body = "".join(
        f'<tr><td>{escape(name)}</td><td class="n">{n:,}</td></tr>' for name, n in rows if n
    )
    return (
        '<section id="proof"><h2>Why there is no other</h2><table><thead><tr><th>Machines</th>'
        f'<th class="n">Number</th></tr></thead><tbody>{body}</tbody><tfoot><tr><td>all</td>'
        f'<td class="n">{p.machines:,}</td></tr></tfoot></table><p class="note">A machine is cut '
        "when one of the front is as cheap and needs no more cycles than a lower bound of its own. "
        f"{p.tables:,} layers compiled, {p.programs + p.recalled:,} programs simulated in "
        f"{p.rounds:,} rounds. <code>--certificate FILE</code> writes this down, "
        "<code>--verify FILE</code> checks it.</p></section>"
    )
