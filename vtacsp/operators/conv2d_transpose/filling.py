"""What a transposed convolution has to fill."""

from __future__ import annotations

from dataclasses import replace

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.filling import Filling, fill_channels

__all__ = ["fill"]


def fill(workload: Conv2DTranspose, hardware: VTAConfig, members: int | None = None) -> Filling:
    """Its channels and batch; VTA correlates the spread data with the kernel turned around."""
    del members
    return replace(fill_channels(workload, hardware, "in_channels", "out_channels"), turned=True)
