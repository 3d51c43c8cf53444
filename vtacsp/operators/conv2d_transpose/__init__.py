"""The transposed 2-D convolution."""
