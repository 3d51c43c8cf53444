"""The sums of a fully connected layer as a TIR compute."""

from __future__ import annotations

from typing import Any

from tvm import te

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.tir import ACCUMULATOR

__all__ = ["multiply"]


def multiply(workload: Dense, hardware: VTAConfig, data: Any, weight: Any) -> Any:
    """The block ``gemm``, of the shape of the output."""
    shapes = workload.pack(hardware)
    blocks = te.reduce_axis((0, shapes.data[1]), "k_o")
    lanes = te.reduce_axis((0, hardware.block), "k_i")

    def product(n: Any, c: Any, i: Any, o: Any) -> Any:
        left = data[n, blocks, i, lanes].astype(ACCUMULATOR)
        return te.sum(left * weight[c, blocks, o, lanes].astype(ACCUMULATOR), [blocks, lanes])

    return te.compute(shapes.output, product, name="gemm")
