"""What a fully connected layer has to fill."""

from __future__ import annotations

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.filling import Filling, fill_channels

__all__ = ["fill"]


def fill(workload: Dense, hardware: VTAConfig, members: int | None = None) -> Filling:
    """Its features and batch; it has no groups that could become one."""
    del members
    return fill_channels(workload, hardware, "in_features", "out_features")
