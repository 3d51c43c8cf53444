"""An operator that vtacsp does not have: a matrix product whose tiles have rows and columns.

``tests/operators/test_toy.py`` registers this folder with one line; nothing else knows of it.
"""
