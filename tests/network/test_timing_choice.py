"""What is chosen by cycles is chosen by those of the timing model that the user gives."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper

from tests.support.commands import run
from tests.support.onnx_models import save
from vtacsp import Conv2D
from vtacsp.embedding import embeddings, fastest
from vtacsp.network import Options, solve
from vtacsp.network.onnx.importer import import_onnx
from vtacsp.timing.model import PRESETS, RTL

SHAPE = (1, 3, 12, 12)
PYNQ = PRESETS["pynq"]


@pytest.fixture(scope="module")
def first_layer(tmp_path_factory):
    """A first convolution: another folding is the fastest on the estimate of a board."""
    path = tmp_path_factory.mktemp("first") / "first.onnx"
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="stem", pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node],
        "first",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((16, 3, 3, 3), dtype=np.float32), "w")],
    )
    save(graph, path)
    return path


def network(path, timing):
    return import_onnx(str(path), options=Options(first_layer="fold", timing=timing))


def test_the_folding_is_the_fastest_under_the_timing_that_is_given(first_layer):
    chosen = {}
    for timing in (RTL, PYNQ):
        found = network(first_layer, timing)
        layer = found.placed["stem"].embedding
        chosen[timing] = layer.workload
        (answer,) = solve(found.network, timing=timing).layers
        kinds = [e for e in embeddings(layer.layer) if e.kind == "fold"]
        assert answer.cycles == min(fastest([e], timing).best.cycles for e in kinds)
    assert chosen[RTL] != chosen[PYNQ]
    (slower,) = solve(network(first_layer, RTL).network, timing=PYNQ).layers
    assert slower.cycles > answer.cycles
    assert network(first_layer, None).placed["stem"].workload == chosen[RTL]


def test_the_command_line_hands_its_timing_on(first_layer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (answer,) = solve(network(first_layer, PYNQ).network, timing=PYNQ).layers
    words = [first_layer, "--first-layer", "fold", "--preset", "pynq", "--format", "json"]
    for command in (["best"], ["tune", "--trials", 2]):
        (row,) = json.loads(run(*command, *words).stdout)["layers"]
        assert row["workload"]["in_channels"] == answer.layer.workload.in_channels
    assert row["cycles"] >= answer.cycles
    # `embed` ranks by it too
    layer = Conv2D(name="stem", in_channels=3, height=12, width=12, out_channels=16,
                   kernel=(3, 3), padding=(1, 1))  # fmt: skip
    (tmp_path / "layer.json").write_text(json.dumps(layer.to_dict()))
    rows = json.loads(run("embed", "layer.json", "--preset", "pynq", "--format", "json").stdout)
    assert rows[0]["cycles"] == fastest(embeddings(layer), PYNQ).best.cycles
    assert rows[0]["cycles"] != fastest(embeddings(layer), RTL).best.cycles
