"""The program of a grouped convolution: that of a convolution, whose tiles may reach groups.

Independent of the rules on purpose: two oracles that are compared.
"""

from vtacsp.operators.conv2d.program import build

__all__ = ["build"]
