"""How fast a measured configuration is, compared with the best: classes with a colour each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAILED", "SPEEDS", "Speed", "speed_of"]


@dataclass(frozen=True)
class Speed:
    """Configurations that take up to ``limit`` times the cycles of the best."""

    limit: float
    label: str
    colour: str


SPEEDS = (
    Speed(1.0, "best", "#2b0a6b"),
    Speed(1.01, "within 1%", "#5a16a8"),
    Speed(1.1, "within 10%", "#9c2c9e"),
    Speed(1.5, "within 50%", "#d4537e"),
    Speed(2.0, "up to twice", "#f28a4b"),
    Speed(float("inf"), "slower", "#fbc843"),
)
"""Dark is fast."""

FAILED = "#c8102e"


def speed_of(cycles: int, best: int) -> Speed:
    """The class of a measurement."""
    return next(speed for speed in SPEEDS if cycles <= speed.limit * best)
