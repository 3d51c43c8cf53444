"""The sum of two tensors, on the ALU."""
