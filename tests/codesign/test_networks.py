"""Networks of which machines with different blocks are compared: each machine fills its own."""

import json
from dataclasses import replace

import pytest

from tests.support.machines import CONV, brute
from vtacsp import VTAConfig
from vtacsp.codesign import MachineSpace, codesign, load_counted
from vtacsp.errors import NetworkError
from vtacsp.network import Node
from vtacsp.network.value import HOST, VTA, Network

NARROW = replace(CONV, in_channels=24, out_channels=40)
SPACE = {"LOG_BLOCK": (3, 4)}
BASE = VTAConfig(log_wgt_buff_size=15, log_acc_buff_size=15)


def written(path, *nodes):
    path.write_text(json.dumps(Network("net", nodes).to_dict()))
    return str(path)


def test_every_machine_fills_its_own_blocks(tmp_path):
    first = Node(name="first", op="Conv", place=VTA, workload=replace(NARROW, name="first"))
    again = replace(first, name="again", count=2)
    host = Node(name="softmax", op="Softmax", place=HOST, why="VTA has no exponential")
    layers = load_counted(written(tmp_path / "network.json", first, again, host))
    assert [(layer.name, layer.count) for layer in layers] == [("first", 3)]
    assert layers[0].workload.in_channels == 24
    space = MachineSpace(BASE, SPACE)
    found = codesign(layers, space, costs=())
    every = [brute(NARROW, space.hardware(m), [space.timing_of(m)])[0] for m in range(len(space))]
    assert len(every) == 2
    assert {p.machine: p.cycles for p in found.points} == {
        p.machine: 3 * every[p.machine] for p in found.points
    }
    # filled for blocks of 16 first, the machine with blocks of 8 would have more to do
    wide = replace(NARROW, in_channels=32, out_channels=48)
    assert brute(wide, space.hardware(0), [space.timing_of(0)])[0] > every[0]


def test_a_model_is_as_its_layers_say(tmp_path):
    pytest.importorskip("onnx")
    from tests.support.onnx_models import float_cnn

    path = tmp_path / "model.onnx"
    float_cnn(path, batch=1)
    found = load_counted(str(path))
    float_cnn(path)
    assert load_counted(str(path), shapes={"x": (1, 3, 8, 8)}) == found
    with pytest.raises(NetworkError, match="--shape goes with ONNX models"):
        load_counted("resnet18", shapes={"x": (1, 3, 8, 8)})
    float_cnn(path, batch=1)
    filled = {layer.name: layer.workload for layer in found}
    assert any(layer.macs < other.macs for layer, other in _pairs(path, filled))


def _pairs(path, unfilled):
    from vtacsp.network import load_network as placed
    from vtacsp.network.partition import Options

    network = placed(str(path), options=Options(dense="dense"))
    assert [layer.name for layer in network.layers] == list(unfilled)
    return [(unfilled[layer.name], layer.workload) for layer in network.layers]


def test_a_network_without_a_layer_on_vta_is_one_line(tmp_path):
    host = Node(name="softmax", op="Softmax", place=HOST, why="VTA has no exponential")
    with pytest.raises(NetworkError, match="no node runs on VTA"):
        load_counted(written(tmp_path / "network.json", host))
