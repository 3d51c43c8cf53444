"""Between a network's layout and VTA's blocks."""

from __future__ import annotations

import numpy as np

from vtacsp.arrays import Integers

__all__ = ["pack_blocks", "unpack_blocks"]


def pack_blocks(values: Integers, rows: int, columns: int) -> Integers:
    """(A, B, ...) to (A/rows, B/columns, ..., rows, columns): data, or weights, of any image."""
    a, b, *image = values.shape
    parts = values.reshape(a // rows, rows, b // columns, columns, *image)
    return np.ascontiguousarray(parts.transpose(0, 2, *range(4, 4 + len(image)), 1, 3))


def unpack_blocks(values: Integers) -> Integers:
    """The inverse of :func:`pack_blocks`."""
    a, b, *image, rows, columns = values.shape
    axes = range(2, 2 + len(image))
    parts = values.transpose(0, 2 + len(image), 1, 3 + len(image), *axes)
    plain: Integers = parts.reshape(a * rows, b * columns, *image)
    return plain
