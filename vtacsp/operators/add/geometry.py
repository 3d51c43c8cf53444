"""Which values meet in an output of ``add``: as in every operator of the ALU."""

from vtacsp.alu.axes import geometry

__all__ = ["geometry"]
