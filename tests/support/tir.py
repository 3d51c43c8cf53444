"""Small layers of every operator, and TIR on the CPU."""

from __future__ import annotations

import numpy as np
import tvm
from tvm.s_tir import Schedule

from vtacsp import Conv2D, Conv2DTranspose, Dense, GroupConv2D, VTAConfig
from vtacsp.metaschedule import apply

HARDWARE = VTAConfig()
IMAGE = {"batch": 1, "height": 8, "width": 8, "kernel": (3, 3), "padding": (1, 1)}
LAYERS = {
    layer.name: layer
    for layer in (
        Conv2D(name="conv", in_channels=32, out_channels=32, bias=True, **IMAGE),
        Conv2D(
            name="plain", batch=1, in_channels=32, height=9, width=9, out_channels=32,
            kernel=(3, 3), stride=(2, 2),
        ),
        GroupConv2D(name="grouped", in_channels=64, out_channels=64, groups=2, **IMAGE),
        Conv2DTranspose(
            name="transposed", batch=1, in_channels=32, height=3, width=3, out_channels=32,
            kernel=(4, 4), padding=(1, 1), stride=(2, 2), bias=True,
        ),
        Dense(name="dense", batch=4, in_features=64, out_features=64, bias=True),
    )
}  # fmt: skip


def scheduled(function, config):
    sch = Schedule(function)
    apply(sch, config)
    return sch


def run(module, workload, hardware, operands):
    """The packed output of a module, compiled for the CPU."""
    shape = workload.pack(hardware).output
    output = np.full(shape, 85, dtype=f"int{1 << hardware.log_inp_width}")
    arrays = [operands.data, operands.weight, *operands.loaded]
    tensors = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in (*arrays, output)]
    tvm.compile(module, target="llvm")["main"](*tensors)
    return tensors[-1].numpy()
