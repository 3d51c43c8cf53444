"""The sums of a convolution as a TIR compute."""

from __future__ import annotations

from typing import Any

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.tir import convolution

__all__ = ["multiply"]


def multiply(workload: Conv2D, hardware: VTAConfig, data: Any, weight: Any) -> Any:
    """The blocks ``pad``, where there is padding, and ``gemm``, of the shape of the output."""
    return convolution(workload, hardware, data, weight, workload.stride, workload.padding)
