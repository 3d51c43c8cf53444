"""Rules of the grouped convolution: those of the convolution, which know groups."""

from vtacsp.operators.conv2d.rules import RULES

__all__ = ["RULES"]
