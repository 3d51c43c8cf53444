"""Layers of the nine light networks of the ``onnx`` package are what onnxruntime computes.

The smallest layers here; ``python -m tests.benchmarks.light_layers`` has all of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx

from tests.support.onnx_integer import convolution
from vtacsp import VTAConfig, build
from vtacsp.functional import execute, random_operands
from vtacsp.network import Options, answers, load_network

FILES = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data" / "light").glob("*.onnx"))
MACHINE = VTAConfig()


def test_there_are_nine():
    assert len(FILES) == 9


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_best_program_of_a_layer_is_onnxruntimes_integer_result(path):
    network = load_network(str(path), options=Options(dense="dense"))
    kinds = {}
    for layer in sorted(network.layers, key=lambda layer: layer.workload.macs):
        kinds.setdefault((layer.workload.op, str(layer.workload.epilogue)), layer)
    assert kinds
    for layer in kinds.values():
        (answer,) = answers([layer], MACHINE)
        operands = random_operands(layer.workload, MACHINE)
        ours = execute(build(layer.workload, MACHINE, answer.index), operands).output
        right = convolution(layer.workload, MACHINE, operands)
        np.testing.assert_array_equal(ours, right)
        assert len(np.unique(right)) > 8
