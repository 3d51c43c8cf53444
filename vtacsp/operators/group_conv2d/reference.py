"""What a grouped convolution computes: the groups are in the shape of the weights."""

from vtacsp.operators.conv2d.reference import accumulate, as_loaded

__all__ = ["accumulate", "as_loaded"]
