"""The bound of the cycles of ``max_pool``."""

from vtacsp.alu.bound import pool_cycles as cycles

__all__ = ["cycles"]
