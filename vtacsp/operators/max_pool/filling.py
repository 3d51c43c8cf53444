"""What ``max_pool`` has to fill: as every operator of the ALU."""

from vtacsp.alu.filling import fill

__all__ = ["fill"]
