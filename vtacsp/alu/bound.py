"""A lower bound of the cycles of the operators of the ALU, as an expression over the knobs.

The compute module does everything but the stores, one instruction after the other.
"""

from __future__ import annotations

from vtacsp.alu.nest import out_tile, taps, tiles, window_tile
from vtacsp.expr import Int, const, pow2
from vtacsp.rules.symbols import (
    CHANNELS,
    LOG_ACC_WIDTH,
    LOG_BATCH,
    LOG_BLOCK,
    PAIRS,
    PASSES,
    TENSORS,
    tile_co,
)
from vtacsp.timing.model import TimingModel

__all__ = ["add_cycles", "pool_cycles"]

_ACC_BYTES = pow2(LOG_BATCH + LOG_BLOCK - 3 + LOG_ACC_WIDTH)


def add_cycles(t: TimingModel) -> Int:
    """Of a sum."""
    return _cycles(t, out_tile, const(0))


def pool_cycles(t: TimingModel) -> Int:
    """Of a pool."""
    reset = out_tile * t.gemm_interval + t.pipeline_depth
    window = taps * (out_tile * t.alu_pair_interval + t.pipeline_depth)
    return _cycles(t, window_tile, reset + window)


def _cycles(t: TimingModel, data: Int, joined: Int) -> Int:
    elements = data + CHANNELS * tile_co + TENSORS * out_tile
    answer = t.request_delay + t.memory_latency - 1
    loads = elements * _ACC_BYTES // t.bus_bytes + (1 + CHANNELS + TENSORS) * answer
    stage = out_tile * t.alu_interval + t.pipeline_depth
    pair = out_tile * t.alu_pair_interval + t.pipeline_depth
    tile = loads + joined + (PASSES - PAIRS) * stage + PAIRS * pair
    return tiles * tile
