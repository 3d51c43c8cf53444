"""ONNX models become networks: every node has its place, what is malformed is one line."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.onnx_models import float_cnn, qdq_layer, save
from vtacsp import NetworkError, VTAConfig, find_workloads, suite, verdict
from vtacsp.cli import main
from vtacsp.network import CONSTANT, FUSED, HOST, VTA, Options, answers, load_network
from vtacsp.network.onnx.importer import import_onnx

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result


# -- the networks of the onnx package's own tests

# file -> nodes on VTA, fused, on the host, constants; distinct layers
PLACES = {
    "bvlc_alexnet": (7, 8, 9, 16, 7),
    "densenet121": (120, 232, 316, 1078, 66),
    "inception_v1": (57, 56, 30, 94, 47),
    "inception_v2": (69, 272, 30, 545, 38),
    "resnet50": (53, 84, 39, 239, 23),
    "shufflenet": (49, 64, 90, 243, 17),
    "squeezenet": (25, 25, 16, 39, 17),
    "vgg19": (18, 19, 9, 36, 11),
    "zfnet512": (7, 6, 9, 16, 6),
}


def light(name):
    return str(LIGHT / f"light_{name}.onnx")


def test_all_light_networks_are_known():
    assert {p.stem.removeprefix("light_") for p in LIGHT.glob("*.onnx")} == set(PLACES)


@pytest.mark.parametrize("name", PLACES)
def test_a_light_network_is_accounted_for_node_by_node(name):
    network = load_network(light(name))
    graph = onnx.load(light(name), load_external_data=False).graph
    assert [n.op for n in network.nodes] == [n.op_type for n in graph.node]
    counts = Counter(n.place for n in network.nodes)
    assert (*(counts[p] for p in (VTA, FUSED, HOST, CONSTANT)), len(network.layers)) == PLACES[name]
    # by itself: what is computed from weights alone
    known = {t.name for t in graph.initializer}
    for node, proto in zip(network.nodes, graph.node, strict=True):
        constant = set(proto.input) <= known
        known |= set(proto.output) if constant else set()
        assert (node.place == CONSTANT) is constant
        if proto.op_type in ("Conv", "Gemm"):
            assert node.place == VTA or "first layer: 3 input channels" in node.why
    for layer in network.layers:
        layer.workload.pack(VTAConfig())


def test_resnet50_has_the_layers_of_the_suite_but_for_where_it_strides():
    """Caffe2's has the stride on the 1x1 convolution of a block, the suite (v1.5) on the 3x3."""

    def shapes(workloads):
        return Counter({(w.in_channels, w.out_channels, w.kernel): 0 for w in workloads}) + Counter(
            {
                key: sum(
                    w.extra["count"]
                    for w in workloads
                    if (w.in_channels, w.out_channels, w.kernel) == key
                )
                for key in {(w.in_channels, w.out_channels, w.kernel) for w in workloads}
            }
        )

    found = find_workloads(light("resnet50"))
    ours = [w for w in found if w.op == "conv2d" and w.height > 1]  # the classifier is one too
    assert shapes(ours) == shapes(suite("resnet50"))
    names = {n.op: n.place for n in load_network(light("resnet50")).nodes}
    assert names["Sum"] == HOST


def test_what_is_behind_a_convolution_is_its_epilogue():
    network = load_network(light("resnet50"))
    chains = {layer.name: str(layer.workload.epilogue) for layer in network.layers}
    end = "add 512, shift right 10, clip -127..127, cast"
    assert chains["n4"] == f"add channel, max 0, {end}"  # normalisation, ReLU
    assert chains["n10"] == f"add channel, {end}"  # normalisation only: a sum follows
    squeezed = load_network(light("squeezenet"))
    assert {str(x.workload.epilogue) for x in squeezed.layers} == {f"add channel, max 0, {end}"}


