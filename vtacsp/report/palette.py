"""One colour per cause, the same on every page and in every figure.

Feasible is green, the only dark hue besides what is silently wrong: races are deep purple, wrong
results nearly black.  Each family of causes has its own range of light hues: warm for scratchpads,
blue for DMA, violet for micro-ops, grey for the rest.  The colours were spread by simulated
annealing so that every pair stays apart for normal vision and for protanopia, deuteranopia and
tritanopia (CIELAB distance of at least 10, and of at least 20 from feasible); a test measures it.
"""

from __future__ import annotations

from collections.abc import Iterable

from vtacsp import causes

__all__ = ["COLOURS", "ORDER", "colours"]

COLOURS: dict[str, str] = {
    causes.OK: "#066640",
    causes.SRAM_ACC: "#e9602a",
    causes.SRAM_INP: "#fbae5b",
    causes.SRAM_WGT: "#fee657",
    causes.SRAM_UOP: "#c7875a",
    causes.DMA_PAD: "#b8defb",
    causes.DMA_CLIP: "#18a7b4",
    causes.DMA_2D_INP: "#82b4d9",
    causes.DMA_2D_WGT: "#6de7c2",
    causes.DMA_2D_ACC: "#4085dc",
    causes.UOP_SIGNATURE: "#c7b2ff",
    causes.UOP_HAZARD: "#d461a5",
    causes.VTHREAD_SPLIT: "#e8e8e8",
    causes.TENSORIZE: "#a0aaaa",
    causes.ALU_PATTERN: "#cebf9f",
    causes.OTHER: "#7560f3",
    causes.LOWERING: "#988d86",
    causes.RACE: "#60006c",
    causes.WRONG_RESULT: "#1f2022",
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
