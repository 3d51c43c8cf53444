"""Relay's tasks: what a real AutoTVM extracts from packed networks is what vtacsp says of them.

The package ``vta`` is in no package of TVM: a stand-in of ours (``stand_in/vta``) packs the graph
and registers the tasks' names.  Quantisation, fusion, extraction and compilation are TVM's.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tvm
from tvm import autotvm, relay
from tvm.autotvm.task.task import TASK_TABLE
from tvm.contrib import graph_executor
from tvm.target import Target

import vtacsp
from tests.support.resnet import resnet
from tests.support.snippets import ROOT, snippets
from vtacsp import NetworkError, VTAConfig
from vtacsp.autotvm import create_task, network_of
from vtacsp.epilogue.steps import Arithmetic, Shift
from vtacsp.network import LayerSearch, Options, load_network, tune_network
from vtacsp.tune import Task, write_records

HERE = Path(__file__).parent
CONVOLUTIONS = ("nn.conv2d", "nn.conv2d_transpose")
SUITE = vtacsp.suite("resnet18")


@pytest.fixture(scope="module", autouse=True)
def vta():
    """The stand-in; what it registers for tasks is gone afterwards."""
    before = dict(TASK_TABLE)
    for name in [name for name in TASK_TABLE if name.endswith("_packed.vta")]:
        del TASK_TABLE[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE / "stand_in"))
        patch.setenv("TOPHUB_LOCATION", "NONE")  # nothing is downloaded
        yield importlib.import_module("vta")
    for name in ("vta", "vta.top", "vta.packing"):
        sys.modules.pop(name)
    TASK_TABLE.clear()
    TASK_TABLE.update(before)


def extract(vta, packed):
    """As in VTA's tutorial: the tasks of the packed convolutions."""
    env = vta.get_env()
    tasks = autotvm.task.extract_from_program(
        tvm.IRModule.from_expr(packed),
        params={},
        target=Target(env.target, host=env.target_host),
        ops=tuple(relay.op.get(name) for name in CONVOLUTIONS),
    )
    return [task for task in tasks if len(task.args[0][1]) > 4]


def called(packed):
    """Shapes, strides and sides of each packed convolution of a program, and how many there are."""
    found = Counter()

    def visit(expression):
        if isinstance(expression, relay.Call) and expression.op.name == "nn.conv2d":
            data, kernel = (tuple(map(int, x.checked_type.shape)) for x in expression.args)
            attrs = expression.attrs
            if len(data) == 6:
                found[data, kernel, tuple(attrs.strides), tuple(attrs.padding)] += 1

    relay.analysis.post_order_visit(packed, visit)
    return found


def said(workloads):
    """The same of vtacsp's layers and counts."""
    found = Counter()
    for workload in workloads:
        data, kernel, strides, padding, *_ = Task.of(workload, VTAConfig()).args
        found[data[1], kernel[1], strides, padding] += workload.extra["count"]
    return found


def names_and_arguments(workloads):
    tasks = [Task.of(workload, VTAConfig()) for workload in workloads]
    return {(task.name, task.args) for task in tasks}


# -- relay.testing's ResNet-18


@pytest.fixture(scope="module")
def testing(vta):
    """Packed program and tasks; a ResNet of version 2: its first stage has a 1x1 layer, too."""
    from tvm.relay.testing.resnet import get_workload

    mod, params = get_workload(num_layers=18, batch_size=1, image_shape=(3, 224, 224))
    quantiser = relay.quantize.qconfig(global_scale=8.0, skip_conv_layers=[0])
    with tvm.transform.PassContext(opt_level=3), quantiser:
        mod = relay.quantize.quantize(mod, params=params)
    env = vta.get_env()
    packed = vta.top.graph_pack(mod["main"], env.BATCH, env.BLOCK_OUT, env.WGT_WIDTH)
    return packed, extract(vta, packed)


FIRST_SHORTCUT = replace(
    SUITE[0], name="shortcut", kernel=(1, 1), padding=(0, 0), extra={"count": 1}
)


def test_tasks_of_relays_resnet18_are_the_suites_and_one_more(testing):
    packed, tasks = testing
    ours = [*SUITE, FIRST_SHORTCUT]
    assert len(tasks) == 11
    assert {(task.name, task.args) for task in tasks} == names_and_arguments(ours)
    assert called(packed) == said(ours)
    assert called(packed).total() == 20


