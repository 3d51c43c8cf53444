"""The catalogue of rules: every constraint is written once, here, and read everywhere else.

``symbols`` are the words, ``rule`` what a rule is; ``convolution``, ``transposed``, ``dense``
and ``machine`` hold the rules, the other modules the mechanisms they are made of.
"""

from vtacsp.rules.catalogue import catalogue, quantity
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import ALL_SYMBOLS

__all__ = ["ALL_SYMBOLS", "Check", "Rule", "Stage", "catalogue", "quantity"]
