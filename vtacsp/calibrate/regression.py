"""Seconds from cycles: clock and cost of a launch, by regressions that outliers do not move.

A program of ``n`` launches that needs ``c`` cycles takes ``(c + delay * n) / clock`` seconds.  Both
unknowns are linear in ``1 / clock`` and ``delay / clock``, so they are solved for and not searched.
Errors are relative to what was measured: a board is as noisy for long programs as for short ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vtacsp.arrays import DoubleArray

__all__ = ["CUT", "FINEST", "Line", "Samples", "absolute", "biweight", "scale_of", "weights_of"]


CUT = 4.685
"""Tukey's biweight ignores errors of more than so many times the noise: 95% efficiency (Huber and
Ronchetti, Robust Statistics, 2009)."""

FINEST = 1e-6
"""The smallest noise that is assumed, relative: seconds in a log are rounded."""

LEAST_DELAY = 1.0  # of the timing model's launch_delay
_ROUNDS = 40
_MAD = 1.4826  # from a median absolute deviation to the standard deviation of a normal distribution


@dataclass(frozen=True)
class Samples:
    """What was measured, ``(n,)`` each: seconds, and launches of the program."""

    seconds: DoubleArray
    launches: DoubleArray

    def __len__(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True)
class Line:
    """A clock in cycles per second and a launch delay in cycles; which of them are solved for."""

    clock: float
    delay: float
    free_clock: bool = True
    free_delay: bool = True

    @property
    def unknowns(self) -> int:
        """How many are solved for."""
        return self.free_clock + self.free_delay

    def errors(self, cycles: DoubleArray, samples: Samples) -> DoubleArray:
        """Simulated over measured seconds, less 1, (n,)."""
        simulated = (cycles + self.delay * samples.launches) / self.clock
        return np.asarray(simulated / samples.seconds - 1)

    def solved(self, cycles: DoubleArray, samples: Samples, weights: DoubleArray) -> Line:
        """The line of least weighted squares; the delay stays in its range."""
        root = np.sqrt(weights)
        by_cycles = root * cycles / samples.seconds
        by_launch = root * samples.launches / samples.seconds
        if self.free_clock and self.free_delay:
            columns = np.column_stack([by_cycles, by_launch])
            size = np.linalg.norm(columns, axis=0)
            rate, cost = np.linalg.lstsq(columns / size, root, rcond=None)[0] / size
            if rate > 0 and cost >= LEAST_DELAY * rate:
                return self._with(1 / rate, cost / rate)
            only_clock = by_cycles + LEAST_DELAY * by_launch
            return self._with(_ratio(only_clock, only_clock, root), LEAST_DELAY)
        if self.free_clock:
            together = by_cycles + self.delay * by_launch
            return self._with(_ratio(together, together, root), self.delay)
        if self.free_delay:
            rest = root - by_cycles / self.clock
            delay = self.clock / _ratio(by_launch, by_launch, rest)
            return self._with(self.clock, max(delay, LEAST_DELAY))
        return self

    def _with(self, clock: float, delay: float) -> Line:
        return Line(clock, delay, self.free_clock, self.free_delay)


def _ratio(one: DoubleArray, other: DoubleArray, target: DoubleArray) -> float:
    """``one . other / one . target``; the inverse of a slope, infinite for a slope of 0."""
    below = float(one @ target)
    return float(one @ other) / below if below else float("inf")


def absolute(line: Line, cycles: DoubleArray, samples: Samples) -> tuple[Line, float]:
    """The line of least absolute errors, and their mean; it needs no idea of the noise.

    By iteratively reweighted least squares.
    """
    weights = np.ones(len(samples))
    mean = np.inf
    for _ in range(_ROUNDS):
        line = line.solved(cycles, samples, weights)
        errors = np.abs(line.errors(cycles, samples))
        before, mean = mean, float(errors.mean())
        if not line.unknowns or not mean or abs(before - mean) <= 1e-6 * mean:
            break
        weights = 1 / np.maximum(errors, 1e-3 * float(np.median(errors)) + 1e-12)
        weights /= weights.max()
    return line, mean


def biweight(line: Line, cycles: DoubleArray, samples: Samples, noise: float) -> tuple[Line, float]:
    """The line of Tukey's biweight near ``line``, and its loss.

    The loss is between 0 and 1 per sample: 1 for an error that is ignored.
    """
    loss = _loss(line.errors(cycles, samples), noise)
    for _ in range(_ROUNDS):
        weights = weights_of(line.errors(cycles, samples), noise)
        if np.count_nonzero(weights) <= line.unknowns:
            break
        other = line.solved(cycles, samples, weights)
        now = _loss(other.errors(cycles, samples), noise)
        if now >= loss:  # reweighting never makes it larger, but for the range of the delay
            break
        done = loss - now <= 1e-12
        line, loss = other, now
        if done:
            break
    return line, loss


def weights_of(errors: DoubleArray, noise: float) -> DoubleArray:
    """Tukey's weights, 1 for no error and 0 from :data:`CUT` times the noise on."""
    return np.asarray(np.clip(1 - (errors / (CUT * noise)) ** 2, 0, None) ** 2)


def _loss(errors: DoubleArray, noise: float) -> float:
    kept = np.clip(1 - (errors / (CUT * noise)) ** 2, 0, None)
    return float(np.sum(1 - kept**3))


def scale_of(errors: DoubleArray, unknowns: int) -> float:
    """The standard deviation of errors, from their median, at least :data:`FINEST`.

    A fit of least absolute errors makes as many of them 0 as it has unknowns: those do not count
    (Maronna, Martin, Yohai, Robust Statistics, 2006, section 4.4).
    """
    sizes = np.sort(np.abs(errors))[min(unknowns, len(errors) - 1) :]
    return max(_MAD * float(np.median(sizes)), FINEST)
