"""Which input of a transposed convolution meets which weight."""

from __future__ import annotations

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.geometry import AxisGeometry, Geometry

__all__ = ["geometry"]


def geometry(workload: Conv2DTranspose, hardware: VTAConfig) -> Geometry:
    """A convolution of stride 1 whose input holds data in every ``stride``-th place only."""
    s = workload.symbols(hardware)

    def axis(a: str) -> AxisGeometry:
        dilation, kernel = s["S" + a], s["K" + a]
        size = (s[a] - 1) * dilation + 1
        return AxisGeometry(size, s["O" + a], kernel, 1, kernel - 1 - s["P" + a], dilation)

    return Geometry(s["N"], s["G"], s["CI"], s["CO"], axis("H"), axis("W"))