@pytest.mark.parametrize("residual", ["host", "fuse"])
def test_the_best_program_of_an_imported_layer_computes_it(residual):
    """On random numbers: the smallest layer of each operator and epilogue."""
    options = Options(residual=residual, dense="dense")
    networks = [load_network(light(n), options=options) for n in ("shufflenet", "squeezenet")]
    kinds = {}
    for layer in sorted((x for n in networks for x in n.layers), key=lambda x: x.workload.macs):
        kinds.setdefault((layer.workload.op, str(layer.workload.epilogue)), layer)
    assert len(kinds) == (4 if residual == "host" else 5)
    for layer in kinds.values():
        (answer,) = answers([layer], VTAConfig())
        assert verdict(layer.workload, VTAConfig(), answer.index) == "ok"


def test_the_command_line_answers_a_model():
    data = json.loads(run("best", light("squeezenet"), "--jobs", 1, "--format", "json").stdout)
    assert {"layers", "total", "host"} <= set(data)
    assert sum(x["count"] for x in data["layers"]) == 25
    assert all({"layer", "count", "cycles"} <= set(x) for x in data["layers"])
    assert data["total"]["cycles"] == sum(x["count"] * x["cycles"] for x in data["layers"])
    assert Counter(x["op"] for x in data["host"])["MaxPool"] == 3
    assert "no scales" in data["remarks"][0]


# -- small graphs


def graph(nodes, inits, shape=(1, 16, 8, 8), out="y", x="x"):
    return helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in inits.items()],
    )  # fmt: skip


def weight(*shape):
    return np.ones(shape, np.float32)


def conv(name="c", data="x", out="y", w="w", **attributes):
    return helper.make_node("Conv", [data, w], [out], name=name, **attributes)


def placed(tmp_path, nodes, inits, options=None, opset=17, **more):
    path = tmp_path / "small.onnx"
    save(graph(nodes, inits, **more), path, opset)
    return import_onnx(str(path), options=options)


def place_of(imported):
    return {n.name: (n.place, n.why) for n in imported.network.nodes}


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21, onnx.defs.onnx_opset_version()])
def test_opsets(tmp_path, opset):
    """Clip's bounds and a Dropout's ratio became inputs in between."""
    bounds = {"min": 0.0, "max": 6.0} if opset < 11 else {}
    inputs = ["a"] if opset < 11 else ["a", "zero", "six"]
    nodes = [
        conv(out="a"),
        helper.make_node("Clip", inputs, ["b"], name="clip", **bounds),
        helper.make_node("Dropout", ["b"], ["y"], name="drop"),
    ]
    inits = {"w": weight(16, 16, 1, 1), "zero": np.float32(0), "six": np.float32(6)}
    imported = placed(tmp_path, nodes, inits, opset=opset)
    assert place_of(imported) == {"c": (VTA, ""), "clip": (FUSED, "c"), "drop": (FUSED, "c")}
    (layer,) = imported.network.layers
    assert "max 0" in str(layer.workload.epilogue)
    assert "clips at 6" in layer.remarks[0]


@pytest.mark.parametrize(
    ("attributes", "size", "padding", "on_host"),
    [
        ({"pads": [1, 1, 1, 1]}, (8, 8), (1, 1), False),
        ({"auto_pad": "SAME_UPPER"}, (8, 8), (1, 1), False),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (9, 9), (0, 0), True),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (9, 9), (0, 0), True),
        ({"auto_pad": "VALID"}, (8, 8), (0, 0), False),
        ({"pads": [0, 1, 0, 1]}, (8, 10), (0, 0), True),
        ({"pads": [1, 0, 1, 0]}, (8, 8), (1, 0), False),
        ({"pads": [0, 0, 1, 1]}, (9, 9), (0, 0), True),
    ],
)
def test_padding(tmp_path, attributes, size, padding, on_host):
    imported = placed(tmp_path, [conv(**attributes)], {"w": weight(16, 16, 3, 3)})
    (layer,) = imported.network.layers
    work = layer.workload
    assert ((work.height, work.width), work.padding) == (size, padding)
    assert any("the host pads" in note for note in layer.remarks) is on_host
    shape = imported.graph.shapes["y"]
    assert work.output_size == shape[2:]


