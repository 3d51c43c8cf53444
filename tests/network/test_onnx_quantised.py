"""Quantised ONNX models: what VTA computes is what the model says, bit for bit where it can be.

A layer is imported, solved, built with its best configuration and run in the functional simulator
on the numbers of the model.  The witnesses are a plain integer convolution written here and
onnxruntime.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from tests.support.onnx_models import float_cnn, power_of_two, qdq_layer, quantise, sample
from vtacsp import VTAConfig, build
from vtacsp.functional.program_execution import execute
from vtacsp.network import Options, answers, solve
from vtacsp.network.onnx.binding import bind
from vtacsp.network.onnx.importer import import_onnx
from vtacsp.network.value import CONSTANT, FUSED, HOST, VTA
from vtacsp.tune.task import Task

PAD = Options(first_layer="pad", shapes={"x": (1, 3, 8, 8)})
LAYERS = ["stem", "wide", "depthwise", "narrow", "strided", "fc"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The forms of one small CNN: quantised, with scales that are powers of two, with halves."""
    folder = tmp_path_factory.mktemp("models")
    float_cnn(folder / "float.onnx")
    for name, options in {
        "unsigned": {},
        "signed": {"signed": True, "per_channel": True},
        "qoperator": {"form": "QOperator"},
    }.items():
        quantise(folder / "float.onnx", folder / f"{name}.onnx", **options)
    power_of_two(folder / "unsigned.onnx", folder / "powers.onnx")
    power_of_two(folder / "unsigned.onnx", folder / "halves.onnx", ties=True)
    return folder


@pytest.fixture(scope="module")
def imported(models):
    found = {}

    def get(name):
        if name not in found:
            model = import_onnx(str(models / f"{name}.onnx"), options=PAD)
            answer = solve(model.network)
            best = {x.layer.name: x.index for x in answer.layers}
            found[name] = model, {n: best[layer.name] for layer in model.network.layers
                                  for n in layer.nodes}  # fmt: skip
        return found[name]

    return get


def on_vta(model, best, node, data):
    """The node's output (in the model's type) by its best program in the functional simulator."""
    layer = bind(model, node)
    program = build(layer.workload, layer.hardware, best[node])
    return layer.result(execute(program, layer.operands(data)).output)


def runtime(path, tensors):
    """Values of inner tensors by onnxruntime, for a random input."""
    model = onnx.load(path)
    known = {o.name for o in model.graph.output}
    for name in tensors:
        if name not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = sample(np.random.default_rng(7))
    return dict(zip(tensors, session.run(list(tensors), {"x": x}), strict=True)) | {"x": x}


# -- the independent reference, on the integers of the model


def integer_sums(model, node, data):
    """Sums of a node, (data - zero) * weights + bias, its factor and its zero, from the file."""
    graph = model.graph
    op = next(op for op in graph.ops if op.name == node)
    if op.type.startswith("Q"):
        names = op.inputs
        x_scale, x_zero, weight, w_scale, w_zero = (graph.value(n) for n in names[1:6])
        places = (8, 6, 7) if op.type == "QLinearConv" else (6, 7, 8)
        bias, y_scale, y_zero = (graph.value(names[place]) for place in places)
        turned = op.attributes.get("transB")
    else:
        behind = {o.outputs[0]: o for o in graph.ops}
        x, w, b = (behind[name] for name in op.inputs)
        x_scale, x_zero, w_scale, w_zero = (graph.value(n) for n in (*x.inputs[1:], *w.inputs[1:]))
        weight, bias = graph.value(w.inputs[0]), graph.value(b.inputs[0])
        end = op.outputs[0]
        while (last := graph.consumers[end][0]).type != "QuantizeLinear":
            end = last.outputs[0]
        y_scale, y_zero = graph.value(last.inputs[1]), graph.value(last.inputs[2])
        turned = op.attributes.get("transB")
    x = data.astype(np.int64) - int(x_zero)
    w = weight.astype(np.int64) - w_zero.astype(np.int64).reshape(-1)[0]
    if x.ndim == 2:
        sums = x @ (w.T if turned else w) + bias.astype(np.int64)
    else:
        sums = convolution(x, w, op.attributes) + bias.astype(np.int64).reshape(1, -1, 1, 1)
    factor = x_scale.astype(np.float64) * w_scale.astype(np.float64) / float(y_scale)
    return sums, np.atleast_1d(factor), y_zero


