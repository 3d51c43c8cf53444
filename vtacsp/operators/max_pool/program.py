"""The program of a pool whose windows are joined by the ALU's MAX.

Independent of the rules on purpose: what it does is compared with what they say.
"""

from vtacsp.alu.program import build_alu as build

__all__ = ["build"]
