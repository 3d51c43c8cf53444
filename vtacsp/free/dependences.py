"""Dependency tokens, derived from what the instructions touch.

A module reads what another one wrote, or writes where another one read: then it waits for the
last instruction of that module which touched the same slot.  Tokens are counted, so the ``k``-th
pop takes the ``k``-th push; a wait that an earlier one implies gets no token, and those that are
left are in the same order at both ends.  Independent of rules on purpose.
"""

from __future__ import annotations

import numpy as np

from vtacsp.free.table import ACC, INP, WGT
from vtacsp.jit import jit
from vtacsp.machine.instructions import Opcode
from vtacsp.machine.rows import C as _COMPUTE
from vtacsp.machine.rows import L as _LOAD
from vtacsp.machine.rows import S as _STORE
from vtacsp.machine.rows import pops as pops_of
from vtacsp.machine.rows import row_module
from vtacsp.program.stream import POP_NEXT, POP_PREV, PUSH_NEXT, PUSH_PREV

__all__ = ["MOST_TOKENS", "derive"]

MOST_TOKENS = 255
"""What a token counter of the hardware holds."""

_OP_FINISH = int(Opcode.FINISH)


@jit
def derive(  # type: ignore[no-untyped-def]  # noqa: PLR0912
    table, inp_pieces, wgt_pieces, acc_pieces
):
    """Flags of the instructions of a table, and the most tokens that a queue can hold."""
    # 1. the state: who touched what last, what has been waited for
    n = len(table)
    flags = np.zeros(n, np.uint8)
    # the last instruction of each module that touched a piece of a slot
    inp, wgt = np.full((3, inp_pieces), -1), np.full((3, wgt_pieces), -1)
    acc = np.full((3, acc_pieces), -1)
    # by waiting and other module: what has been waited for; pairs of instructions of each queue
    known = np.full((3, 3), -1)
    pushes, pops = np.empty((4, n), np.int64), np.empty((4, n), np.int64)
    count = np.zeros(4, np.int64)
    # 2. instruction by instruction: what it waits for becomes a token, unless that is implied
    for i in range(n):
        opcode, memory = table[i, 0], table[i, 1]
        me = row_module(opcode, memory)
        some_inp = range(table[i, INP], table[i, INP + 1])
        some_wgt = range(table[i, WGT], table[i, WGT + 1])
        some_acc = range(table[i, ACC], table[i, ACC + 1])
        before = after = -1  # what it waits for in the module before and behind it
        if me == _COMPUTE:
            for piece in some_inp:
                before = max(before, inp[_LOAD, piece])
            for piece in some_wgt:
                before = max(before, wgt[_LOAD, piece])
            for piece in some_acc:
                after = max(after, acc[_STORE, piece])
            if opcode == _OP_FINISH:
                after = acc[_STORE].max()
        elif me == _LOAD:
            for piece in some_inp:
                after = max(after, inp[_COMPUTE, piece])
            for piece in some_wgt:
                after = max(after, wgt[_COMPUTE, piece])
        else:
            for piece in some_acc:
                before = max(before, acc[_COMPUTE, piece])
        if before > known[me, me - 1]:
            known[me, me - 1] = before
            queue = pops_of(me, 0)
            flags[before] |= PUSH_NEXT
            flags[i] |= POP_PREV
            pushes[queue, count[queue]], pops[queue, count[queue]] = before, i
            count[queue] += 1
        if me < _STORE and after > known[me, me + 1]:
            known[me, me + 1] = after
            queue = pops_of(me, 1)
            flags[after] |= PUSH_PREV
            flags[i] |= POP_NEXT
            pushes[queue, count[queue]], pops[queue, count[queue]] = after, i
            count[queue] += 1
        for piece in some_inp:
            inp[me, piece] = i
        for piece in some_wgt:
            wgt[me, piece] = i
        for piece in some_acc:
            acc[me, piece] = i
    # 3. how far the modules may be apart
    most = 0
    for queue in range(4):
        back = queue ^ 1  # the other one between these modules (`TokenQueue`)
        most = max(
            most,
            _ahead(
                pushes[queue, : count[queue]],
                pops[queue],
                pushes[back, : count[back]],
                pops[back],
                n,
            ),
        )
    return flags, most


@jit
def _ahead(pushes, pops, back_pushes, back_pops, n):  # type: ignore[no-untyped-def]
    """The most tokens in a queue while its reader has not popped the ``k``-th, for any ``k``.

    The pushing module runs ahead until it needs a token back that the reader, waiting at
    ``pops[k]``, has not pushed yet.
    """
    most = pushed = back = 0
    for k in range(len(pushes)):
        while back < len(back_pushes) and back_pushes[back] < pops[k]:
            back += 1
        stops = back_pops[back] if back < len(back_pushes) else n
        while pushed < len(pushes) and pushes[pushed] < stops:
            pushed += 1
        most = max(most, pushed - k)
    return most
