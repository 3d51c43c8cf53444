"""The grouped 2-D convolution: the rules and the program are those of ``conv2d``."""