def test_relays_resnet18_is_a_network(testing):
    packed, tasks = testing
    network = network_of(tasks, program=packed)
    assert sum(layer.count for layer in network.layers) == 20
    counted = [replace(w, extra={"count": w.extra["count"]}) for w in network.workloads]
    assert said(counted) == called(packed)
    # the epilogues that issue and truth speak of, with the shifts of this network
    assert str(network.layers[0].workload.chain) == (
        "add channel, max 0, add 512, shift right 10, clip -127..127, cast"
    )
    assert {n.op: n.count for n in network.host if n.op.startswith("nn.")} == {
        "nn.conv2d": 1, "nn.max_pool2d": 1, "nn.relu": 10, "nn.global_avg_pool2d": 1,
        "nn.batch_flatten": 1, "nn.dense": 1, "nn.softmax": 1,
    }  # fmt: skip


# -- a model of ONNX, through the block of docs/networks.md


@pytest.fixture(scope="module")
def compiled(vta, tmp_path_factory):
    """The names of the documentation's block after it ran, and what was scheduled with what.

    The first two stages of ResNet-18, a block of each: quantising all of it takes a while.
    """
    folder = tmp_path_factory.mktemp("compiled")
    resnet(folder / "model.onnx", channels=(64, 128), blocks=1)
    network = load_network(str(folder / "model.onnx"), options=Options(dense="dense"))
    tuned = tune_network(network, search=LayerSearch(trials=1))
    write_records(folder / "best.log", tuned.records)
    page = snippets(ROOT / "docs" / "networks.md")
    blocks = [block.code for block in page if block.where == "autotvm"]
    names, scheduled = {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks:
            vta.top.CONFIGURED.clear()
            exec(block, names)
            scheduled.append(dict(vta.top.CONFIGURED))
        size = (folder / "model.tar").stat().st_size
    compiling, extracting = scheduled
    return SimpleNamespace(
        packed=names["packed"], tasks=names["tasks"], theirs=names["network"], ours=network,
        records=tuned.records, compiling=compiling, extracting=extracting, size=size,
    )  # fmt: skip


def test_every_convolution_is_compiled_with_the_configuration_of_the_log(compiled):
    wanted = {(r.task.name, *r.task.args): r.index for r in compiled.records}
    dense = [w for w in wanted if w[0] == "dense_packed.vta"]  # graph_pack leaves it on the host
    assert len(dense) == 1
    del wanted[dense[0]]
    assert len(wanted) == 4
    assert compiled.compiling == wanted
    assert compiled.size > 100_000
    # outside apply_history_best AutoTVM falls back, and that is seen
    assert compiled.extracting == dict.fromkeys(wanted)


def test_tasks_of_an_onnx_model_are_ours(compiled):
    ours = [workload for workload in compiled.ours.workloads if workload.op != "dense"]
    assert len(compiled.tasks) == 4
    assert {(task.name, task.args) for task in compiled.tasks} == names_and_arguments(ours)
    assert called(compiled.packed) == said(ours)
    assert called(compiled.packed).total() == 5
    # and with the epilogues that Relay fuses: only the numbers of the shifts differ
    on_vta = tuple(node for node in compiled.ours.nodes if node.op != "Gemm")
    assert layers(compiled.theirs) == layers(replace(compiled.ours, nodes=on_vta))


def layers(network):
    """Layers and how often, whatever they are called and however far they shift."""
    found = Counter()
    for layer in network.layers:
        steps = tuple(map(without_number, layer.workload.chain.steps))
        found[Task.of(layer.workload, VTAConfig()).args, steps] += layer.count
    return found


def without_number(step):
    if isinstance(step, Shift):
        return replace(step, by=0)
    if isinstance(step, Arithmetic) and step.op == "add" and step.value is not None:
        return replace(step, value=1)
    return step


# -- the other operators, and what network_of refuses


def small(groups=2, channels=32, shared=False):
    """Integers throughout: a convolution, a grouped one and a transposed one."""
    rng = np.random.default_rng(0)

    def weight(*shape):
        return relay.const(rng.integers(-8, 8, shape).astype("int8"))

    def narrow(sums):
        shifted = relay.right_shift(relay.nn.relu(sums), relay.const(4, "int32"))
        return relay.cast(relay.clip(shifted, -127, 127), "int8")

    bias = relay.const(rng.integers(-99, 99, (channels, 1, 1)).astype("int32"))
    data = relay.var("data", shape=(1, channels, 8, 8), dtype="int8")
    x = relay.nn.max_pool2d(data, (1, 1))
    plain = relay.nn.conv2d(x, weight(channels, channels, 3, 3), padding=(1, 1), channels=channels,
                            kernel_size=(3, 3), out_dtype="int32")  # fmt: skip
    x = narrow(relay.add(plain, bias))
    x = narrow(relay.nn.conv2d(
        x, weight(channels, channels // groups, 3, 3), strides=(2, 2), padding=(1, 1),
        groups=groups, channels=channels, kernel_size=(3, 3), out_dtype="int32",
    ))  # fmt: skip
    x = relay.nn.conv2d_transpose(
        x, weight(channels, channels, 4, 4), strides=(2, 2), padding=(1, 1), channels=channels,
        kernel_size=(4, 4), out_dtype="int32",
    )  # fmt: skip
    x = relay.add(relay.cast(narrow(x), "int32"), plain) if shared else narrow(x)
    x = relay.nn.global_avg_pool2d(relay.cast(x, "int32"))
    return relay.transform.InferType()(tvm.IRModule.from_expr(relay.Function([data], x)))["main"]


@pytest.fixture(scope="module")
def packed(vta):
    return vta.top.graph_pack(small(), 1, 16, 8)


@pytest.fixture(scope="module")
def tasks(vta, packed):
    return extract(vta, packed)


def test_tasks_of_grouped_and_transposed_convolutions_are_ours(packed, tasks):
    network = network_of(tasks, program=packed)
    assert [layer.name for layer in network.layers] == [
        "conv2d.1", "group_conv2d.1", "conv2d_transpose.1",
    ]  # fmt: skip
    assert {(task.name, task.args) for task in tasks} == names_and_arguments(network.workloads)
    assert [str(layer.workload.chain) for layer in network.layers] == [
        "add channel, max 0, shift right 4, clip -127..127, cast",
        "max 0, shift right 4, clip -127..127, cast",
        "max 0, shift right 4, clip -127..127, cast",
    ]


def test_the_packed_program_computes_what_the_program_computes(packed):
    """The stand-in packs rightly: else its shapes would prove little."""
    data = np.random.default_rng(1).integers(-128, 128, (1, 32, 8, 8)).astype("int8")
    results = []
    for function, target in ((small(), "llvm"), (packed, "llvm -keys=vta,cpu")):
        with tvm.transform.PassContext(opt_level=3, disabled_pass={"AlterOpLayout"}):
            library = relay.build(tvm.IRModule.from_expr(function), target=target)
        module = graph_executor.GraphModule(library["default"](tvm.cpu()))
        module.run(data=data)
        results.append(module.get_output(0).numpy())
    assert results[0].any()
    assert np.array_equal(*results)


def test_sums_that_something_else_reads_stay_on_the_host(vta):
    shared = vta.top.graph_pack(small(shared=True), 1, 16, 8)
    network = network_of(extract(vta, shared), program=shared)
    assert [layer.name for layer in network.layers] == ["group_conv2d.1", "conv2d_transpose.1"]
    (node,) = [node for node in network.host if node.op == "nn.conv2d"]
    assert node.why == "its 32-bit sums are read before they are cast: VTA stores 8 bits"


def test_tasks_and_program_have_to_be_of_one_network(packed, tasks):
    with pytest.raises(NetworkError, match=r"^relay: the program calls conv2d_packed\.vta"):
        network_of(tasks[1:], program=packed)
    with pytest.raises(NetworkError, match=r"^mine: no call of the program is the task conv2d_pa"):
        network_of([*tasks, create_task(SUITE[0])], program=packed, name="mine")
    with pytest.raises(NetworkError, match=r"^mine: there are no tasks"):
        network_of([], name="mine")


def test_tasks_alone_are_layers_that_are_there_once(tasks):
    other = SimpleNamespace(name="conv2d_nchw_spatial_pack.arm_cpu", args=())
    network = network_of([*tasks, other, tasks[0]])
    assert [layer.count for layer in network.layers] == [1, 1, 1]
    assert {layer.workload.epilogue for layer in network.layers} == {None}
    assert [(n.op, n.why) for n in network.host] == [(other.name, "its task is none of VTA's")]


def test_relays_network_is_a_file_for_every_command(tasks, packed, tmp_path):
    network = network_of(tasks, program=packed)
    (tmp_path / "network.json").write_text(json.dumps(network.to_dict()))
    again = load_network(str(tmp_path / "network.json"))
    assert again.layers == network.layers
    assert vtacsp.find_workloads(str(tmp_path / "network.json")) == network.workloads