def test_a_pad_before_a_convolution_becomes_its_padding(tmp_path):
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    nodes = [helper.make_node("Pad", ["x", "pads"], ["a"], name="pad"), conv(data="a")]
    imported = placed(tmp_path, nodes, {"w": weight(16, 16, 3, 3), "pads": pads})
    assert place_of(imported)["pad"] == (FUSED, "c")
    assert imported.network.layers[0].workload.padding == (1, 1)
    inits = {"w": weight(16, 16, 3, 3), "pads": pads, "one": np.float32(1)}
    nodes[0] = helper.make_node("Pad", ["x", "pads", "one"], ["a"], name="pad")
    assert place_of(placed(tmp_path, nodes, inits))["pad"][0] == HOST  # not with zeros


@pytest.mark.parametrize(
    ("node", "inits", "why"),
    [
        (conv(dilations=[2, 2]), {"w": weight(16, 16, 3, 3)}, "dilation (2, 2)"),
        (conv(data="x"), {"w": weight(16, 16, 9, 9)}, "larger than the padded input"),
        (conv(pads=[-1, 0, 0, 0]), {"w": weight(16, 16, 3, 3)}, "negative padding"),
        (conv(w="x"), {}, "computed at run time"),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="c", group=2),
         {"w": weight(16, 8, 4, 4)}, "of 2 groups"),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="c", output_padding=[1, 1],
                          strides=[2, 2]), {"w": weight(16, 16, 4, 4)}, "output_padding is (1, 1)"),
        (helper.make_node("MatMul", ["x", "x"], ["y"], name="c"), {}, "of two tensors"),
        (helper.make_node("MatMul", ["w", "x"], ["y"], name="c"), {"w": weight(8, 8)},
         "first operand is constant"),
        (helper.make_node("HardSwish", ["x"], ["y"], name="c"), {}, "VTA's ALU has"),
        (helper.make_node("NonZero", ["x"], ["y"], name="c"), {}, "no operator that VTA computes"),
    ],
)  # fmt: skip
def test_what_vta_does_not_compute_is_on_the_host_with_the_reason(tmp_path, node, inits, why):
    shape = (16, 16, 8, 8) if node.op_type == "Conv" and "x" in node.input[1] else (1, 16, 8, 8)
    place, reason = place_of(placed(tmp_path, [node], inits, shape=shape))["c"]
    assert place == HOST
    assert why in reason


