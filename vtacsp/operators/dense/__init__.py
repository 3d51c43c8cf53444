"""The dense layer."""
