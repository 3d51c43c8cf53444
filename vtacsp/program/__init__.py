"""Programs: a configuration as the instructions and micro-ops that VTA executes."""

from vtacsp.program.build import build
from vtacsp.program.isa import INSTRUCTION, MICRO_OP, decode, encode
from vtacsp.program.program import Program, Segment
from vtacsp.program.stream import Stream

__all__ = ["INSTRUCTION", "MICRO_OP", "Program", "Segment", "Stream", "build", "decode", "encode"]