def convolution(x, w, attributes):
    """Zeros around, then every output is a sum over its window: nothing of the library."""
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    sh, sw = attributes.get("strides", (1, 1))
    groups = attributes.get("group", 1)
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    co, ci, kh, kw = w.shape
    oh, ow = (x.shape[2] - kh) // sh + 1, (x.shape[3] - kw) // sw + 1
    y = np.zeros((x.shape[0], co, oh, ow), dtype=np.int64)
    for channel in range(co):
        first = channel // (co // groups) * ci
        for i in range(oh):
            for j in range(ow):
                part = x[:, first : first + ci, i * sh : i * sh + kh, j * sw : j * sw + kw]
                y[:, channel, i, j] = (part * w[channel]).sum(axis=(1, 2, 3))
    return y


def rounded(sums, shift, zero, how):
    """``sums / 2**shift`` to an integer, halves up or to even, plus the zero point, saturated."""
    if how == "up":
        values = (sums + (1 << shift >> 1)) >> shift
    else:
        values = np.rint(sums / 2.0**shift).astype(np.int64)
    ends = np.iinfo(zero.dtype)
    return np.clip(values + int(zero), ends.min, ends.max).astype(zero.dtype)


def clipped(values, model, node):
    """What the activation of the fused chain leaves, in the model's type."""
    low, high = model.placed[node].layer.requantisation.low, None
    offset = 128 if values.dtype == np.uint8 else 0
    high = model.placed[node].layer.requantisation.high
    return np.clip(values, low + offset, high + offset)


@pytest.mark.parametrize("name", ["powers", "signed"])
def test_a_folded_first_layer_is_bit_for_bit_that_of_the_model(models, name):
    """Pixels and taps of 3 channels in one block; data with a zero point are padded with it."""
    path = models / f"{name}.onnx"
    model = import_onnx(str(path), options=Options(first_layer="fold", shapes=PAD.shapes))
    node = model.network.layers[0]
    assert model.placed[node.name].embedding.kind == "fold"
    assert node.workload.macs < 16 * 16 * 9 * 64 / 2  # channels filled: 9 taps of 16
    notes = " ".join(node.remarks)
    assert "kernel rows in the channels" in notes
    assert "the host writes" in notes
    assert "of its products are not the layer's" in notes
    (answer,) = answers([node], VTAConfig())
    source, target = input_of(model, node.name), output_of(model, node.name)
    values = runtime(path, [source, target])
    ours = on_vta(model, {node.name: answer.index}, node.name, values[source])
    sums, _, zero = integer_sums(model, node.name, values[source])
    shift = model.placed[node.name].layer.requantisation.shift
    exact = clipped(rounded(sums, shift, zero, "up"), model, node.name)
    np.testing.assert_array_equal(ours, exact)
    if name == "powers":
        np.testing.assert_array_equal(ours, values[target])
    assert len(np.unique(ours)) > 4


@pytest.mark.parametrize("dense", ["conv", "dense", "fastest"])
@pytest.mark.parametrize("kind", ["gemm-turned", "matmul"])
def test_a_dense_layer_is_the_same_as_a_convolution(tmp_path, kind, dense):
    op, shape, weight, options = KINDS[kind]
    path = tmp_path / "layer.onnx"
    data = qdq_layer(path, op, shape, weight, **options)
    model = import_onnx(str(path), options=Options(dense=dense))
    (answer,) = solve(model.network).layers
    work = answer.layer.workload
    assert work.op == ("dense" if dense == "dense" else "conv2d")
    assert Task.of(work, VTAConfig()).name == f"{work.op}_packed.vta"
    assert any("1x1 convolution" in note for note in model.network.remarks) is (dense != "dense")
    assert answer.layer.macs == np.prod(shape[:-1]) * 48 * 10 if kind == "matmul" else True
    ours = on_vta(model, {"layer": answer.index}, "layer", data)
    same = import_onnx(str(path), options=Options(dense="dense"))
    (other,) = solve(same.network).layers
    assert (answer.cycles < other.cycles) is (dense != "dense")
    np.testing.assert_array_equal(
        ours, on_vta(same, {"layer": other.index}, "layer", data).reshape(ours.shape)
    )
    assert len(np.unique(ours)) > 8


