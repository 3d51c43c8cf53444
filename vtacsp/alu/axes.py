"""Which values of the data meet in which output of an operator of the ALU."""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.alu.workload import OnALU
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import AluOp
from vtacsp.operators.geometry import AxisGeometry, Geometry

__all__ = ["geometry"]


def geometry(workload: OnALU, hardware: VTAConfig) -> Geometry:
    """Output ``o`` joins inputs ``o * stride + k - pad``; a block of channels is a group.

    Without a window there is one value of the data in an output.  An axis with one output has the
    stride of its kernel: then no value belongs to two windows.
    """
    s = workload.symbols(hardware)
    join = AluOp.ADD if workload.join is None else workload.join
    return Geometry(s["N"], s["CO"], 1, s["CO"], _axis(s, "H"), _axis(s, "W"), int(join))


def _axis(s: Mapping[str, int], name: str) -> AxisGeometry:
    out, kernel, stride = s[f"O{name}"], s.get(f"K{name}", 1), s.get(f"S{name}", 1)
    stride = max(stride, kernel) if out == 1 else stride
    return AxisGeometry(s[name], out, kernel, stride, s.get(f"P{name}", 0), 1)
