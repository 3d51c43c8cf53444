"""The tiles of a free schedule, and the chunks of input that they need.

Independent of rules on purpose.
"""

from __future__ import annotations

import numpy as np

from vtacsp.jit import jit
from vtacsp.operators.geometry import needed

__all__ = ["TILE", "chunk", "input_spans", "measure", "tile_table"]

TILE = ("batch", "channel", "channels", "row", "rows", "column", "columns")
"""Columns of a table of tiles."""


@jit
def tile_table(batch, parts, by_rows):  # type: ignore[no-untyped-def]
    """The tiles in their order, a row of :data:`TILE` each."""
    channels, rows, columns, first, last = parts
    outer, inner = (rows, channels) if by_rows else (channels, rows)
    number = batch * len(channels) * len(rows) * len(columns)
    result = np.empty((number + len(first) + len(last), len(TILE)), np.int64)
    n = tile = 0
    for image in range(batch):
        at_outer = 0
        for i in outer:
            at_inner = 0
            for j in inner:
                row, height = (at_outer, i) if by_rows else (at_inner, j)
                channel, depth = (at_inner, j) if by_rows else (at_outer, i)
                column = 0
                for width in columns:
                    cuts = np.array([height])
                    if tile == number - 1 and len(last):
                        cuts = last
                    elif tile == 0 and len(first):
                        cuts = first
                    begin = row
                    for part in cuts:
                        result[n] = image, channel, depth, begin, part, column, width
                        begin += part
                        n += 1
                    column += width
                    tile += 1
                at_inner += j
            at_outer += i
    return result[:n]


@jit
def chunk(y, x, tile, begin, end, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Input of rows ``[begin, end)`` of a tile: first row and column, how many of each."""
    top, bottom = needed(y, begin, end)
    left, right = needed(x, tile[5], tile[5] + tile[6])
    height = (bottom - top) // gap_y + 1 if bottom >= top else 0
    width = (right - left) // gap_x + 1 if right >= left else 0
    return top, left, height, width


@jit
def input_spans(sizes, depth):  # type: ignore[no-untyped-def]
    """Input channel blocks per output block of a tile: 0 when all its outputs share them."""
    _, groups, inputs, outputs, _ = sizes
    return inputs if outputs == groups and depth > 1 and groups > 1 else 0


@jit
def measure(layer, cut, step, cuts):  # type: ignore[no-untyped-def]
    """Elements of the largest input chunk, weight chunk and accumulator tile, shape (3,).

    ``step``: the input blocks of the largest step.
    """
    sizes, y, x = layer
    result = np.zeros(3, np.int64)
    load_rows, gap_y, gap_x = cuts
    for tile in cut:
        begin = tile[3]
        while begin < tile[3] + tile[4]:
            end = min(begin + (load_rows if load_rows else tile[4]), tile[3] + tile[4])
            _, _, height, width = chunk(y, x, tile, begin, end, gap_y, gap_x)
            blocks = max(step, input_spans(sizes, tile[2]) * tile[2])
            result[0] = max(result[0], blocks * height * width)
            begin = end
        result[1] = max(result[1], tile[2] * step * y[2] * x[2])
        result[2] = max(result[2], tile[2] * tile[4] * tile[6])
    return result