def test_first_layers_and_nodes_on_the_host(tmp_path):
    nodes = [
        conv(out="a"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        conv("d", "b", "e", "v"),
        helper.make_node("Relu", ["e"], ["y"], name="relu2"),
    ]
    inits = {"w": weight(16, 3, 1, 1), "v": weight(16, 16, 1, 1)}
    shape = (1, 3, 8, 8)
    found = place_of(placed(tmp_path, nodes, inits, shape=shape))
    assert found["c"][0] == found["relu"][0] == HOST
    assert "first layer: 3 input channels" in found["c"][1]
    padded = placed(tmp_path, nodes, inits, Options(first_layer="pad"), shape=shape)
    assert place_of(padded)["c"] == (VTA, "")
    (layer,) = padded.network.layers  # both are 16 channels wide now
    assert layer.waste == 1 - (3 + 16) / 32
    assert "in_channels 3 filled to 16" in padded.network.layers[0].remarks
    kept = Options(host=frozenset({"relu2"}))
    assert place_of(placed(tmp_path, nodes, inits, kept, shape=shape))["relu2"] == (
        HOST, "kept on the host (--host)",
    )  # fmt: skip
    kept = Options(host=frozenset({"d"}))
    found = place_of(placed(tmp_path, nodes, inits, kept, shape=shape))
    assert (found["d"][0], found["relu2"][0]) == (HOST, HOST)
    with pytest.raises(NetworkError, match="--host 'dd': the network has no such node"):
        placed(tmp_path, nodes, inits, Options(host=frozenset({"dd"})), shape=shape)


def test_a_residual_is_fused_when_asked_for(tmp_path):
    nodes = [
        conv(out="a"),
        conv("shortcut", "x", "s", "v"),
        helper.make_node("Add", ["a", "s"], ["b"], name="sum"),
        helper.make_node("Relu", ["b"], ["y"], name="relu"),
    ]
    inits = {"w": weight(16, 16, 1, 1), "v": weight(16, 16, 1, 1)}
    found = place_of(placed(tmp_path, nodes, inits))
    assert (found["sum"][0], found["relu"][0]) == (HOST, HOST)
    imported = placed(tmp_path, nodes, inits, Options(residual="fuse"))
    assert [n.why for n in imported.network.nodes] == ["", "", "c", "c"]
    chains = {n.name: str(n.workload.epilogue) for n in imported.network.nodes if n.workload}
    end = "add 512, shift right 10, clip -127..127, cast"
    assert chains == {"c": f"add tensor, max 0, {end}", "shortcut": end}
    with pytest.raises(NetworkError, match="residual is 'x', known are host, fuse"):
        Options(residual="x")
    fused = load_network(light("resnet50"), options=Options(residual="fuse"))
    assert Counter(n.place for n in fused.nodes if n.op == "Sum") == {FUSED: 16}


def test_what_somebody_else_reads_is_not_fused(tmp_path):
    nodes = [
        conv(out="a"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Add", ["a", "b"], ["y"], name="sum"),
    ]
    found = place_of(placed(tmp_path, nodes, {"w": weight(16, 16, 1, 1)}))
    assert (found["c"][0], found["relu"][0], found["sum"][0]) == (VTA, HOST, HOST)


def test_shapes_that_a_model_computes_are_constants(tmp_path):
    """As exporters write x.view(x.shape[0], -1): a matrix product behind it still has sizes."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], name="shape"),
        helper.make_node("Gather", ["s", "zero"], ["n"], name="gather"),
        helper.make_node("Concat", ["n", "minus"], ["t"], name="concat", axis=0),
        helper.make_node("Reshape", ["x", "t"], ["r"], name="reshape"),
        helper.make_node("MatMul", ["r", "w"], ["m"], name="c"),
        helper.make_node("Add", ["m", "b"], ["y"], name="bias"),
    ]
    inits = {"zero": np.array([0], np.int64), "minus": np.array([-1], np.int64),
             "w": weight(1024, 10), "b": weight(10)}  # fmt: skip
    imported = placed(tmp_path, nodes, inits)
    found = place_of(imported)
    assert [found[n][0] for n in ("shape", "gather", "concat", "reshape", "c", "bias")] == [
        CONSTANT, CONSTANT, CONSTANT, HOST, VTA, FUSED,
    ]  # fmt: skip
    work = imported.network.layers[0].workload
    assert (work.in_features, work.out_features) == (1024, 16)
    assert str(work.epilogue).startswith("add channel")


def test_functions_and_nodes_without_names(tmp_path):
    """As today's exporters write them: operators inside of functions of the model."""
    body = helper.make_function(
        "local", "Block", ["a", "k"], ["z"],
        [helper.make_node("Conv", ["a", "k"], ["q"]), helper.make_node("Relu", ["q"], ["z"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    nodes = [helper.make_node("Block", ["x", "w"], ["y"], domain="local")]
    model = helper.make_model(
        graph(nodes, {"w": weight(16, 16, 1, 1)}), functions=[body], ir_version=9,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("local", 1)],
    )  # fmt: skip
    path = tmp_path / "f.onnx"
    onnx.save(model, path)
    network = load_network(str(path))
    assert [n.place for n in network.nodes] == [VTA, FUSED]
    assert len({n.name for n in network.nodes}) == 2


def test_dynamic_axes_are_fixed_by_name(tmp_path):
    path = tmp_path / "small.onnx"
    float_cnn(path)
    message = "the input 'x' is N x 3 x 8 x 8: fix it with --shape x=1,3,8,8"
    assert message in run("network", path, code=2).stderr
    for words, wrong in {
        "x=1,3,8": "3 sizes, the input has 4",
        "x=1,4,8,8": "size 1 is 4, the model has it fixed to 3",
        "z=1,3,8,8": "no input of the model, it has 'x'",
        "x": "is not NAME=SIZES",
        "x=1,3,8,0": "sizes are at least 1",
    }.items():
        assert wrong in run("network", path, "--shape", words, code=2).stderr
    rows = json.loads(run("network", path, "--shape", "x=2,3,8,8", "--format", "json").stdout)
    assert [r["place"] for r in rows if r["op"] == "Conv"] == [HOST, VTA, VTA, VTA, VTA]
    options = Options(dense="dense", shapes={"x": (4, 3, 8, 8)})
    batched = VTAConfig().replace(LOG_BATCH=1)
    assert {x.workload.batch for x in load_network(str(path), batched, options).layers} == {4}


def test_external_data_are_not_needed_but_have_to_be_there(tmp_path):
    path = tmp_path / "external.onnx"
    whole = graph([conv()], {"w": weight(16, 16, 1, 1)})
    save(whole, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert len(load_network(str(path)).layers) == 1
    data = tmp_path / "weights.bin"
    data.write_bytes(data.read_bytes()[:100])
    assert "'weights.bin', are cut off: 1,024 bytes" in run("best", path, code=2).stderr
    data.unlink()
    assert "'weights.bin', are not there" in run("best", path, code=2).stderr


@pytest.mark.parametrize("command", ["report", "best", "tune", "network", "enumerate"])
def test_a_malformed_model_is_one_line_and_writes_nothing(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for name, (make, message) in MALFORMED.items():
        path = tmp_path / f"{name}.onnx"
        make(path)
        before = sorted(os.listdir(tmp_path))
        result = run(command, path.name, code=2)
        assert message in result.stderr, (name, result.stderr)
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert len(result.stderr) < 500
        assert sorted(os.listdir(tmp_path)) == before
    for path in ("/dev/zero", "absent.onnx"):
        assert run(command, path, code=2).stderr.count("\n") == 1


def saved(nodes, inits=None, opset=17, **more):
    return lambda path: save(
        graph(nodes, inits or {"w": weight(16, 16, 1, 1)}, **more), path, opset
    )


def cut(path):
    saved([conv()])(path)
    path.write_bytes(path.read_bytes()[:-5])


def negative_weight(path):
    saved([conv()])(path)
    model = onnx.load(path)
    model.graph.initializer[0].dims[0] = -16
    path.write_bytes(model.SerializeToString())


def huge(path):
    with path.open("wb") as file:
        file.truncate(5 << 30)


INNER = helper.make_graph(
    [helper.make_node("Identity", ["x"], ["o"])], "b", [],
    [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
)  # fmt: skip
CONTROL = helper.make_node("If", ["w"], ["y"], name="c", then_branch=INNER, else_branch=INNER)
RELU = helper.make_node("Relu", ["x"], ["y"], name="r")
MALFORMED = {
    "empty": (lambda path: path.touch(), "the file is empty"),
    "text": (lambda path: path.write_text("no model"), "is no ONNX model"),
    "zeros": (lambda path: path.write_bytes(bytes(100)), "is no ONNX model"),
    "cut": (cut, "is no ONNX model, or is cut off"),
    "huge": (huge, "more than 2,147,483,647 bytes"),
    "folder": (lambda path: path.mkdir(), "it is a folder"),
    "no-nodes": (saved([]), "the model has no nodes"),
    "unknown": (saved([helper.make_node("Foo", ["x"], ["y"], name="c")]), "c is 'Foo', no oper"),
    "control": (saved([CONTROL], {"w": np.array(True)}), "c is If: control flow is not"),
    "cycle": (saved([helper.make_node("Add", ["x", "b"], ["a"], name="one"),
                     helper.make_node("Relu", ["a"], ["b"], name="two"), RELU]),
              "one reads 'b', and two computes it later: a cycle"),
    "undefined": (saved([helper.make_node("Relu", ["z"], ["y"], name="r")]), "nothing computes"),
    "twice": (saved([RELU, helper.make_node("Relu", ["x"], ["y"])]), "computed twice"),
    "negative": (saved([conv()], shape=(1, 16, -8, 8)), "has a size of -8"),
    "negative-weight": (negative_weight, "has a size of -16"),
    "enormous": (saved([conv()], shape=(1, 16, 2**40, 8)), "has a size of 1099511627776"),
    "channels": (saved([conv(w="v")], {"v": weight(16, 8, 1, 1)}), "for 8 input channels, the da"),
    "kernel": (saved([conv(kernel_shape=[3, 3])]), "kernel_shape is (3, 3), its weights have"),
    "strides": (saved([conv(strides=[0, 1])]), "strides are (0, 1), must be at least 1"),
    "attribute": (saved([conv(strides="x")]), "strides is b'x', not integers"),
    "opset": (saved([conv()], opset=999), "opset 999, the installed onnx reads 7 to"),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_model_is_read_or_refused_in_one_line(tmp_path, seed):
    """Bytes and fields changed at random: a network, or one line; nothing else."""
    rng = random.Random(seed)
    path = tmp_path / "m.onnx"
    if seed % 2:
        float_cnn(path, batch=1)
    else:
        qdq_layer(path, "Conv", (1, 16, 6, 6), (16, 16, 3, 3), pads=[1, 1, 1, 1])
    whole = path.read_bytes()
    outcomes, said = Counter(), []
    for _ in range(60):
        path.write_bytes(damaged(whole, rng))
        try:
            imported = import_onnx(str(path), options=Options(first_layer="pad"))
            assert imported.network.nodes
            outcomes["read"] += 1
        except NetworkError as error:
            said.append(str(error))
            outcomes["refused"] += 1
    assert not [text for text in said if "\n" in text or len(text) > 480]
    assert min(outcomes["read"], outcomes["refused"]) > 5


def damaged(whole, rng):
    if rng.random() < 0.3:
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 9))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    model = onnx.ModelProto.FromString(whole)
    node, tensor = rng.choice(model.graph.node), rng.choice(model.graph.initializer)
    names = ["", "x", *(n.output[0] for n in model.graph.node)]
    what = rng.randrange(6)
    if what == 0:
        node.input[rng.randrange(len(node.input))] = rng.choice(names)
    elif what == 1:
        node.op_type = rng.choice(("MatMul", "Pad", "Clip", "QLinearConv", "Sum", "ConvTranspose"))
    elif what == 2 and node.attribute:
        number = rng.choice((0, -1, 2, 7, 2**31, 2**62))
        field = rng.choice(node.attribute)
        field.ints[:] = [number for _ in field.ints]
        field.i = number
    elif what == 3 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((0, 1, 3, 2**31 - 1))
    elif what == 4:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    else:
        tensor.data_type = rng.randrange(24)
    return model.SerializeToString()


def test_a_model_of_which_nothing_runs_on_vta(tmp_path):
    path = tmp_path / "m.onnx"
    saved([RELU])(path)
    for command in ("best", "report", "tune", "enumerate"):
        assert "no node runs on VTA" in run(command, path, code=2).stderr
    assert "Relu" in run("network", path).stdout


def test_without_the_package_the_extra_is_named(tmp_path):
    saved([conv()])(tmp_path / "m.onnx")
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from vtacsp.cli import main\n"
        "import vtacsp.network\n"
        "main(['best', 'm.onnx'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "pip install 'vtacsp[onnx]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_importing_the_core_does_not_import_onnx():
    code = "import vtacsp.cli, vtacsp.network.load, sys; assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_network_that_was_imported_is_the_same_from_its_file(tmp_path):
    source = light("squeezenet")
    target = tmp_path / "network.json"
    run("network", source, "--write", target)
    one, other = load_network(source), load_network(str(target))
    assert one.layers == other.layers
    assert one.to_dict() == other.to_dict()
