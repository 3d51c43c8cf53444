"""Tune a network from its ONNX file: every distinct layer once, one record per AutoTVM task."""

import tempfile
from pathlib import Path

import onnx

from vtacsp.network import LayerSearch, load_network, tune_network
from vtacsp.tune import write_records

# a real model that is already here: one of the graphs that the onnx package tests itself with
light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
network = load_network(str(light / "light_squeezenet.onnx"))
for node in network.host:
    print(f"{node.name}, {node.op}, on the host: {node.why}")

tuned = tune_network(network, search=LayerSearch(trials=4))  # log="squeezenet.log" keeps all
for layer in tuned.answer.layers:
    print(f"{layer.layer.name} x {layer.layer.count}: {layer.cycles:,} cycles")
total = tuned.answer.total()
print(f"{total['count']} layers, {total['ms']:.1f} ms, look at {tuned.answer.first[0].layer.name}")

with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "best.log"  # what TVM compiles with: docs/networks.md
    write_records(log, tuned.records)
    print(f"{len(log.read_text().splitlines())} records, one per AutoTVM task")
