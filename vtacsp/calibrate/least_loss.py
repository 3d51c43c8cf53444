"""The integer constants of least loss; clock and launch delay are solved for at every point.

Cycles are piecewise linear in a latency, with many small pieces: Gauss-Newton steps find the
neighbourhood, a pattern search in integers the point.  Latencies trade against each other, so the
pattern also moves two of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from vtacsp.arrays import DoubleArray
from vtacsp.calibrate.coordinates import Coordinate
from vtacsp.calibrate.regression import (
    Line,
    Samples,
    absolute,
    biweight,
    scale_of,
    weights_of,
)
from vtacsp.calibrate.retimed import Programs
from vtacsp.errors import CalibrationError

__all__ = ["Optimum", "Search"]

GridPoint = tuple[int, ...]
Loss = Callable[[GridPoint], float]

FEW = 48  # programs that the coarse search looks at
STRIDES = (8, 2, 1)  # of the pattern search
STEPS = 12  # Gauss-Newton steps at most
ROUNDS = 6  # with less and less noise
SHRINKS = 0.8  # how much less is worth another round


@dataclass(frozen=True)
class Optimum:
    """Where the loss is least: positions of the coordinates, the line, the noise (relative)."""

    point: GridPoint
    line: Line
    noise: float


class Search:
    """Programs, what they took, and the coordinates that may change from ``start`` on."""

    def __init__(
        self,
        programs: Programs,
        samples: Samples,
        coordinates: Sequence[Coordinate],
        start: GridPoint,
        line: Line,
    ) -> None:
        self.programs, self.samples = programs, samples
        self.coordinates, self.start, self.line = tuple(coordinates), start, line
        self.visited: dict[GridPoint, DoubleArray] = {}

    def run(self) -> Optimum:
        """Least absolute errors first, which need no idea of the noise, then Tukey's biweight.

        Raises :class:`~vtacsp.errors.CalibrationError` when no program runs at the start.
        """
        if self.cycles(self.start) is None:
            raise CalibrationError("the programs of the log do not run under these constants")
        point = self._coarse()
        lines: dict[GridPoint, tuple[Line, float]] = {}

        def spread(at: GridPoint) -> float:
            cycles = self.cycles(at)
            if cycles is None:
                return np.inf
            if at not in lines:
                lines[at] = absolute(self.line, cycles, self.samples)
            return lines[at][1]

        def flat(at: GridPoint) -> DoubleArray:
            errors = np.abs(lines[at][0].errors(self._there(at), self.samples))
            return np.asarray(1 / np.maximum(errors, np.median(errors) + 1e-12))

        point = self._descend(point, spread, flat, lines)
        line, unknowns = lines[point][0], self.line.unknowns + len(self.coordinates)
        noise = scale_of(line.errors(self._there(point), self.samples), unknowns)
        for _ in range(ROUNDS):
            point, line = self._bent(point, lines, noise)
            finer = scale_of(line.errors(self._there(point), self.samples), unknowns)
            if finer > SHRINKS * noise:
                break
            noise = finer  # outliers had drawn the first line to them
        return Optimum(point, line, noise)

    def _bent(
        self, point: GridPoint, lines: dict[GridPoint, tuple[Line, float]], noise: float
    ) -> tuple[GridPoint, Line]:
        """The point of least biweight loss near one, and its line."""
        first = lines[point][0]
        bent: dict[GridPoint, tuple[Line, float]] = {}

        def loss(at: GridPoint) -> float:
            cycles = self.cycles(at)
            if cycles is None:
                return np.inf
            if at not in bent:
                begins = [first, lines[at][0]] if at in lines else [first]
                ends = [biweight(line, cycles, self.samples, noise) for line in begins]
                bent[at] = min(ends, key=lambda end: end[1])
            return bent[at][1]

        def weights(at: GridPoint) -> DoubleArray:
            return weights_of(bent[at][0].errors(self._there(at), self.samples), noise)

        point = self._descend(point, loss, weights, bent)
        lines |= bent
        return point, bent[point][0]

    def cycles(self, point: GridPoint) -> DoubleArray | None:
        """Cycles without launch delay at a point; None where there is no timing model."""
        if point in self.visited:
            return self.visited[point]
        pairs = zip(self.coordinates, point, strict=True)
        cycles = self.programs.cycles(**{c.name: c.value(position) for c, position in pairs})
        if cycles is not None:
            self.visited[point] = cycles
        return cycles

    def slopes(self, point: GridPoint, steps: Sequence[int]) -> DoubleArray:
        """Cycles per step of each coordinate around a point, (n, k): secants of these widths."""
        columns = []
        for place, step in enumerate(steps):
            low, high = (self._moved(point, {place: side * step}) for side in (-1, 1))
            ends = [(at[place], cycles) for at in (low, high) if (cycles := self.cycles(at))
                    is not None]  # fmt: skip
            (first, less), (last, more) = ends[0], ends[-1]
            if first == last:
                columns.append(np.zeros(len(self.samples)))
            else:
                columns.append((more - less) / (last - first))
        return np.column_stack([*columns, np.empty((len(self.samples), 0))])

    def _there(self, point: GridPoint) -> DoubleArray:
        cycles = self.cycles(point)
        assert cycles is not None  # it has a loss
        return cycles

    def _moved(self, point: GridPoint, moves: dict[int, int]) -> GridPoint:
        return tuple(
            min(max(position + moves.get(place, 0), c.low), c.high)
            for place, (c, position) in enumerate(zip(self.coordinates, point, strict=True))
        )

    def _coarse(self) -> GridPoint:
        """The best of points along each axis, on programs from the shortest to the longest."""
        if not self.coordinates:
            return self.start
        order = np.argsort(self.samples.seconds, kind="stable")
        places = order[np.unique(np.linspace(0, len(order) - 1, FEW).astype(int))].tolist()
        few = Search(
            self.programs.some(places),
            Samples(self.samples.seconds[places], self.samples.launches[places]),
            self.coordinates,
            self.start,
            self.line,
        )
        best, point = few._absolute(self.start), self.start
        for _ in range(2):
            before = point
            for place, coordinate in enumerate(self.coordinates):
                for position in coordinate.coarse():
                    other = (*point[:place], position, *point[place + 1 :])
                    if (value := few._absolute(other)) < best:
                        best, point = value, other
            if point == before:
                break
        return point

    def _absolute(self, point: GridPoint) -> float:
        cycles = self.cycles(point)
        return np.inf if cycles is None else absolute(self.line, cycles, self.samples)[1]

    def _descend(
        self,
        point: GridPoint,
        loss: Loss,
        weights: Callable[[GridPoint], DoubleArray],
        lines: dict[GridPoint, tuple[Line, float]],
    ) -> GridPoint:
        least = loss(point)
        for _ in range(STEPS if self.coordinates else 0):
            move = self._newton(point, lines[point][0], weights(point))
            for part in (1, 0.5, 0.25):
                steps = {place: round(float(m) * part) for place, m in enumerate(move)}
                other = self._moved(point, steps)
                if other != point and loss(other) < least:
                    break
            else:
                break
            point, least = other, loss(other)
        for stride in STRIDES:
            improved = True
            while improved:
                improved = False
                for moves in self._pattern(stride):
                    other = self._moved(point, moves)
                    if loss(other) < least:
                        point, least, improved = other, loss(other), True
        return point

    def _newton(self, point: GridPoint, line: Line, weights: DoubleArray) -> DoubleArray:
        """Moves of the coordinates that the errors ask for, if everything were linear."""
        steps = [1 if c.power else max(1, p // 8) for c, p in zip(self.coordinates, point,
                                                                  strict=True)]  # fmt: skip
        errors = line.errors(self._there(point), self.samples)
        columns = self.slopes(point, steps) / line.clock / self.samples.seconds[:, None]
        columns = np.column_stack([columns, *linear_columns(line, errors, self.samples).values()])
        size = np.linalg.norm(columns, axis=0)
        size[size == 0] = 1
        root = np.sqrt(weights)
        moves = np.linalg.lstsq(columns / size * root[:, None], -errors * root, rcond=1e-9)[0]
        return np.asarray(np.clip((moves / size)[: len(self.coordinates)], -4096, 4096))

    def _pattern(self, stride: int) -> Iterator[dict[int, int]]:
        count = len(self.coordinates)
        for place in range(count):
            yield from ({place: stride}, {place: -stride})
        for one, other in combinations(range(count), 2):
            yield from ({one: stride, other: -stride}, {one: -stride, other: stride})
            yield from ({one: stride, other: stride}, {one: -stride, other: -stride})


def linear_columns(line: Line, errors: DoubleArray, samples: Samples) -> dict[str, DoubleArray]:
    """Change of the errors per relative change of the clock, and per cycle of launch delay.

    Only of what is free: ``clock_hz``, ``launch_delay``.
    """
    found = {}
    if line.free_clock:
        found["clock_hz"] = -(1 + errors)
    if line.free_delay:
        found["launch_delay"] = samples.launches / line.clock / samples.seconds
    return found
