"""Operators that the ALU runs by itself: what they share.

Data are 32-bit: they are loaded into the accumulators, as the operands of an epilogue are.
"""
