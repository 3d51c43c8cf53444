"""The arrays that pass between modules, named once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoolArray", "DoubleArray", "FloatArray", "IntArray", "Integers"]

IntArray = NDArray[np.int64]
"""Indices of configurations, cycles, counts."""

BoolArray = NDArray[np.bool_]
"""A truth value per configuration."""

FloatArray = NDArray[np.float32]
"""What a cost model reads and says."""

DoubleArray = NDArray[np.float64]
"""Seconds, errors, weights: what statistics are made of."""

Integers = NDArray[Any]
"""Values of tensors, of any integer type."""
