"""One colour per cause, the same on every page and in every figure.

Feasible is green, the only dark hue besides what is silently wrong: races are deep purple, wrong
results nearly black.  Each family of causes has its own range of light hues: warm for scratchpads,
blue for DMA, violet for micro-ops, grey for the rest.  The colours were spread by simulated
annealing so that every pair stays apart for normal vision and for protanopia, deuteranopia and
tritanopia (CIELAB distance of at least 10, and of at least 20 from feasible); a test measures it.
"""

from __future__ import annotations

from collections.abc import Iterable

from vtacsp.causes import OK

__all__ = ["COLOURS", "ORDER", "colours"]

COLOURS: dict[str, str] = {
    OK: "#066640",
    "sram:acc": "#e9602a",
    "sram:inp": "#fbae5b",
    "sram:wgt": "#fee657",
    "sram:uop": "#c7875a",
    "dma_pad": "#b8defb",
    "dma_clip": "#18a7b4",
    "dma_2d:inp": "#82b4d9",
    "dma_2d:wgt": "#6de7c2",
    "dma_2d:acc": "#4085dc",
    "uop_signature": "#c7b2ff",
    "uop_hazard": "#d461a5",
    "vthread_split": "#e8e8e8",
    "tensorize": "#a0aaaa",
    "alu_pattern": "#cebf9f",
    "other": "#7560f3",
    "lowering": "#988d86",
    "race": "#60006c",
    "wrong_result": "#1f2022",
}
"""Cause -> colour; the order is the order of legends."""

ORDER = tuple(COLOURS)

# causes of users' own rules, in alphabetical order of their names
_SPARE = ("#8b1e3f", "#7a5c00", "#4b2e83", "#9fb300", "#ff8fb1", "#005f73", "#5e3b1e", "#d0a2c8")


def colours(causes: Iterable[str]) -> dict[str, str]:
    """The colour of each cause in legend order; causes of users' rules get a colour of their own.

    No two causes share a colour, however many rules there are.
    """
    wanted = set(causes)
    chosen = {cause: COLOURS[cause] for cause in ORDER if cause in wanted}
    for position, cause in enumerate(sorted(wanted - set(ORDER))):
        if position < len(_SPARE):
            chosen[cause] = _SPARE[position]
        else:  # more than anybody can tell apart; still different
            chosen[cause] = f"#{(0x405060 + 0x0B2F17 * position) % 0xFFFFFF:06x}"
    return chosen
