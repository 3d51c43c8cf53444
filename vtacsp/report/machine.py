"""The hardware of a page, and the nearest machine that would free most configurations."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from vtacsp.hardware import BUFFERS, VTAConfig
from vtacsp.report.outlook import Change, Outlook

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
        for buffer in (*BUFFERS, "out")
    )
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
        f'<th class="n">Depth</th></tr></thead><tbody>{pads}</tbody></table>'
        f'<p class="note">A micro-op takes {bits["acc"]} + {second} + {bits["wgt"]} = '
        f"{bits['acc'] + second + bits['wgt']} of its 32 bits to address ACC, INP or ACC, "
        "and WGT.</p>"
        f'<div class="columns" style="margin-top:12px;font-size:12.5px">{columns}</div></section>'
    )


def outlook_card(outlook: Outlook, names: Sequence[str]) -> str:
    """The best change in words, and the best few in a table."""
    now, best = outlook.now, outlook.best
    if best is None:
        headline = "No change of up to two steps frees a single configuration."
        gains = ""
    else:
        more = best.feasible - now.feasible
        grown = f", +{100 * more / now.feasible:.1f} %" if now.feasible else ""
        headline = (
            f"<b>{escape(_short(best))}</b> frees most: {now.feasible:,} → "
            f'{best.feasible:,} feasible (<span class="gain">+{more:,}</span>{grown})'
        )
        gains = _by_layer(outlook, best, names)
    rows = [now, *outlook.changes[:SHOWN_CHANGES]]
    table = "".join(_row(change, now, change is best) for change in rows)
    return (
        f'<section><h2>The nearest better hardware</h2><p class="headline">{headline}</p>'
        '<table><thead><tr><th>log2 of scratchpad bytes</th><th class="n">Scratchpads</th>'
        f'<th class="n">Feasible</th><th class="n">Change</th></tr></thead><tbody>{table}</tbody>'
        f'</table>{gains}{_blocked(outlook)}<p class="note">Exact counts over all layers on the '
        f"{len(outlook.changes):,} machines that the stack can build within two doublings or "
        "halvings of a scratchpad; most feasible first, then the smallest change.</p></section>"
    )


def _short(change: Change) -> str:
    if not change.changes:
        return "as it is"
    return ", ".join(
        f"{key.removeprefix('LOG_').removesuffix('_BUFF_SIZE')} {now} → {then}"
        for key, (now, then) in change.changes.items()
    )


def _row(change: Change, now: Change, best: bool) -> str:
    gain = change.feasible - now.feasible
    kind = "gain" if gain > 0 else "loss" if gain < 0 else "soft"
    sign = f"{gain:+,}".replace("-", "−") if gain else "±0" if change.changes else ""
    full = escape(str(change)) or "as it is"
    return (
        f'<tr{" class=best" if best else ""}><td title="{full}">{escape(_short(change))}</td>'
        f'<td class="n">{size_text(change.bytes)}</td><td class="n">{change.feasible:,}</td>'
        f'<td class="n {kind}">{sign}</td></tr>'
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
    changed = [
        (then - now, f"{escape(name)} {now:,} → {then:,}")
        for name, now, then in zip(names, outlook.now.counts, best.counts, strict=True)
        if now != then
    ]
    changed.sort(key=lambda item: -item[0])
    shown = ", ".join(text for _, text in changed[:6])
    rest = f" and {len(changed) - 6} more" if len(changed) > 6 else ""
    return f'<p class="note">By layer: {shown}{rest}; the others keep theirs.</p>'
