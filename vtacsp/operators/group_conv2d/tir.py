"""The sums of a grouped convolution as a TIR compute: the groups are among the symbols."""

from vtacsp.operators.conv2d.tir import multiply

__all__ = ["multiply"]
