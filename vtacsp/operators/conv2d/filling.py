"""What a convolution has to fill."""

from __future__ import annotations

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.filling import Filling, fill_channels

__all__ = ["fill"]


def fill(workload: Conv2D, hardware: VTAConfig, members: int | None = None) -> Filling:
    """Its channels and batch; it has no groups that could become one."""
    del members
    return fill_channels(workload, hardware, "in_channels", "out_channels")