def input_of(model, node):
    return model.placed[node].layer.data


def output_of(model, node):
    ops = model.placed[node].fused
    op = next(op for op in model.graph.ops if op.name == node)
    return ops[-1].outputs[0] if ops else op.outputs[0]


@pytest.mark.parametrize("name", ["unsigned", "signed", "qoperator", "powers", "halves"])
def test_every_layer_is_placed_and_every_node_is_accounted_for(models, imported, name):
    model, _ = imported(name)
    nodes = model.network.nodes
    assert len(nodes) == len(onnx.load(models / f"{name}.onnx").graph.node)
    assert [n.name.removesuffix("_quant") for n in nodes if n.place == VTA] == LAYERS
    assert all(n.why for n in nodes if n.place in (HOST, FUSED))
    assert all("Dequantize" in n.op for n in nodes if n.place == CONSTANT)
    exact = [model.placed[n.name].layer.requantisation.exact for n in nodes if n.place == VTA]
    assert all(exact) is (name in ("powers", "halves"))
    noted = ["approximated" in " ".join(n.remarks) for n in nodes if n.place == VTA]
    assert noted == [not e for e in exact]


def test_layers_are_bit_for_bit_those_of_onnxruntime(models, imported):
    """Powers of two, no sum half way between two results: nothing is left to differ."""
    model, best = imported("powers")
    tensors = {t for n in LAYERS for t in (input_of(model, n), output_of(model, n))}
    values = runtime(models / "powers.onnx", sorted(tensors))
    for node in LAYERS:
        ours = on_vta(model, best, node, values[input_of(model, node)])
        right = values[output_of(model, node)]
        np.testing.assert_array_equal(ours.reshape(right.shape), right)
        assert len(np.unique(right)) > 4  # something was compared


def test_halves_are_all_that_differs_with_powers_of_two(models, imported):
    """onnxruntime rounds halves to even, the ALU up: the only results that differ, by one."""
    model, best = imported("halves")
    tensors = {t for n in LAYERS for t in (input_of(model, n), output_of(model, n))}
    values = runtime(models / "halves.onnx", sorted(tensors))
    differing = 0
    for node in LAYERS:
        data, right = values[input_of(model, node)], values[output_of(model, node)]
        sums, factor, zero = integer_sums(model, node, data)
        shift = round(-np.log2(factor[0]))
        ours = on_vta(model, best, node, data).reshape(sums.shape)
        np.testing.assert_array_equal(ours, clipped(rounded(sums, shift, zero, "up"), model, node))
        np.testing.assert_array_equal(
            right, clipped(rounded(sums, shift, zero, "even"), model, node)
        )
        unlike = ours != right
        assert (sums[unlike] % (1 << shift) == 1 << shift >> 1).all()
        assert (ours[unlike].astype(int) - right[unlike] == 1).all()
        differing += int(unlike.sum())
    assert differing > 0


@pytest.mark.parametrize("name", ["unsigned", "signed", "qoperator"])
def test_other_scales_differ_by_what_the_note_says(models, imported, name):
    """The program computes the sums exactly and multiplies by the power of two that it says."""
    model, best = imported(name)
    nodes = [n.name for n in model.network.nodes if n.place == VTA]
    tensors = {t for n in nodes for t in (input_of(model, n), output_of(model, n))}
    values = runtime(models / f"{name}.onnx", sorted(tensors))
    for node in nodes:
        data, right = values[input_of(model, node)], values[output_of(model, node)]
        sums, factors, zero = integer_sums(model, node, data)
        requantisation = model.placed[node].layer.requantisation
        np.testing.assert_allclose(requantisation.factors, factors, rtol=1e-6)
        ours = on_vta(model, best, node, data).reshape(sums.shape)
        plain = rounded(sums, requantisation.shift, zero, "up")
        np.testing.assert_array_equal(ours, clipped(plain, model, node))
        # and how far that is from the model: not more than the factor is off, and a half
        off = abs(2.0**-requantisation.shift - requantisation.factors)
        off = off.reshape((1, -1) + (1,) * (sums.ndim - 2))
        distance = abs(ours.astype(int) - right.astype(int))
        assert (distance <= np.abs(sums) * off + 1.01).all()


