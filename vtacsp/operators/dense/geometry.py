"""Which input of a fully connected layer meets which weight."""

from __future__ import annotations

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.geometry import AxisGeometry, Geometry

__all__ = ["geometry"]


def geometry(workload: Dense, hardware: VTAConfig) -> Geometry:
    """A convolution of one pixel."""
    s = workload.symbols(hardware)
    one = AxisGeometry(1, 1, 1, 1, 0, 1)
    return Geometry(s["N"], 1, s["CI"], s["CO"], one, one)
