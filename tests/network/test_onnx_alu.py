"""Pools and sums of ONNX models on the ALU: what onnxruntime computes, bit for bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import float_cnn, save
from vtacsp import NetworkError, build
from vtacsp.cli import main
from vtacsp.functional.program_execution import execute
from vtacsp.network import HOST, VTA, Options, load_network, solve
from vtacsp.network.onnx.alu_binding import bind_alu
from vtacsp.network.onnx.importer import import_onnx

BOTH = Options(alu=frozenset({"add", "pool"}))
SHAPE = (2, 20, 6, 6)


def qdq(path, op, scales, out, dtype="uint8", relu=False, shape=SHAPE, **attributes):
    """An operator between quantisers; ``scales`` are (scale, zero) of its inputs, ``out`` too."""
    kind = getattr(TensorProto, dtype.upper())
    nodes, inits, inputs = [], {}, []
    for n, (scale, zero) in enumerate([*scales, out]):
        inits |= {f"s{n}": np.float32(scale), f"z{n}": np.dtype(dtype).type(zero)}
    for n in range(len(scales)):
        nodes.append(helper.make_node("DequantizeLinear", [f"x{n}", f"s{n}", f"z{n}"], [f"f{n}"],
                                      name=f"d{n}"))  # fmt: skip
        inputs.append(helper.make_tensor_value_info(f"x{n}", kind, shape))
    nodes.append(helper.make_node(op, [f"f{n}" for n in range(len(scales))], ["t"], name="layer",
                                  **attributes))  # fmt: skip
    if relu:
        nodes.append(helper.make_node("Relu", ["t"], ["r"], name="relu"))
    n = len(scales)
    nodes.append(
        helper.make_node(
            "QuantizeLinear", ["r" if relu else "t", f"s{n}", f"z{n}"], ["y"], name="q"
        )
    )
    graph = helper.make_graph(
        nodes, "alu", inputs, [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in inits.items()],
    )  # fmt: skip
    save(graph, path)
    ends, rng = np.iinfo(dtype), np.random.default_rng(5)
    return [rng.integers(ends.min, ends.max + 1, shape).astype(dtype) for _ in scales]


S = 2.0**-4
CASES = {
    "max": ("MaxPool", [(0.3, 7)], (0.3, 7), {"kernel_shape": [3, 3], "strides": [2, 2],
                                              "pads": [1, 1, 1, 1]}),
    "max-uneven": ("MaxPool", [(0.3, 7)], (0.3, 7), {"kernel_shape": [3, 3], "strides": [2, 2],
                                                     "pads": [0, 0, 1, 1]}),
    "max-relu": ("MaxPool", [(0.3, 90)], (0.3, 90), {"kernel_shape": [2, 2], "relu": True}),
    "max-all": ("GlobalMaxPool", [(0.3, 7)], (0.3, 7), {"dtype": "int8"}),
    "mean": ("AveragePool", [(S, 100)], (S, 3), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "mean-padded": ("AveragePool", [(S, 100)], (S, 3), {"kernel_shape": [4, 4], "strides": [2, 2],
                    "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "mean-all": ("GlobalAveragePool", [(S, 127)], (S / 4, 120), {"shape": (1, 16, 4, 4)}),
    "add": ("Add", [(S, 100), (S, 7)], (2 * S, 33), {}),
    "add-scales": ("Add", [(S, 100), (4 * S, 7)], (8 * S, 33), {"relu": True}),
    "add-signed": ("Sum", [(S, -3), (S, 5)], (S, 0), {"dtype": "int8"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_the_alu_computes_is_what_onnxruntime_does(tmp_path, case):
    op, scales, out, options = CASES[case]
    path = tmp_path / "alu.onnx"
    data = qdq(path, op, scales, out, **options)
    assert [n.place for n in import_onnx(str(path)).network.nodes if n.name == "layer"] == [HOST]
    model = import_onnx(str(path), options=BOTH)
    assert not model.network.host
    (answer,) = solve(model.network).layers
    assert "the host hands over int32" in " ".join(answer.layer.remarks)
    assert (answer.layer.waste, answer.layer.macs) == (0, 0)
    layer = bind_alu(model, "layer")
    program = build(layer.workload, layer.hardware, answer.index)
    ours = layer.result(execute(program, layer.operands(*data)).output)
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    (right,) = session.run(["y"], {f"x{n}": value for n, value in enumerate(data)})
    assert ours.shape == right.shape
    unlike = ours != right
    if "max" in case or case == "add-signed":
        assert not unlike.any()
    # sums half way between two results: up on the ALU, to even in ONNX
    sums = exact(op, scales, out, data, options)
    halves = sums % 1 == 0.5
    assert not (unlike & ~halves).any()
    assert (ours[unlike].astype(int) - right[unlike] == 1).all()
    assert len(np.unique(right)) > 4
    assert (~halves).mean() > 0.3


def exact(op, scales, out, data, options):
    """The real results in units of the output's scale, nothing rounded: sums of windows by hand."""
    real = [(x.astype(float) - zero) * scale for x, (scale, zero) in zip(data, scales, strict=True)]
    if len(real) == 2:
        return (real[0] + real[1]) / out[0]
    kernel = real[0].shape[2:] if "Global" in op else tuple(options["kernel_shape"])
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    padded = np.pad(real[0], ((0, 0), (0, 0), (top, bottom), (left, right)))
    sh, sw = options.get("strides", (1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))[
        :, :, ::sh, ::sw
    ]
    return (windows.max if "Max" in op else windows.mean)(axis=(-2, -1)) / out[0]


