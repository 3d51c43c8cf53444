"""A grouped convolution as embeddings take it: its groups are among the sizes."""

from vtacsp.operators.conv2d.embedding import sizes

__all__ = ["sizes"]
