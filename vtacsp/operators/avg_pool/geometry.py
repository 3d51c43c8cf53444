"""Which values meet in an output of ``avg_pool``: as in every operator of the ALU."""

from vtacsp.alu.axes import geometry

__all__ = ["geometry"]
