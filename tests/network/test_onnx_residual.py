"""Quantised residuals on VTA: in a layer's epilogue, or as a sum of its own, bit for bit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import OPSET
from vtacsp import build
from vtacsp.errors import NetworkError
from vtacsp.functional.program_execution import execute
from vtacsp.network import FUSED, HOST, VTA, Options, solve
from vtacsp.network.onnx.alu_binding import bind_alu
from vtacsp.network.onnx.binding import bind
from vtacsp.network.onnx.importer import import_onnx

FUSE, ALU = Options(residual="fuse"), Options(alu=frozenset({"add"}))
S = 2.0**-4
SHAPE = (1, 20, 6, 6)


def model(path, form, scales, dtype="uint8", relu=False, shortcut=False):
    """A convolution, and a residual that is added to it: ``scales`` of data, result, residual, sum.

    Weights are even, the bias is odd and the residual even: with these scales no sum is half way
    between two results.  With ``shortcut`` the residual is a convolution of the same data.
    """
    kind, rng = getattr(TensorProto, dtype.upper()), np.random.default_rng(3)
    inits = {"sw": np.float32(2.0**-6), "zw": np.int8(0)}
    for name, (scale, zero) in zip("xart", scales, strict=True):
        inits |= {f"s{name}": np.float32(scale), f"z{name}": np.dtype(dtype).type(zero)}
    for n in range(1 + shortcut):
        inits[f"w{n}"] = rng.integers(-30, 30, (20, 20, 1, 1)).astype(np.int8) * 2
        inits[f"b{n}"] = rng.integers(-500, 500, 20).astype(np.int32) * 2 + 1
    nodes = []

    def add(op, inputs, out, name, **more):
        nodes.append(helper.make_node(op, inputs, [out], name=name, **more))

    def convolution(n, out, scale):
        if form == "QLinear":
            add("QLinearConv", ["x", "sx", "zx", f"w{n}", "sw", "zw", f"s{scale}", f"z{scale}",
                                f"b{n}"], out, f"conv{n}")  # fmt: skip
            return
        inits["sb"] = np.float32(scales[0][0] * 2.0**-6)
        add("DequantizeLinear", [f"w{n}", "sw", "zw"], f"wf{n}", f"dw{n}")
        add("DequantizeLinear", [f"b{n}", "sb"], f"bf{n}", f"db{n}")
        add("Conv", ["xf", f"wf{n}", f"bf{n}"], f"c{n}", f"conv{n}")
        add("QuantizeLinear", [f"c{n}", f"s{scale}", f"z{scale}"], out, f"q{n}")

    if form == "QDQ":
        add("DequantizeLinear", ["x", "sx", "zx"], "xf", "dx")
    convolution(0, "a", "a")
    if shortcut:
        convolution(1, "r", "r")
    if form == "QLinear":
        add("QLinearAdd", ["r", "sr", "zr", "a", "sa", "za", "st", "zt"], "y", "sum",
            domain="com.microsoft")  # fmt: skip
    else:
        add("DequantizeLinear", ["a", "sa", "za"], "af", "da")
        add("DequantizeLinear", ["r", "sr", "zr"], "rf", "dr")
        add("Add", ["af", "rf"], "tf", "sum")
        if relu:
            add("Relu", ["tf"], "relued", "relu")
        add("QuantizeLinear", ["relued" if relu else "tf", "st", "zt"], "y", "qt")
    inputs = [helper.make_tensor_value_info("x", kind, SHAPE)]
    if not shortcut:
        inputs.append(helper.make_tensor_value_info("r", kind, SHAPE))
    graph = helper.make_graph(
        nodes, "residual", inputs, [helper.make_tensor_value_info("y", kind, SHAPE)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in inits.items()],
    )  # fmt: skip
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=9), path)
    ends = np.iinfo(dtype)
    data = rng.integers(ends.min, ends.max + 1, SHAPE).astype(dtype)
    other = (rng.integers(ends.min, ends.max + 1, SHAPE) // 2 * 2).astype(dtype)
    return {"x": data} if shortcut else {"x": data, "r": other}


def runtime(path, feeds, tensors=("y",)):
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return session.run(list(tensors), feeds)


def best(imported):
    return {answer.layer.name: answer.index for answer in solve(imported.network).layers}


# (scale, zero) of data, result of the convolution, residual, sum
CASES = {
    "qdq": ("QDQ", [(S, 100), (S, 120), (S, 90), (S, 110)], {}),
    "qdq-relu": ("QDQ", [(S, 100), (S, 120), (S, 90), (S, 110)], {"relu": True}),
    "result-coarser": ("QDQ", [(S, 0), (2 * S, 120), (S, 90), (2 * S, 110)], {}),
    "residual-coarser": ("QDQ", [(S, 0), (S, 120), (8 * S, 90), (S, 110)], {}),
    "signed": ("QDQ", [(S, 3), (4 * S, -7), (S, 6), (S, -9)], {"dtype": "int8", "relu": True}),
    "qlinear": ("QLinear", [(S, 100), (2 * S, 120), (S, 90), (2 * S, 110)], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_residual_in_the_epilogue_is_bit_for_bit_that_of_onnxruntime(tmp_path, case):
    form, scales, options = CASES[case]
    path = tmp_path / "residual.onnx"
    feeds = model(path, form, scales, **options)
    imported = import_onnx(str(path), options=FUSE)
    places = {node.name: node for node in imported.network.nodes}
    assert not imported.network.host
    assert (places["conv0"].place, places["sum"].place, places["sum"].why) == (VTA, FUSED, "conv0")
    assert any("the host widens the residual" in remark for remark in places["conv0"].remarks)
    layer = bind(imported, "conv0")
    program = build(layer.workload, layer.hardware, best(imported)["conv0"])
    ours = layer.result(execute(program, layer.operands(feeds["x"], feeds["r"])).output)
    (right,) = runtime(path, feeds)
    assert (ours.dtype, ours.shape) == (right.dtype, right.shape)
    assert (ours == right).all()
    assert len(np.unique(right)) > 20


@pytest.mark.parametrize("case", ["qdq-relu", "qlinear"])
def test_a_sum_of_its_own_is_bit_for_bit_that_of_onnxruntime(tmp_path, case):
    form, scales, options = CASES[case]
    path = tmp_path / "residual.onnx"
    feeds = model(path, form, scales, **options)
    at_home = {n.name: (n.place, n.why) for n in import_onnx(str(path)).network.nodes}
    assert at_home["sum"][0] == HOST
    assert "--alu add" in at_home["sum"][1]
    imported = import_onnx(str(path), options=ALU)
    assert not imported.network.host
    plain, total = bind(imported, "conv0"), bind_alu(imported, "sum")
    index = best(imported)
    program = build(plain.workload, plain.hardware, index["conv0"])
    a = plain.result(execute(program, plain.operands(feeds["x"])).output)
    program = build(total.workload, total.hardware, index["sum"])
    both = (feeds["r"], a) if form == "QLinear" else (a, feeds["r"])
    ours = total.result(execute(program, total.operands(*both)).output)
    assert (ours == runtime(path, feeds)[0]).all()


def test_a_block_with_a_shortcut_runs_on_vta_as_a_whole(tmp_path):
    """The first convolution takes the sum, the other one is its residual."""
    path = tmp_path / "residual.onnx"
    feeds = model(path, "QDQ", [(S, 100), (S, 120), (S, 91), (S, 110)], shortcut=True, relu=True)
    imported = import_onnx(str(path), options=FUSE)
    assert Counter(node.place for node in imported.network.nodes)[VTA] == 2
    assert not imported.network.host
    index, found = best(imported), {}
    for name in ("conv1", "conv0"):
        layer = bind(imported, name)
        more = () if name == "conv1" else (found["conv1"],)
        program = build(layer.workload, layer.hardware, index[name])
        operands = layer.operands(feeds["x"], *more)
        found[name] = layer.result(execute(program, operands).output)
    (right,) = runtime(path, feeds)
    assert (found["conv0"] == right).all()
    with pytest.raises(NetworkError, match="conv1: its epilogue adds no residual"):
        bind(imported, "conv1").operands(feeds["x"], feeds["x"])


@pytest.mark.parametrize(
    ("scales", "reason"),
    [
        ([(S, 0), (S, 0), (3 * S, 0), (S, 0)], "0.0625, 0.1875 and 0.0625: no powers of two apart"),
        ([(S, 0), (S, 0), (S, 0), (1.5 * S, 0)], "no powers of two apart"),
        ([(S, 0), (S, 0), (S, 0), (S / 2, 0)], "the sum is finer than both"),
        ([(S, 0), (S, 0), (S * 2.0**20, 0), (S, 0)], "too far apart"),
    ],
)
@pytest.mark.parametrize("form", ["QDQ", "QLinear"])
def test_other_scales_stay_on_the_host_with_the_reason(tmp_path, form, scales, reason):
    path = tmp_path / "residual.onnx"
    model(path, form, scales)
    nodes = {node.name: node for node in import_onnx(str(path), options=FUSE).network.nodes}
    assert (nodes["sum"].place, nodes["conv0"].place) == (HOST, VTA)
    assert nodes["sum"].why.startswith("not fused: the scales of result, residual and sum are ")
    assert reason in nodes["sum"].why


def test_what_somebody_keeps_on_the_host_is_not_fused(tmp_path):
    path = tmp_path / "residual.onnx"
    model(path, "QDQ", CASES["qdq"][1])
    options = Options(residual="fuse", host=frozenset({"sum"}))
    nodes = {node.name: node for node in import_onnx(str(path), options=options).network.nodes}
    assert (nodes["sum"].place, nodes["sum"].why) == (HOST, "kept on the host (--host)")
