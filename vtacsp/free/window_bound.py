"""A lower bound of the cycles of a free schedule of what the ALU runs by itself.

What the limit says of any program, and what the fields of a schedule say beside it: how many tiles
there are, each with its instructions, what is reset, what is stored after the last of them.
"""

from __future__ import annotations

from vtacsp.expr import Int, all_of, any_of, const, if_else, maximum, named
from vtacsp.free.epilogue import ON_TENSOR, EpiloguePasses
from vtacsp.free.least_stores import written
from vtacsp.free.rules import last_tile
from vtacsp.free.schedule_fields import (
    acc,
    channels,
    closing,
    columns,
    gather,
    parts,
    rows,
    window_demanded,
)
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.geometry import Geometry
from vtacsp.timing.model import TimingModel

__all__ = ["window_bound"]


def window_bound(
    g: Geometry,
    chain: EpiloguePasses,
    least: dict[str, int],
    hardware: VTAConfig,
    t: TimingModel,
    *,
    counted: bool = False,
) -> Int:
    """Cycles that no program of a schedule gets below, where the rules hold.

    ``least``: the limit of the layer, by the names of its terms.  ``counted``: with the data that
    are loaded again and all instructions, which are counted by a procedure and no formula.
    """
    one = const(int(g.kernel == 1))
    in_place = any_of(one == 1, gather == 2)
    tiles = named("tiles", g.batch * parts(channels) * parts(rows) * parts(columns))
    # 1. kernels: passes, some value that joins where each window has two, a reset
    joined = int(g.y.fewest * g.x.fewest > 1)
    kernels = tiles * (len(chain.passes) + joined + if_else(in_place, 0, 1))
    asked = t.request_delay + t.memory_latency - 1 + min(t.narrow_drain, t.wide_drain)
    tensors = int((chain.passes[:, 3] == ON_TENSOR).sum())
    loads = tiles * (tensors + if_else(in_place, 1, 0))
    again = const(0)
    if counted:
        kernels, loads = window_demanded("kernels"), window_demanded("loads")
        once = g.batch * g.outputs * g.y.inputs * g.x.inputs
        bytes_ = (window_demanded("loaded") - once) * hardware.element_bytes("acc")
        again = maximum(bytes_ // t.bus_bytes, 0)
    issue = kernels * (t.pipeline_depth + t.restart_delay) + loads * (asked + t.restart_delay)
    reset = if_else(in_place, 0, g.positions * (t.gemm_interval + t.alu_pair_interval))
    alu = const(least["alu"]) + reset
    work = alu + least["operands"] + again + maximum(issue, least["issue"])
    # 2. the last store, but for one tensor
    stored = written(hardware, t)
    last = closing(channels) * last_tile * closing(columns)
    ends = (last - 1) * stored + least["around_compute"]
    # 3. one slot: what writes a tile waits for the store before, but not what is loaded beside it
    own = alu + kernels * (t.pipeline_depth + t.restart_delay)
    alone = own + maximum(g.positions - last, 0) * stored
    alone = if_else(all_of(acc == 1), alone, 0)
    read = const(max(least["read"] + least["around_read"], least["write"] + least["around_write"]))
    return named("cycles", maximum(maximum(work, alone) + ends, read))
