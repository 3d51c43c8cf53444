"""Small layers for the choice of a machine, and the best of one by compiling and simulating all."""

from __future__ import annotations

from vtacsp import Conv2D, Conv2DTranspose, Dense, GroupConv2D, Simulator, compile
from vtacsp.codesign.cycle_table import FAR
from vtacsp.operators.filling import fill_blocks

CONV = Conv2D(
    name="conv", in_channels=32, height=4, width=4, out_channels=32, kernel=(3, 3), padding=(1, 1)
)


POINT = Conv2D(name="point", in_channels=40, height=4, width=4, out_channels=32, kernel=(1, 1))
GROUP = GroupConv2D(
    name="group", in_channels=32, height=4, width=4, out_channels=32, kernel=(3, 3),
    padding=(1, 1), groups=4,
)  # fmt: skip


UP = Conv2DTranspose(
    name="up", in_channels=16, height=3, width=3, out_channels=16, kernel=(3, 3), padding=(1, 1),
    stride=(2, 2),
)  # fmt: skip


DENSE = Dense(name="dense", batch=4, in_features=64, out_features=32, bias=True)


def brute(layer, hardware, timings):
    """The best of a layer by timing, FAR when nothing runs: compiled and simulated right there."""
    workload = fill_blocks(layer, hardware).workload
    space = compile(workload, hardware)
    if not len(space):
        return [FAR for _ in timings]
    every = space.indices.tolist()
    return [int(Simulator(space, timing=t).cycles_many(every).min()) for t in timings]
