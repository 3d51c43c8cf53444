"""Which input of a convolution meets which weight."""

from __future__ import annotations

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.geometry import AxisGeometry, Geometry

__all__ = ["geometry"]


def geometry(workload: Conv2D, hardware: VTAConfig) -> Geometry:
    """Output ``o`` meets input ``o * stride + k - pad`` at tap ``k``."""
    s = workload.symbols(hardware)
    y, x = (AxisGeometry(s[a], s["O" + a], s["K" + a], s["S" + a], s["P" + a], 1) for a in "HW")
    return Geometry(s["N"], s["G"], s["CI"], s["CO"], y, x)
