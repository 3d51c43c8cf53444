"""The program of a grouped convolution: that of a convolution, whose tiles may reach groups."""

from vtacsp.operators.conv2d.program import build

__all__ = ["build"]
