"""Rules of ``add``: those of the ALU's operators."""

from vtacsp.alu.rules import ADD as RULES

__all__ = ["RULES"]
