"""What an operator of the ALU has to fill."""

from __future__ import annotations

from vtacsp.alu.workload import OnALU
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.filling import Filling, fill_channels

__all__ = ["fill"]


def fill(workload: OnALU, hardware: VTAConfig, members: int | None = None) -> Filling:
    """Its channels, the same before and behind it, and its batch."""
    del members
    return fill_channels(workload, hardware, "channels", "channels")
