"""The hardware of a page, and the nearest machine on which the layers are fastest."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vtacsp.machine.configuration import VTAConfig
from vtacsp.report.outlook import SCRATCHPADS, Change, Outlook

__all__ = ["hardware_card", "outlook_card", "size_text"]

SHOWN_CHANGES = 6
BUFFER_NAMES = {
    "uop": "micro-ops",
    "inp": "input",
    "wgt": "weights",
    "acc": "accumulator",
    "out": "output",
}


def size_text(size: int) -> str:
    """Bytes in the largest unit that divides them."""
    for unit, bits in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size and size % (1 << bits) == 0:
            return f"{size >> bits:,} {unit}"
    return f"{size:,} B"


def hardware_card(hardware: VTAConfig) -> str:
    """Every field of the description, and the scratchpads that follow from it."""
    pads = "".join(
        f"<tr><td><b>{buffer.upper()}</b> <span class=soft>{BUFFER_NAMES[buffer]}</span></td>"
        f'<td class="n">{size_text(hardware.bytes(buffer))}</td>'
        f'<td class="n">{hardware.element_bytes(buffer):,} B</td>'
        f'<td class="n">{hardware.depth(buffer):,}</td></tr>'
        for buffer in SCRATCHPADS
    )
    total = size_text(sum(hardware.bytes(buffer) for buffer in SCRATCHPADS))
    fields = list(hardware.to_dict().items())
    half = -(-len(fields) // 2)
    columns = "".join(
        "<table><tbody>"
        + "".join(
            f'<tr><td class="soft">{escape(key)}</td><td class="n">{escape(str(value))}</td></tr>'
            for key, value in part
        )
        + "</tbody></table>"
        for part in (fields[:half], fields[half:])
    )
    bits = {name: hardware.depth(name).bit_length() - 1 for name in ("inp", "wgt", "acc")}
    second = max(bits["acc"], bits["inp"])
    return (
        "<section><h2>Hardware</h2>"
        f'<p class="soft" style="margin:0 0 8px">A tensor intrinsic of {hardware.batch} × '
        f"{hardware.block} times {hardware.block} × {hardware.block}</p>"
        '<table><thead><tr><th>Scratchpad</th><th class="n">Size</th><th class="n">Element</th>'
        f'<th class="n">Depth</th></tr></thead><tbody>{pads}</tbody><tfoot><tr><td>All five</td>'
        f'<td class="n">{total}</td><td></td><td></td></tr></tfoot></table>'
        f'<p class="note">A micro-op takes {bits["acc"]} + {second} + {bits["wgt"]} = '
        f"{bits['acc'] + second + bits['wgt']} of its 32 bits to address ACC, INP or ACC, "
        "and WGT.</p>"
        f'<div class="columns" style="margin-top:12px;font-size:12.5px">{columns}</div></section>'
    )


def outlook_card(outlook: Outlook, names: Sequence[str]) -> str:
    """The best change in words, and the best few in a table."""
    now, best = outlook.now, outlook.best
    rows = [now, *outlook.changes[:SHOWN_CHANGES]]
    table = "".join(_row(change, now, change is best, outlook.compares) for change in rows)
    gains = _by_layer(outlook, best, names) if best is not None else ""
    return (
        f'<section><h2>The nearest better hardware</h2><p class="headline">{_headline(outlook)}</p>'
        '<table><thead><tr><th>log2 of scratchpad bytes</th><th class="n">Bytes</th>'
        '<th class="n">Feasible</th><th class="n">Best cycles</th><th class="n">Change</th></tr>'
        f"</thead><tbody>{table}</tbody></table>{gains}{_left_out(outlook, names)}"
        f"{_blocked(outlook)}"
        f'<p class="note">The {len(outlook.changes):,} machines that the stack can build within '
        "two doublings or halvings of a scratchpad; fewest cycles first, then fewest bytes. Best "
        "cycles: the fastest configuration of each layer, all layers together "
        f"({escape(outlook.timing.note)}); no search can find a faster one. "
        "Bytes: all five scratchpads, UOP + INP + WGT + ACC + OUT. "
        "Feasible: configurations, all layers together.</p></section>"
    )


def _headline(outlook: Outlook) -> str:
    now, best, smaller = outlook.now, outlook.best, outlook.smaller
    if best is None and not outlook.compares:
        fastest = "Cycles are left out: the programs are longer than the limit."
    elif best is None:
        fastest = "No change of up to two steps makes the layers faster."
    elif best.idle < now.idle:
        fastest = (
            f"<b>{escape(_short(best))}</b> helps most: "
            f'<span class="gain">{_gain(best, now)}</span>.'
        )
    else:
        fastest = (
            f"<b>{escape(_short(best))}</b> is fastest: {now.cycles:,} → {best.cycles:,} cycles "
            f'(<span class="gain">{_gain(best, now)}</span>)'
        )
    if smaller is None:
        return fastest
    return (
        f"{fastest} <b>{escape(_short(smaller))}</b> is as fast as now with "
        f"{size_text(smaller.bytes)} instead of {size_text(now.bytes)}."
    )


def _gain(change: Change, now: Change) -> str:
    """How much faster a machine is, or how many more layers run on it."""
    if change.idle != now.idle:
        more = now.idle - change.idle
        layers = "layer runs" if abs(more) == 1 else "layers run"
        return f"{abs(more)} {'more' if more > 0 else 'fewer'} {layers}"
    share = change.cycles / now.cycles - 1 if now.cycles else 0.0
    return f"{share:+.2%}".replace("-", "−") if share else "±0"


def _short(change: Change) -> str:
    if not change.changes:
        return "as it is"
    return ", ".join(
        f"{key.removeprefix('LOG_').removesuffix('_BUFF_SIZE')} {now} → {then}"
        for key, (now, then) in change.changes.items()
    )


def _row(change: Change, now: Change, best: bool, compares: bool) -> str:
    mine, other = change.order[:2], now.order[:2]
    kind = "gain" if mine < other else "loss" if mine > other else "soft"
    gain = _gain(change, now) if change.changes else ""
    full = escape(str(change)) or "as it is"
    return (
        f'<tr{" class=best" if best else ""}><td title="{full}">{escape(_short(change))}</td>'
        f'<td class="n">{size_text(change.bytes)}</td><td class="n">{change.feasible:,}</td>'
        f'<td class="n">{f"{change.cycles:,}" if compares else "left out"}</td>'
        f'<td class="n {kind}">{gain if compares or change.idle != now.idle else ""}</td></tr>'
    )


def _left_out(outlook: Outlook, names: Sequence[str]) -> str:
    """Layers without cycles, and why."""
    if not outlook.unknown:
        return ""
    layers = ", ".join(
        f"{escape(names[layer])} (one has {error.steps:,} steps)"
        for layer, error in list(outlook.unknown.items())[:SHOWN_CHANGES]
    )
    more = len(outlook.unknown) - SHOWN_CHANGES
    most = next(iter(outlook.unknown.values())).most
    return (
        f'<p class="note"><b>Cycles are left out</b> of {layers}'
        f"{f' and {more} more' if more > 0 else ''}: programs that may be the fastest have more "
        f"than {most:,} steps, which is the limit of what is built and simulated. Their feasible "
        "configurations count.</p>"
    )


def _blocked(outlook: Outlook) -> str:
    """Single steps up that are no machine."""
    if not outlook.blocked:
        return ""
    sizes = outlook.now.hardware.symbols
    reasons = "<br>".join(
        f"{escape(key)} {sizes[key] + 1}: {escape(reason.partition(':')[0])}"
        for key, reason in outlook.blocked.items()
    )
    return f'<p class="note"><b>One step up that the stack cannot build</b><br>{reasons}</p>'


def _by_layer(outlook: Outlook, best: Change, names: Sequence[str]) -> str:
    rows = zip(names, outlook.now.best, best.best, strict=True)
    changed = [(name, now, then) for name, now, then in rows if now != then]
    changed.sort(key=lambda row: (row[2] or 0) - (row[1] or 0))
    shown = ", ".join(
        f"{escape(name)} {_cycles(now)} → {_cycles(then)}"
        for name, now, then in changed[:SHOWN_CHANGES]
    )
    rest = f" and {len(changed) - SHOWN_CHANGES} more" if len(changed) > SHOWN_CHANGES else ""
    return f'<p class="note">By layer: {shown}{rest}; the others keep their cycles.</p>'


def _cycles(cycles: int | None) -> str:
    return "nothing runs" if cycles is None else f"{cycles:,}"
