"""Windows of an image, in numpy."""

from __future__ import annotations

import numpy as np

from vtacsp.alu.workload import Pool
from vtacsp.arrays import Integers

__all__ = ["as_loaded", "windows"]


def as_loaded(workload: Pool, data: Integers) -> Integers:
    """Packed data as they lie in DRAM, with their padding, which the host writes."""
    ph, pw = workload.padding
    pads = ((0, 0), (0, 0), (ph, ph), (pw, pw), (0, 0), (0, 0))
    return np.pad(data, pads, constant_values=workload.pad_value)


def windows(workload: Pool, data: Integers) -> Integers:
    """The windows of packed data, int64 of shape (n, c, OH, OW, BATCH, BLOCK, KH, KW)."""
    sh, sw = workload.stride
    padded = as_loaded(workload, data).astype(np.int64)
    every = np.lib.stride_tricks.sliding_window_view(padded, workload.kernel, axis=(2, 3))
    return every[:, :, ::sh, ::sw]
