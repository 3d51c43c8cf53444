"""Average pooling, on the ALU."""
