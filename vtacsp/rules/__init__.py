"""What the rules are made of: every constraint is written once and read everywhere else.

``symbols`` are the words, ``rule`` what a rule is, the other modules the mechanisms.  The rules of
an operator are in its folder, those of the machine in :mod:`vtacsp.machine.legality`.
"""

from vtacsp.moved import keep_old_names
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import ALL_SYMBOLS

__all__ = ["ALL_SYMBOLS", "Check", "Rule", "Stage"]


keep_old_names(__name__)
