"""What commands say of programs with a load that the Chisel design ends early."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vtacsp.cli.terminal import say

if TYPE_CHECKING:
    from vtacsp.timing.breakdown import TimingResult

__all__ = ["first_cut", "say_cut_loads"]


def first_cut(result: TimingResult | None) -> int | None:
    """The first instruction of a program whose load is cut short, None when none is."""
    return None if result is None or not result.cut_short else result.cut_short[0]


def say_cut_loads(programs: Iterable[tuple[str, Sequence[int]]]) -> None:
    """A line on standard error per program that has one; a name and its instructions each."""
    for name, cut in programs:
        if cut:
            say(
                f"note: {name}: instruction {cut[0]} loads a whole scratchpad; with this memory "
                "the Chisel design ends the load early and computes wrong numbers"
            )
