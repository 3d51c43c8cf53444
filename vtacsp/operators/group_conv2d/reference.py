"""What a grouped convolution computes: the groups are in the shape of the weights.

Written from the definition: independent of rules and program on purpose.
"""

from vtacsp.operators.conv2d.reference import accumulate, as_loaded

__all__ = ["accumulate", "as_loaded"]
