"""The bound of the cycles of ``add``."""

from vtacsp.alu.bound import add_cycles as cycles

__all__ = ["cycles"]
