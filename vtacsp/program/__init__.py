"""Programs: the instructions and micro-ops that VTA executes, and the mechanisms that make them.

:func:`vtacsp.build` makes one of a configuration; what an operator adds is in its folder.

Nothing here knows a rule or a nest: the builder is independent of them on purpose, so that the two
can be compared.  ``tests/test_imports.py`` holds that.
"""

from vtacsp.machine.instructions import INSTRUCTION, MICRO_OP, decode, encode
from vtacsp.moved import keep_old_names
from vtacsp.program.program import Program, Segment
from vtacsp.program.stream import Stream

__all__ = ["INSTRUCTION", "MICRO_OP", "Program", "Segment", "Stream", "decode", "encode"]


keep_old_names(__name__)
