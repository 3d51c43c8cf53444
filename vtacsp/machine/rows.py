"""Instructions as rows of int64, for compiled code: the columns, and the tokens that a row moves.

The columns are the fields of :data:`vtacsp.machine.instructions.INSTRUCTION`, in that order.
"""

from __future__ import annotations

from vtacsp.jit import jit
from vtacsp.machine import instructions
from vtacsp.machine.instructions import Module, TokenQueue

__all__ = ["pop_tokens", "pops", "pushes", "row_module"]

(OP, POP_PREV, POP_NEXT, PUSH_PREV, PUSH_NEXT) = range(5)
(MEM, SRAM, DRAM, Y, X, STRIDE, Y0, Y1, X0, X1) = range(5, 15)
(RESET, BGN, END, OUT, IN, DST_O, DST_I, SRC_O, SRC_I, WGT_O, WGT_I) = range(15, 26)
(ALU, USE_IMM, IMM) = range(26, 29)

L, C, S = (int(module) - 1 for module in (Module.LOAD, Module.COMPUTE, Module.STORE))
"""Modules: load, compute, store."""
_module_of = jit(instructions.module_of)
L2C, C2L, S2C, C2S = (int(queue) for queue in TokenQueue)


@jit
def row_module(opcode, memory):  # type: ignore[no-untyped-def]
    """The module that executes an instruction, which says :mod:`.instructions`."""
    return _module_of(opcode, memory) - 1


@jit
def pops(m, k):  # type: ignore[no-untyped-def]
    """The queue that a module pops for the module before it (k = 0) or after it, -1 if none."""
    if k == 0:
        return L2C if m == C else C2S if m == S else -1
    return S2C if m == C else C2L if m == L else -1


@jit
def pushes(m, k):  # type: ignore[no-untyped-def]
    """The queue that it pushes to for the module before it (k = 0) or after it, -1 if none."""
    if k == 0:
        return C2L if m == C else S2C if m == S else -1
    return C2S if m == C else L2C if m == L else -1


@jit
def pop_tokens(row, m, clock, tokens, pushed, popped):  # type: ignore[no-untyped-def]
    """Take what the instruction of a module waits for, and what it tells; False if it has to wait.

    ``clock`` (3, 3) is the progress of every module (columns) as each knows it (rows), ``tokens``
    (4, n, 3) what came with each token, ``pushed`` and ``popped`` (4,) how many of each queue.
    """
    for k in range(2):
        q = pops(m, k)
        if q >= 0 and row[POP_PREV + k] and popped[q] == pushed[q]:
            return False
    for k in range(2):
        q = pops(m, k)
        if q >= 0 and row[POP_PREV + k]:
            for j in range(3):
                clock[m, j] = max(clock[m, j], tokens[q, popped[q], j])
            popped[q] += 1
    return True