def test_a_whole_network_runs_on_vta_and_equals_onnxruntime(models, imported):
    """Layer by layer in the functional simulator, the host's operators by numpy."""
    model, best = imported("powers")
    right = runtime(models / "powers.onnx", ["y"])
    tensors = {"x": right["x"]}
    done = 0
    for node, op in zip(model.network.nodes, model.graph.ops, strict=True):
        if node.place == VTA:
            result = on_vta(model, best, node.name, tensors[input_of(model, node.name)])
            tensors[output_of(model, node.name)] = result
            done += 1
        elif node.place == HOST:
            tensors[op.outputs[0]] = on_host(model, op, tensors)
    assert done == len(LAYERS)
    np.testing.assert_array_equal(tensors["y"].reshape(right["y"].shape), right["y"])
    assert len(np.unique(right["y"])) > 4


def on_host(model, op, tensors):
    """One operator of the host, by the reference that the onnx package has in numpy."""
    feeds = {n: tensors[n] if n in tensors else model.graph.value(n) for n in op.inputs if n}
    (result,) = ReferenceEvaluator(op.proto).run(None, feeds)
    return result


PADDED = {"pads": [1, 1, 1, 1]}
KINDS = {
    "grouped": ("Conv", (1, 32, 6, 6), (32, 8, 3, 3), {"group": 4, **PADDED}),
    "depthwise": ("Conv", (1, 32, 6, 6), (32, 1, 3, 3), {"group": 32, **PADDED}),
    "multiplier": ("Conv", (1, 16, 6, 6), (32, 1, 3, 3), {"group": 16, "shift": 7}),
    "odd-channels": ("Conv", (2, 20, 5, 7), (9, 20, 3, 1), {"pads": [1, 0, 1, 0]}),
    "zero-point": ("Conv", (1, 16, 6, 6), (16, 16, 3, 3), {"zero": 131, "shift": 9, **PADDED}),
    "signed": ("Conv", (1, 16, 6, 6), (16, 16, 3, 3), {"dtype": "int8", "zero": -5, **PADDED}),
    "symmetric": ("Conv", (1, 16, 6, 6), (16, 16, 3, 3), {"dtype": "int8", "zero": 0, **PADDED}),
    "clip": ("Conv", (1, 16, 6, 6), (16, 16, 1, 1), {"zero": 9, "clip": (-1.25, 2.0)}),
    "transposed": ("ConvTranspose", (1, 16, 4, 4), (16, 20, 4, 4),
                   {"dtype": "int8", "zero": 0, "strides": [2, 2], "shift": 9, **PADDED}),
    "transposed-zero": ("ConvTranspose", (1, 16, 4, 4), (16, 16, 2, 2), {"zero": 128}),
    "gemm": ("Gemm", (3, 40), (40, 24), {"zero": 7}),
    "gemm-turned": ("Gemm", (3, 40), (24, 40), {"zero": 7, "transB": 1}),
    "matmul": ("MatMul", (2, 5, 48), (48, 10), {"zero": 200}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_every_kind_is_bit_for_bit_that_of_onnxruntime(tmp_path, kind):
    op, shape, weight, options = KINDS[kind]
    path = tmp_path / "layer.onnx"
    data = qdq_layer(path, op, shape, weight, **options)
    model = import_onnx(str(path))
    assert [n.name for n in model.network.nodes if n.place == VTA] == ["layer"]
    assert not [n for n in model.network.nodes if n.place == HOST]
    (answer,) = solve(model.network).layers
    session_options = onnxruntime.SessionOptions()
    session_options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, session_options)
    (right,) = session.run(["y"], {"x": data})
    ours = on_vta(model, {"layer": answer.index}, "layer", data)
    if op == "MatMul":  # without a bias half way is possible, and rounded to even there
        even = np.abs(ours.reshape(right.shape).astype(int) - right) > 0
        assert even.mean() < 0.05
        assert (ours.reshape(right.shape)[even].astype(int) - right[even] == 1).all()
    else:
        np.testing.assert_array_equal(ours.reshape(right.shape), right)
    assert len(np.unique(right)) > 8
