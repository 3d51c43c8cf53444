"""The catalogue of rules: every constraint is written once, here, and read everywhere else."""

from vtacsp.rules.catalogue import catalogue
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import ALL_SYMBOLS

__all__ = ["ALL_SYMBOLS", "Check", "Rule", "Stage", "catalogue"]
