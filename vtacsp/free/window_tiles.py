"""How the tiles of an operator of the ALU lie in the accumulators, and what of them stays there.

Behind the ring of tiles and the operands of the epilogue lie the windows: rows of data that several
windows may share.  Rows that the next tile needs too lie in one of two places of their own, which
tiles take in turns, so that they need not come again.  *In place* means that one value of every
window, which no other window has, is loaded into the accumulator of its output; the rows of these
values lie apart from the others, without them.
Independent of rules on purpose.
"""

from __future__ import annotations

import numpy as np

from vtacsp.free.tiles import chunk
from vtacsp.jit import jit
from vtacsp.operators.geometry import needed, taps

__all__ = ["NO_TAP", "apart", "plain_rows", "window_layout"]

NO_TAP = -1
"""Instead of the tap that is loaded in place."""


@jit
def plain_rows(tile, top, bottom, gap, place):  # type: ignore[no-untyped-def]
    """Rows of a tile's windows, without those of the values that are loaded in place."""
    if bottom < top:
        return 0
    if place == NO_TAP:
        return (bottom - top) // gap + 1
    return bottom - top + 1 - tile[4]


@jit
def apart(x, tile, place, turn):  # type: ignore[no-untyped-def]
    """Columns beside those that are loaded in place: the first, and how many, ``turn`` after it.

    ``place`` is the tap that is loaded in place; the columns have its stride.
    """
    kernel, stride = x[2], x[3]
    first, last = x[0], -1
    for k in range(place % stride + turn - stride, kernel, stride):
        if k < 0:
            continue
        begin, many, _ = taps(x, k, tile[5], tile[5] + tile[6])
        if many:
            first = min(first, begin * stride + k - x[4])
            last = max(last, (begin + many - 1) * stride + k - x[4])
    return first, (last - first) // stride + 1 if last >= first else 0


@jit
def window_layout(y, x, cut, place_y, place_x, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Rows that a tile keeps from the one before and for the next, shape (n, 2); and the sizes:

    accumulators of each of the two places of rows that stay, of those that do not, of what is left
    of the rows of the values in place.
    """
    kept = np.zeros((len(cut) + 1, 2), np.int64)
    sizes = np.zeros(3, np.int64)
    for t in range(len(cut)):
        tile = cut[t]
        _, bottom = needed(y, tile[3], tile[3] + tile[4])
        top, _, _, width = chunk(y, x, tile, tile[3], tile[3] + tile[4], gap_y, gap_x)
        rows = plain_rows(tile, top, bottom, gap_y, place_y)
        if t + 1 < len(cut):
            below = cut[t + 1]
            same = below[3] == tile[3] + tile[4]
            for i in (0, 1, 2, 5, 6):
                same = same and below[i] == tile[i]
            if same:
                begin, _ = needed(y, below[3], below[3] + below[4])
                shared = bottom - begin + 1
                if shared > 0 and kept[t, 0] + shared <= rows:
                    kept[t, 1] = kept[t + 1, 0] = shared
        line = tile[2] * width
        sizes[0] = max(sizes[0], kept[t, 1] * line)
        sizes[1] = max(sizes[1], (rows - kept[t, 0] - kept[t, 1]) * line)
        if place_x != NO_TAP:
            beside = 0
            for turn in range(1, x[3]):
                beside += apart(x, tile, place_x, turn)[1]
            sizes[2] = max(sizes[2], tile[2] * tile[4] * beside)
    return kept[: len(cut)], sizes
