"""Loads of input chunks and stores of tiles, in as few instructions as there can be.

Independent of rules on purpose.
"""

from __future__ import annotations

from vtacsp.free.epilogue import ON_CHANNEL
from vtacsp.free.table import move
from vtacsp.jit import jit
from vtacsp.machine.instructions import Memory

__all__ = ["copy_tile", "load_channel_operands", "load_inputs"]

_INP, _ACC = int(Memory.INP), int(Memory.ACC)
_ON_CHANNEL = ON_CHANNEL


@jit
def load_inputs(table, n, sram, dram, blocks, height, width, y, x, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Loads of ``blocks`` times ``height`` rows of ``width`` inputs, as few as there can be."""
    area = y[0] * x[0]
    if gap_x > 1 and width > 1:
        for block in range(blocks):
            for row in range(height):
                at = dram + block * area + row * gap_y * x[0]
                n = move(table, n, _INP, sram, at, width, 1, gap_x)
                sram += width
    elif height == 1:
        n = move(table, n, _INP, sram, dram, blocks, width, area)
    elif gap_y == 1 and width == x[0]:
        if height == y[0]:
            n = move(table, n, _INP, sram, dram, 1, blocks * area, blocks * area)
        else:
            n = move(table, n, _INP, sram, dram, blocks, height * width, area)
    else:
        for block in range(blocks):
            n = move(table, n, _INP, sram, dram + block * area, height, width, gap_y * x[0])
            sram += height * width
    return n


@jit
def copy_tile(table, n, memory, sram, dram, blocks, high, columns, rows, y, x):  # type: ignore[no-untyped-def]
    """Stores of ``high`` of the ``rows`` of some blocks of a tile, or loads of their shape."""
    _, height, _, _, _, _ = y
    _, width, _, _, _, _ = x
    area = height * width
    if high == rows and columns == width:
        if high == height:
            return move(table, n, memory, sram, dram, 1, blocks * area, blocks * area)
        return move(table, n, memory, sram, dram, blocks, high * columns, area)
    for block in range(blocks):
        base = sram + block * rows * columns
        if columns == width:
            n = move(table, n, memory, base, dram + block * area, 1, high * columns, high * columns)
        else:
            n = move(table, n, memory, base, dram + block * area, high, columns, width)
    return n


@jit
def load_channel_operands(table, n, passes, base, sram, dram, blocks, stride):  # type: ignore[no-untyped-def]
    """Loads of the operands of one value per channel of some blocks, ``stride`` apart in ``base``.

    ``sram`` and ``dram`` are the place of the first block within an operand.
    """
    for p in range(len(passes)):
        if passes[p, 3] == _ON_CHANNEL:
            at = base + passes[p, 4] * stride + sram
            n = move(table, n, _ACC, at, passes[p, 5] + dram, 1, blocks, 1)
    return n
