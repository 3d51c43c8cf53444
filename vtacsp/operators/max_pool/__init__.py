"""Max pooling, on the ALU."""