@pytest.mark.parametrize(
    ("op", "scales", "out", "options", "reason"),
    [
        ("Add", [(S, 0), (3.5 * S, 0)], (S, 0), {}, "multiple of the other"),
        ("MaxPool", [(S, 0)], (2 * S, 0), {"kernel_shape": [2, 2]}, "another scale"),
        ("MaxPool", [(S, 0)], (S, 0), {"kernel_shape": [2, 2], "dilations": [2, 2]}, "gaps"),
        ("MaxPool", [(S, 0)], (S, 0), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
         "ceil_mode"),
        ("AveragePool", [(S, 0)], (S, 0), {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]},
         "leaves out the padding"),
        ("MaxPool", [(S, 0)], (S, 0), {"kernel_shape": [2], "shape": (1, 16, 8)}, "3 axes"),
        ("MaxPool", [(S, 0)], (S, 0), {"kernel_shape": [2, 9], "pads": [0, 8, 0, 8]}, "padd|ceil"),
    ],
)  # fmt: skip
def test_what_stays_on_the_host_says_why(tmp_path, op, scales, out, options, reason):
    qdq(tmp_path / "alu.onnx", op, scales, out, **options)
    model = import_onnx(str(tmp_path / "alu.onnx"), options=BOTH)
    (node,) = (n for n in model.network.nodes if n.name == "layer")
    if reason == "padd|ceil":  # wide padding is fine where the window is wider
        assert node.place == VTA
    else:
        assert (node.place, reason in node.why) == (HOST, True)


def test_a_float_model_has_pools_and_sums_on_the_alu(tmp_path):
    path = tmp_path / "float.onnx"
    float_cnn(path)
    words = ["best", str(path), "--shape", "x=1,3,8,8", "--alu", "add", "--alu", "pool"]
    result = CliRunner().invoke(main, [*words, "--format", "json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    ops = {x["layer"]: x["workload"]["op"] for x in data["layers"]}
    assert {ops["pool"], ops["residual"], ops["mean"]} == {"max_pool", "add", "avg_pool"}
    assert data["total"]["cycles"] == sum(x["total_cycles"] for x in data["layers"])
    for bad in (["--alu", "softmax"], ["--alu"]):
        refused = CliRunner().invoke(main, ["best", str(path), *bad])
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    with pytest.raises(NetworkError, match="alu has 'x', known are add, pool"):
        Options(alu=frozenset({"x"}))


def test_a_network_file_may_have_layers_of_the_alu_that_do_not_fill_blocks(tmp_path):
    work = {"op": "add", "channels": 20, "height": 4, "width": 4, "batch": 1}
    data = {"network": "n", "nodes": [{"name": "s", "op": "Add", "vta": work}]}
    (tmp_path / "n.json").write_text(json.dumps(data))
    (layer,) = load_network(str(tmp_path / "n.json")).layers
    assert (layer.workload.channels, layer.waste) == (32, 0)
    assert layer.remarks == ("channels 20 filled to 32",)
    result = CliRunner().invoke(main, ["best", str(tmp_path / "n.json"), "--format", "json"])
    assert json.loads(result.stdout)["total"]["cycles"] > 0
