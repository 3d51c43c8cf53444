"""What the cycle engine knows of an instruction before it runs.

State machines: tvm-vta's Chisel design, see :mod:`.model`.

It reads instructions only: independent of rules and nests on purpose.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vtacsp.jit import jit
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Opcode
from vtacsp.machine.rows import C as COMPUTE
from vtacsp.machine.rows import L as LOAD
from vtacsp.machine.rows import S as STORE
from vtacsp.machine.rows import row_module
from vtacsp.timing.model import TimingModel

__all__ = [
    "ABOVE",
    "BASE",
    "BELOW",
    "BESIDE",
    "COMPUTE",
    "CYCLES",
    "DRAIN",
    "FIRST",
    "LOAD",
    "MODULE",
    "PRIORITY",
    "ROWS",
    "SIZE",
    "SKIPS",
    "SLOTS",
    "STAGE",
    "STEP",
    "STORE",
    "TRANSFER",
    "WIDTH",
    "Constants",
    "constants_of",
    "locate",
    "plan",
    "store_cycles",
]

TRANSFER = -1
"""Instead of a number of cycles, which depends on where the data are."""

_OP_STORE, _OP_FINISH, _OP_ALU = int(Opcode.STORE), int(Opcode.FINISH), int(Opcode.ALU)
_KERNELS = int(Opcode.GEMM), int(Opcode.ALU)
_WGT, _INP, _ACC = int(Memory.WGT), int(Memory.INP), int(Memory.ACC)

# columns of a plan
(
    MODULE,
    CYCLES,  # or TRANSFER, and the rest is what is moved
    SIZE,  # bytes of an element
    BASE,  # DRAM element, without that of the instruction
    ROWS,
    STEP,  # bytes from row to row
    WIDTH,  # bytes of a row
    PRIORITY,  # small goes first (Core.scala: fetch, micro-ops, inp, wgt, acc)
    FIRST,  # cycles to the first request
    DRAIN,  # cycles from the last beat to the end
    STAGE,  # cycles to the first step of zero padding
    ABOVE,  # padding: rows above, columns beside, rows below (elements)
    BESIDE,
    BELOW,
    SKIPS,  # the rows between have no padding: passed over, one a cycle
) = range(15)


class Constants(NamedTuple):
    """What the engine needs of timing model and hardware.

    Compiled functions take a plain tuple and name its fields themselves: numba is slow to tell the
    type of a named one.
    """

    uop_bytes: int
    wgt_bytes: int
    inp_bytes: int
    acc_bytes: int
    out_bytes: int
    out_row_bytes: int
    tags: int
    bus_shift: int
    burst_shift: int
    memory_latency: int
    write_latency: int
    bus_bytes: int
    request_interval: int
    request_delay: int
    narrow_drain: int
    wide_drain: int
    launch_delay: int
    fetch_drain: int
    fetch_restart: int
    fetch_ahead: int
    fetch_burst: int
    queue_entries: int
    queue_delay: int
    token_delay: int
    restart_delay: int
    sync_cycles: int
    pipeline_depth: int
    gemm_interval: int
    alu_interval: int
    alu_pair_interval: int
    write_command: int
    write_reload: int


@lru_cache(maxsize=64)
def constants_of(hardware: VTAConfig, timing: TimingModel) -> tuple[int, ...]:
    """The fields of :class:`Constants` of a machine."""
    own = {
        "uop_bytes": hardware.element_bytes("uop"),
        **{f"{name}_bytes": hardware.element_bytes(name) for name in ("inp", "wgt", "acc", "out")},
        "out_row_bytes": hardware.element_bytes("out") // hardware.batch,
        # a request leaves the memory's queue with its last beat, as it does the tag table
        "tags": min(timing.read_requests, timing.memory_queue),
        "fetch_drain": timing.drain_of_fetch,
        "fetch_ahead": timing.instructions_ahead,
        "fetch_burst": timing.burst_instructions,
        # log2 of the bytes of a beat and of a burst
        "bus_shift": timing.bus_bytes.bit_length() - 1,
        "burst_shift": (timing.bus_bytes * timing.burst_beats).bit_length() - 1,
    }
    return tuple(own[n] if n in own else getattr(timing, n) for n in Constants._fields)


@jit
def plan(records, values):  # type: ignore[no-untyped-def]
    """The plan of each record, int64 of shape (r, 15); ``values`` are :func:`constants_of`."""
    c = Constants(*values)
    result = np.zeros((len(records), 15), np.int64)
    for k in range(len(records)):
        record, row = records[k], result[k]
        row[MODULE] = row_module(record.opcode, record.memory_type)
        if record.opcode in _KERNELS:
            interval = c.gemm_interval
            if record.opcode == _OP_ALU:
                interval = c.alu_interval if record.use_imm else c.alu_pair_interval
            work = np.int64(record.iter_out) * np.int64(record.iter_in)
            work *= np.int64(record.uop_end) - np.int64(record.uop_bgn)
            row[CYCLES] = work * interval + c.pipeline_depth
            continue
        row[CYCLES] = c.sync_cycles
        if record.opcode != _OP_FINISH and record.x_size:
            _plan_transfer(record, row, c)
    return result


@jit
def _plan_transfer(record, row, c):  # type: ignore[no-untyped-def]
    row[CYCLES] = TRANSFER
    size, priority = c.uop_bytes, 1
    if record.opcode == _OP_STORE:
        size = c.out_bytes
    elif record.memory_type == _INP:
        size, priority = c.inp_bytes, 2
    elif record.memory_type == _WGT:
        size, priority = c.wgt_bytes, 3
    elif record.memory_type == _ACC:
        size, priority = c.acc_bytes, 4
    wide = size <= c.bus_bytes
    x, y = np.int64(record.x_size), np.int64(record.y_size)
    above, below = np.int64(record.y_pad_0), np.int64(record.y_pad_1)
    beside = np.int64(record.x_pad_0) + np.int64(record.x_pad_1)
    row[SIZE], row[PRIORITY], row[BASE] = size, priority, record.dram_base
    row[ROWS], row[WIDTH], row[STEP] = y, x * size, np.int64(record.x_stride) * size
    row[FIRST] = c.request_delay + above  # one cycle per row of padding
    row[DRAIN] = c.wide_drain if wide else c.narrow_drain
    # padding is written while no data arrive; the narrow load stages its start
    row[STAGE] = 1 if wide else 2
    row[ABOVE], row[BELOW] = above * (x + beside), below * (x + beside)
    row[SKIPS] = beside == 0
    row[BESIDE] = y if beside == 0 and below else y * beside


_SLOT_BITS = 12
SLOTS = 1 << _SLOT_BITS
"""Size of a direct-mapped table of transfers."""

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: neighbours do not collide


@jit
def locate(plan, record, dram, c):  # type: ignore[no-untyped-def]
    """DRAM byte of a transfer, a key of its record and its place in a burst, a slot for the key.

    A transfer that finds the memory idle takes as long as any other of this key.
    """
    address = ((plan[record, BASE] + np.int64(dram)) & 0xFFFFFFFF) * plan[record, SIZE]
    place = address & ((1 << c.burst_shift) - 1)
    key = (np.int64(record) << c.burst_shift) + place
    return address, key, (np.uint64(key) * _SPREAD) >> np.uint64(64 - _SLOT_BITS)


@jit
def store_cycles(plan, record, address, c):  # type: ignore[no-untyped-def]
    """Duration of a store: one burst after the other, each acknowledged before the next."""
    # a tensor that fits the bus needs no reload, a wider one needs it after each of its rows
    per_row = max(c.out_row_bytes >> c.bus_shift, 1) if c.out_bytes > c.bus_bytes else 0
    t = 1  # sWriteCmd
    for row in range(plan[record, ROWS]):
        at = address + row * plan[record, STEP]
        end = at + plan[record, WIDTH]
        while at < end:
            stop = min(end, ((at >> c.burst_shift) + 1) << c.burst_shift)
            beats = ((stop - 1) >> c.bus_shift) - (at >> c.bus_shift) + 1
            reloads = (beats - 1) // per_row * c.write_reload if per_row else 0
            t += c.write_command + beats - 1 + reloads + c.write_latency + 1
            at = stop
    return t - 1
