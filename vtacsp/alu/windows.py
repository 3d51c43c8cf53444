"""Windows of an image, in numpy."""

from __future__ import annotations

import numpy as np

from vtacsp.alu.workload import Pool
from vtacsp.arrays import Integers

__all__ = ["padded_image", "windows"]


def padded_image(workload: Pool, data: Integers, value: int) -> Integers:
    """Packed data with their padding, which the host writes."""
    ph, pw = workload.padding
    pads = ((0, 0), (0, 0), (ph, ph), (pw, pw), (0, 0), (0, 0))
    return np.pad(data, pads, constant_values=value)


def windows(workload: Pool, padded: Integers) -> Integers:
    """The windows of padded data, shape (n, c, OH, OW, BATCH, BLOCK, KH, KW)."""
    sh, sw = workload.stride
    every = np.lib.stride_tricks.sliding_window_view(padded, workload.kernel, axis=(2, 3))
    return every[:, :, ::sh, ::sw]
