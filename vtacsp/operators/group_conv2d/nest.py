"""The loop nest of the grouped convolution template: that of the convolution, with its groups."""

from vtacsp.operators.conv2d.nest import NEST

__all__ = ["NEST"]
