"""The constants that a search may change, as integers that it can step through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vtacsp.errors import CalibrationError, shortened
from vtacsp.timing.model import TimingModel, constants

__all__ = ["CLOCK", "DEFAULT", "DELAY", "Coordinate", "coordinates", "known_constants"]

CLOCK, DELAY = "clock_hz", "launch_delay"
"""The constants that are solved for: seconds are linear in them (:mod:`.regression`)."""

DEFAULT = ("memory_latency", "write_latency", DELAY, CLOCK)
"""What is fitted when nobody says: what a board decides, and not the design of VTA.

>>> DEFAULT
('memory_latency', 'write_latency', 'launch_delay', 'clock_hz')
"""

LARGEST = 4096
"""The largest value that is tried."""

_POWERS = ("bus_bytes", "burst_beats")


@dataclass(frozen=True)
class Coordinate:
    """A constant; positions are its values, or their log2 where only powers of two are allowed."""

    name: str
    low: int
    high: int
    power: bool

    def value(self, position: int) -> int:
        """The constant at a position."""
        return 1 << position if self.power else position

    def position(self, value: int) -> int:
        """The position of a value, the next one that is tried."""
        return min(max(value.bit_length() - 1 if self.power else value, self.low), self.high)

    def coarse(self) -> Iterator[int]:
        """Positions from end to end, each about twice the one before."""
        if self.power:
            yield from range(self.low, self.high + 1)
            return
        if self.low == 0:
            yield 0
        value = 1
        while value <= self.high:
            if value >= self.low:
                yield value
            value *= 2


def known_constants() -> tuple[str, ...]:
    """Names of all constants, in the order of the timing model."""
    return tuple(constant.name for constant in constants())


def coordinates(names: Sequence[str]) -> tuple[Coordinate, ...]:
    """The coordinates of constants, without those that are solved for.

    Raises :class:`~vtacsp.errors.CalibrationError` for a name that is none of the timing model, or
    that is there twice.
    """
    lows: Mapping[str, int] = {c.name: int(c.metadata["low"]) for c in constants()}
    for name in names:
        if name not in lows:
            raise CalibrationError(
                f"no timing constant {shortened(name)}; constants are {', '.join(lows)}"
            )
        if names.count(name) > 1:
            raise CalibrationError(f"the constant {name} is given twice")
    found = []
    for name in names:
        if name not in (CLOCK, DELAY):
            power = name in _POWERS
            low, high = lows[name], LARGEST
            if power:
                low, high = low.bit_length() - 1, high.bit_length() - 1
            found.append(Coordinate(name, low, high, power))
    return tuple(found)


def values_of(timing: TimingModel, names: Sequence[str]) -> dict[str, int]:
    """These constants of a timing model."""
    return {name: getattr(timing, name) for name in names}
