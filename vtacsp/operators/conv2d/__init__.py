"""The 2-D convolution, and what the other convolutions share with it."""
