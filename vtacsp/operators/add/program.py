"""The program of a sum: the data are loaded where the epilogue adds to them.

Independent of the rules on purpose: what it does is compared with what they say.
"""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.alu.program import build_alu
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.add.workload import Add
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue

__all__ = ["build"]


def build(workload: Add, hardware: VTAConfig, config: Mapping[str, int], queue: Queue) -> Program:
    """Build the program of a sum."""
    return build_alu(workload, hardware, config, queue)
