"""The error of a program that the fit has not seen, for every program."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vtacsp.arrays import DoubleArray
from vtacsp.calibrate.regression import LEAST_DELAY, Line, Samples

__all__ = ["leave_one_out"]


def leave_one_out(
    candidates: Iterable[DoubleArray], line: Line, samples: Samples, weights: DoubleArray
) -> DoubleArray:
    """Simulated over measured seconds, less 1, of each program under constants chosen without it.

    ``candidates`` are cycles (n,) under the constants to choose among: of those, the ones of least
    weighted squares without the program.  Clock and launch delay are solved for without it: by the
    leverage of its row, which is exact (Cook and Weisberg, Residuals and Influence in Regression,
    1982, section 2.2).  ``weights`` stay those of the fit to all: what that ignored is ignored.
    """
    found = np.full(len(samples), np.nan)
    least = np.full(len(samples), np.inf)
    for cycles in candidates:
        columns, target = _rows(cycles, line, samples)
        root = np.sqrt(weights)
        weighted = columns * root[:, None]
        inverse = np.linalg.pinv(weighted.T @ weighted)
        residuals = target - columns @ (inverse @ (weighted.T @ (target * root)))
        leverage = weights * np.einsum("ij,jk,ik->i", columns, inverse, columns)
        left = np.maximum(1 - leverage, 1e-9)
        without = np.sum(weights * residuals**2) - weights * residuals**2 / left
        better = without < least
        least[better] = without[better]
        found[better] = -(residuals / left)[better]
    return found


def _rows(cycles: DoubleArray, line: Line, samples: Samples) -> tuple[DoubleArray, DoubleArray]:
    """Columns of what is solved for, (n, 0 to 2), and the target, relative to what was measured."""
    seconds, launches = samples.seconds, samples.launches
    one = np.ones(len(samples))
    if line.free_clock and line.free_delay and line.delay > LEAST_DELAY:
        columns = np.column_stack([cycles, launches]) / seconds[:, None]
        return columns / np.linalg.norm(columns, axis=0), one
    if line.free_clock:
        column = (cycles + line.delay * launches) / seconds
        return (column / np.linalg.norm(column))[:, None], one
    if line.free_delay:
        column = launches / seconds
        return (column / np.linalg.norm(column))[:, None], one - cycles / line.clock / seconds
    empty = np.empty((len(samples), 0))
    return empty, one - (cycles + line.delay * launches) / line.clock / seconds
