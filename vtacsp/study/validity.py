"""How many configurations are valid, and how the valid ones cluster in the knob grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.space.feasible import FeasibleSpace

__all__ = ["Validity", "validity"]


@dataclass(frozen=True)
class Validity:
    """Counts of one layer's grid.

    Distances are Manhattan, in steps of the knobs' candidates: ``profile[d]`` is the share of
    valid configurations among those at distance d + 1 from a valid one, averaged over all such
    pairs.  ``around_invalid`` is the share of valid ones at distance 1 from an invalid one.
    ``clusters`` are the sets of valid configurations that steps of 1 connect, ``largest`` the
    size of the largest and ``isolated`` how many have one member.

    Beside a configuration that runs, more of them run than anywhere:

    >>> counts = validity(compile(vtacsp.suite("resnet18")[9]))
    >>> f"{counts.share:.0%} of the grid, {counts.neighbours:.0%} of the neighbours"
    '7% of the grid, 64% of the neighbours'
    """

    configurations: int
    programs: int
    valid: int
    valid_programs: int
    profile: tuple[float, ...]
    around_invalid: float
    clusters: int
    largest: int
    isolated: int

    @property
    def share(self) -> float:
        """Valid share of the grid: what a random configuration has."""
        return self.valid / self.configurations

    @property
    def neighbours(self) -> float:
        """Valid share of the neighbours (distance 1) of a valid configuration."""
        return self.profile[0] if self.profile else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Validity:
        """What :meth:`to_dict` gave."""
        return cls(**{**data, "profile": tuple(data["profile"])})


def validity(space: FeasibleSpace, reach: int = 8) -> Validity:
    """Count; the profile goes up to distance ``reach``.

    >>> counts = validity(compile(vtacsp.suite("resnet18")[9]))
    >>> counts.configurations, counts.valid, counts.clusters
    (576, 40, 1)
    """
    from scipy import ndimage

    knobs = space.knob_space
    grid = np.zeros(len(knobs), dtype=bool)
    grid[space.indices] = True
    # the first knob is the fastest digit of the index
    cube = grid.reshape(knobs.shape, order="F")
    labels, clusters = ndimage.label(cube)  # its default connects steps of one knob
    sizes = np.bincount(labels.ravel(), minlength=clusters + 1)[1:]
    near = np.sum([_pairs(cube, axis) for axis in range(cube.ndim)], axis=0)
    borders = near[1] / (near[1] + 2 * near[2]) if near[1] else 0.0
    return Validity(
        configurations=len(knobs),
        programs=knobs.programs(),
        valid=len(space),
        valid_programs=space.programs(),
        profile=_profile(knobs.digits(np.arange(len(knobs))), space.indices, reach),
        around_invalid=float(borders),
        clusters=int(clusters),
        largest=int(sizes.max(initial=0)),
        isolated=int((sizes == 1).sum()),
    )


def _pairs(cube: np.ndarray[Any, np.dtype[np.bool_]], axis: int) -> IntArray:
    """Neighbours along an axis: how many pairs are both valid, mixed, both invalid."""
    lower = np.take(cube, range(cube.shape[axis] - 1), axis)
    upper = np.take(cube, range(1, cube.shape[axis]), axis)
    both, neither = int((lower & upper).sum()), int((~lower & ~upper).sum())
    return np.array([both, lower.size - both - neither, neither], dtype=np.int64)


def _profile(digits: IntArray, valid: IntArray, reach: int) -> tuple[float, ...]:
    everyone, hits = (np.zeros(reach + 1, dtype=np.int64) for _ in range(2))
    small = digits.astype(np.int16)
    for index in valid:
        distance = np.minimum(np.abs(small - small[index]).sum(axis=1), reach + 1)
        everyone += np.bincount(distance, minlength=reach + 2)[: reach + 1]
        hits += np.bincount(distance[valid], minlength=reach + 2)[: reach + 1]
    shares = hits[1:] / np.maximum(everyone[1:], 1)
    return tuple(float(share) for share in shares[everyone[1:] > 0])
