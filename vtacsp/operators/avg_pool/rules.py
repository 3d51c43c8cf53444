"""Rules of ``avg_pool``: those of the ALU's operators."""

from vtacsp.alu.rules import POOL as RULES

__all__ = ["RULES"]
