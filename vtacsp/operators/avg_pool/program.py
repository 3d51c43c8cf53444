"""The program of a pool whose windows are joined by the ALU's ADD.

Independent of the rules on purpose: what it does is compared with what they say.
"""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.alu.program import build_alu
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import AluOp
from vtacsp.operators.avg_pool.workload import AvgPool
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue

__all__ = ["build"]


def build(
    workload: AvgPool, hardware: VTAConfig, config: Mapping[str, int], queue: Queue
) -> Program:
    """Build the program of a pool."""
    return build_alu(workload, hardware, config, queue, AluOp.ADD)
