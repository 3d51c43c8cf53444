"""Which input of a grouped convolution meets which weight: the groups are among the symbols."""

from vtacsp.operators.conv2d.geometry import geometry

__all__ = ["geometry"]
