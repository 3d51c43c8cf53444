"""Between a network's layout and VTA's blocks: what does not fill a block is filled with zeros."""

from __future__ import annotations

import numpy as np

from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig

__all__ = ["filled", "pack_image", "pack_weight", "unpack_image"]


def filled(value: Integers, axis: int, size: int) -> Integers:
    """Zeros behind an axis, up to ``size``."""
    pads = [(0, 0)] * value.ndim
    pads[axis] = (0, size - value.shape[axis])
    return np.pad(value, pads)


def pack_image(value: Integers, hardware: VTAConfig) -> Integers:
    """(N, C, H, W) to (N/BATCH, C/BLOCK, H, W, BATCH, BLOCK)."""
    n, c, height, width = value.shape
    batch, block = hardware.batch, hardware.block
    parts = value.reshape(n // batch, batch, c // block, block, height, width)
    return np.ascontiguousarray(parts.transpose(0, 2, 4, 5, 1, 3))


def unpack_image(value: Integers) -> Integers:
    """The inverse of :func:`pack_image`."""
    n, c, height, width, batch, block = value.shape
    parts = value.transpose(0, 4, 1, 5, 2, 3)
    image: Integers = parts.reshape(n * batch, c * block, height, width)
    return image


def pack_weight(value: Integers, hardware: VTAConfig) -> Integers:
    """(O, I, KH, KW) to (O/BLOCK, I/BLOCK, KH, KW, BLOCK, BLOCK)."""
    o, i, kh, kw = value.shape
    block = hardware.block
    parts = value.reshape(o // block, block, i // block, block, kh, kw)
    return np.ascontiguousarray(parts.transpose(0, 2, 4, 5, 1, 3))
