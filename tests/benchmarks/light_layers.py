"""Every layer of the light networks of the ``onnx`` package against onnxruntime's integers.

``python -m tests.benchmarks.light_layers [NETWORK ...]``: each network is imported and solved, the
best program of each distinct layer runs in the functional simulator on random operands, and the
result must be bit for bit that of onnxruntime's ``ConvInteger`` with the epilogue behind it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnx

from tests.support.onnx_integer import convolution
from vtacsp import VTAConfig, build
from vtacsp.functional import execute, random_operands
from vtacsp.network import Options, load_network, solve

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def main() -> int:
    """Print a line per network; the number of layers that differ."""
    machine, wrong = VTAConfig(), 0
    names = sys.argv[1:] or sorted(p.stem.removeprefix("light_") for p in LIGHT.glob("*.onnx"))
    for name in names:
        begin = time.process_time()
        network = load_network(
            str(LIGHT / f"light_{name}.onnx"), machine, Options(first_layer="fold")
        )
        answer = solve(network, machine)
        differing, values = [], 0
        for layer in answer.layers:
            work = layer.layer.workload
            operands = random_operands(work, machine)
            ours = execute(build(work, machine, layer.index), operands).output
            right = convolution(work, machine, operands)
            values += right.size
            if len(np.unique(right)) < 8 or not np.array_equal(ours, right):
                differing.append(layer.layer.name)
        took = time.process_time() - begin
        print(
            f"{name}: {len(answer.layers)} distinct layers, {values:,} values, "
            f"{len(differing)} layers differ {' '.join(differing)}({took:.0f} s)",
            flush=True,
        )
        wrong += len(differing)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
