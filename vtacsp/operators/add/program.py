"""The program of a sum: the data are loaded where the epilogue adds to them.

Independent of the rules on purpose: what it does is compared with what they say.
"""

from vtacsp.alu.program import build_alu as build

__all__ = ["build"]
