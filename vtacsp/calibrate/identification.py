"""Which constants measurements can tell: how seconds change with each, against the noise.

The matrix of those changes (the Jacobian) has a row per program and a column per constant.  Where
two columns are alike, no measurement of these programs tells one constant from the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from vtacsp.arrays import DoubleArray
from vtacsp.calibrate.regression import CUT, weights_of

__all__ = ["ALIKE", "Identification", "identify", "partner", "variance_of"]


ALIKE = 0.95
"""Correlation of two estimates from which on the measurements are said not to separate them."""

_RANK = 1e-7  # of the largest singular value, columns having length 1
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Identification:
    """What a Jacobian says of its constants.

    ``errors`` (k,) are standard errors, infinite for what the rows do not tell at all;
    ``correlation`` (k, k) is that of the estimates; ``condition`` the ratio of the largest to the
    smallest singular value of the Jacobian with columns of length 1, infinite when its ``rank`` is
    less than k.  ``margin`` times a standard error is half of the 95% interval.
    """

    errors: DoubleArray
    correlation: DoubleArray
    rank: int
    condition: float
    margin: float


def variance_of(errors: DoubleArray, noise: float, unknowns: int) -> tuple[float, int]:
    """The variance of one sample that an estimate by Tukey's biweight has, and degrees of freedom.

    Huber and Ronchetti, Robust Statistics (2009), section 7.6, over the samples that are not
    ignored.
    """
    weights = weights_of(errors, noise)
    kept = weights > 0
    free = max(int(np.count_nonzero(kept)) - unknowns, 1)
    score = errors * weights
    ratio = (errors / (CUT * noise)) ** 2
    slope = np.where(kept, (1 - ratio) * (1 - 5 * ratio), 0.0)
    average = max(float(slope[kept].mean()) if kept.any() else 0.0, 0.1)
    return float(np.sum(score[kept] ** 2)) / free / average**2, free


def identify(jacobian: DoubleArray, variance: float, free: int) -> Identification:
    """Standard errors and rank of the constants behind the columns, (n, k)."""
    count = jacobian.shape[1]
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, free))
    if not count:
        empty = np.empty((0, 0))
        return Identification(np.empty(0), empty, 0, 1.0, margin)
    size = np.linalg.norm(jacobian, axis=0)
    scaled = jacobian / np.where(size > 0, size, 1.0)
    _, singular, right = np.linalg.svd(scaled, full_matrices=False)
    if len(singular) < count:
        singular = np.concatenate([singular, np.zeros(count - len(singular))])
        right = np.linalg.svd(scaled, full_matrices=True)[2]
    told = singular > _RANK * singular[0] if singular[0] > 0 else np.zeros(count, dtype=bool)
    rank = int(np.count_nonzero(told))
    inverse = np.where(told, 1 / np.where(told, singular, 1.0), 0.0)
    covariance = (right.T * inverse**2) @ right
    # a constant with a part in a direction that changes nothing is not told
    lost = (right[~told] ** 2).sum(axis=0) > 1e-6
    spread = np.sqrt(np.diag(covariance))
    outer = np.outer(spread, spread)
    correlation = np.divide(covariance, outer, out=np.zeros_like(covariance), where=outer > 0)
    untold = np.outer(lost, lost)
    correlation[untold] = _null_correlation(right[~told])[untold]
    errors = np.sqrt(variance) * spread / np.where(size > 0, size, 1.0)
    errors[lost | (size == 0)] = np.inf
    condition = float(singular[0] / singular[-1]) if rank == count else float("inf")
    return Identification(errors, correlation, rank, condition, margin)


def _null_correlation(null: DoubleArray) -> DoubleArray:
    """Which constants trade against each other without any effect."""
    if not len(null):
        return np.zeros((null.shape[1], null.shape[1]))
    together = null.T @ null
    spread = np.sqrt(np.diag(together))
    outer = np.outer(spread, spread)
    alike: DoubleArray = np.divide(together, outer, out=np.zeros_like(together), where=outer > 0)
    return alike


def partner(found: Identification, place: int, names: Sequence[str]) -> str:
    """The constant that one is not separated from; empty when there is none."""
    others = np.abs(found.correlation[place])
    others[place] = 0
    if not len(others) or others.max() < ALIKE:
        return ""
    return names[int(others.argmax())]
