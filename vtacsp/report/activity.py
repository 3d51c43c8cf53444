"""What the modules of a simulated program do over time: the content of a timeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vtacsp.timing.breakdown import KINDS, MODULES, TimingResult, kinds, spans

__all__ = ["WAIT", "WORK", "Part", "Stretch", "legend", "shares"]

WORK = {
    "gemm": "#066640",
    "reset": "#8fbf9f",
    "alu": "#7a5fb5",
    "load inp": "#2f7dc1",
    "load wgt": "#18a7b4",
    "load uop": "#8a6d3b",
    "load acc": "#b0813f",
    "store": "#e9602a",
    "read": "#6a7f8c",
    "dispatch": "#a9b8c1",
    "sync": "#c9c2d6",
    "finish": "#1f2022",
}
"""What a module does -> colour."""
WAIT = {
    "memory": "#f3b8a8",
    "load": "#cfe3f5",
    "compute": "#cfe6d6",
    "store": "#fbdcc6",
    "fetch": "#dfe4e7",
    "queue": "#dfe4e7",
    "done": "#f4f5f6",
}
"""What a module waits for -> colour, light."""

GEMMS = 24  # GEMM instructions in a stretch


@dataclass(frozen=True)
class Part:
    """A piece of a lane: what it is, and from where to where, in cycles."""

    name: str
    start: int
    end: int
    waits: bool = False

    @property
    def colour(self) -> str:
        """Its colour in every timeline."""
        return (WAIT if self.waits else WORK)[self.name]

    @property
    def label(self) -> str:
        """Its name in a legend."""
        return f"waits for {self.name}" if self.waits and self.name != "done" else self.name


def shares(result: TimingResult) -> dict[str, list[Part]]:
    """All cycles of each module, sorted by what it did or waited for."""
    lanes = {}
    for module, time in result.modules.items():
        parts: list[Part] = []
        end = 0
        for waits, cycles in ((False, time.busy), (True, time.stalls)):
            for name, n in cycles.items():
                parts.append(Part(name, end, end + n, waits))
                end += n
        lanes[module] = [part for part in parts if part.end > part.start]
    return lanes


@dataclass(frozen=True)
class Stretch:
    """The modules and the memory reads from cycle ``first`` to ``last``, in order of time."""

    first: int
    last: int
    cycles: int
    lanes: dict[str, list[Part]]

    @classmethod
    def of(cls, result: TimingResult) -> Stretch:
        """From the middle of the program on, until some GEMM instructions have been seen."""
        launch, segment = result.launches[0], result.program.segments[0]
        kind = kinds(result.program)[segment.start : segment.stop]
        gemms = launch.start[kind == KINDS.index("gemm")]
        first, last = 0, int(launch.cycles)
        if len(gemms) > GEMMS:
            middle = len(gemms) // 2 - GEMMS // 2
            first, last = int(gemms[middle]), int(gemms[middle + GEMMS])
        return cls.between(result, first, last)

    @classmethod
    def between(cls, result: TimingResult, first: int, last: int) -> Stretch:
        """Those cycles of the first launch."""
        launch, segment = result.launches[0], result.program.segments[0]
        kind = kinds(result.program)[segment.start : segment.stop]
        lanes: dict[str, list[Part]] = {}
        for module in MODULES:
            lanes[module] = parts = []
            for span in spans(launch, module):
                if span.waited_for:
                    parts.append(Part(span.waited_for, span.idle, span.start, waits=True))
                parts.append(Part(KINDS[kind[span.instruction]], span.start, span.end))
        lanes["memory reads"] = [
            Part("read" if i < 0 else KINDS[kind[i]], begin, end + 1)
            for i, _, begin, end in launch.reads.tolist()
        ]
        clipped = {
            name: [part for part in parts if part.end > first and part.start < last]
            for name, parts in lanes.items()
        }
        return cls(first, last, result.cycles, clipped)

    @property
    def title(self) -> str:
        """Which cycles it shows."""
        whole = (self.first, self.last) == (0, self.cycles)
        return f"cycles {self.first:,} to {self.last:,}" + ("" if whole else f" of {self.cycles:,}")


def legend(result: TimingResult) -> dict[str, str]:
    """Label -> colour of everything that the modules did or waited for."""
    used = {(part.waits, part.name) for part in _all(shares(result).values())}
    names = [(False, name) for name in WORK] + [(True, name) for name in WAIT]
    parts = [Part(name, 0, 0, waits) for waits, name in names if (waits, name) in used]
    return {part.label: part.colour for part in parts}


def _all(lanes: Iterable[list[Part]]) -> Iterator[Part]:
    for lane in lanes:
        yield from lane
