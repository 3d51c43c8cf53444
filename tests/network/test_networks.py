"""Networks: places and counts, blocks that are filled, totals, one configuration per task."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from tests.support.commands import run
from vtacsp import (
    SUITES,
    Conv2D,
    NetworkError,
    Simulator,
    VTAConfig,
    compile,
    find_workloads,
    suite,
)
from vtacsp.epilogue.steps import Epilogue
from vtacsp.network import (
    CONSTANT,
    FUSED,
    HOST,
    VTA,
    LayerSearch,
    Network,
    Node,
    Options,
    load_network,
    solve,
    tune_network,
)
from vtacsp.operators.suites import host_nodes

HW = VTAConfig()
EIGHT = HW.replace(
    LOG_BLOCK=3, LOG_UOP_BUFF_SIZE=12, LOG_INP_BUFF_SIZE=13, LOG_WGT_BUFF_SIZE=14,
    LOG_ACC_BUFF_SIZE=15,
)  # fmt: skip
SMALL = Conv2D(name="a", in_channels=16, height=8, width=8, out_channels=16, kernel=(1, 1))
END = [{"op": "shift_right", "by": 10}, {"op": "clip", "min": -127, "max": 127}, {"op": "cast"}]
BIASED = Epilogue.from_list([{"op": "add", "operand": "channel"}, *END])
PLAIN = Epilogue.from_list(END)


def on_vta(name, workload, **more):
    return Node(name=name, op="Conv", place=VTA, workload=workload, **more)


NETWORK = Network(
    "net",
    (
        Node(name="stem", op="Conv", place=HOST, why="3 channels"),
        on_vta("a", SMALL, count=3),
        Node(name="relu", op="Relu", place=FUSED, why="a"),
        on_vta("b", replace(SMALL, height=4), macs=100, remarks=("something",)),
        on_vta("c", replace(SMALL, name="c")),
        Node(name="k", op="Constant", place=CONSTANT),
    ),
    ("about all",),
)


# -- the value


def test_identical_layers_are_one_with_its_count():
    first, second = NETWORK.layers
    assert (first.name, first.count, first.nodes) == ("a", 4, ("a", "c"))
    assert (second.name, second.count, second.macs) == ("b", 1, 100)
    assert second.waste == 1 - 100 / second.workload.macs
    assert first.waste == 0
    assert first.macs == 4 * SMALL.macs
    assert [n.name for n in NETWORK.host] == ["stem"]
    assert [w.extra["count"] for w in NETWORK.workloads] == [4, 1]


def test_json_round_trip(tmp_path):
    data = json.loads(json.dumps(NETWORK.to_dict()))
    assert data["nodes"][4]["vta"] == "a"  # spelled out once
    again = Network.from_dict(data)
    assert again.to_dict() == data
    assert again.layers == NETWORK.layers
    path = tmp_path / "network.json"
    path.write_text(json.dumps(data))
    assert load_network(str(path)).to_dict() == data
    assert [(w.name, w.extra["count"]) for w in find_workloads(str(path))] == [("a", 4), ("b", 1)]


NODE = {"name": "a", "op": "Conv", "vta": SMALL.to_dict()}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a network is a JSON object"),
        ({"nodes": []}, "has no nodes"),
        ({"nodes": "x"}, "nodes is a list"),
        ({"nodes": [NODE], "layers": []}, "'layers' is no key of a network"),
        ({"nodes": [NODE, NODE]}, "node 2: the name 'a' is there twice"),
        ({"nodes": [{"name": "a", "op": "x"}]}, "exactly one of vta, fused, host, constant"),
        ({"nodes": [{**NODE, "host": "no"}]}, "exactly one of"),
        ({"nodes": [{**NODE, "where": 1}]}, "'where' is no key of a node"),
        ({"nodes": [{**NODE, "count": 0}]}, "count must be an integer of at least 1, got 0"),
        ({"nodes": [{**NODE, "count": True}]}, "count must be an integer"),
        ({"nodes": [{**NODE, "macs": -1}]}, "macs must be an integer of at least 1"),
        ({"nodes": [{**NODE, "vta": "b"}]}, "vta is 'b', no earlier node on VTA"),
        ({"nodes": [{**NODE, "vta": {"op": "pool"}}]}, "op is 'pool'"),
        ({"nodes": [{"name": "a", "host": ""}]}, "host is a text"),
        ({"nodes": [{"name": "a", "constant": 1}]}, "constant is true or left out"),
        ({"nodes": [{"name": "a", "fused": "z"}]}, "fused into 'z', which is no node"),
        ({"nodes": [{**NODE, "remarks": "x"}]}, "remarks is a list"),
        ({"nodes": [{**NODE, "name": "a\n"}]}, "does not print"),
    ],
)
def test_a_malformed_network_is_one_line(tmp_path, data, message):
    with pytest.raises(NetworkError, match=message):
        Network.from_dict(data)
    if isinstance(data, dict):
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(data))
        result = run("best", path, code=2)
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1


# -- suites


def test_suites_have_the_counts_of_their_networks():
    def count(name, **match):
        return sum(
            w.extra["count"]
            for w in suite(name)
            if all(getattr(w, key) == value for key, value in match.items())
        )

    # 20 and 53 convolutions with the first one, which is on the host
    assert count("resnet18") + 1 == 20
    assert count("resnet50") + 1 == 53
    assert count("mobilenet") == 26
    assert count("mobilenet", op="group_conv2d") == 13
    assert count("mobilenet_v2") == 51
    assert [sum(w.extra["count"] for w in find_workloads(f"mlperf_tiny.{n}"))
            for n in ("ic", "kws", "vww", "ad")] == [9, 9, 27, 10]  # fmt: skip


def test_suites_have_the_multiplications_of_their_networks():
    """Published sums, in millions: with the first convolution and the classifier."""

    def millions(name, extra):
        return sum(w.macs * w.extra["count"] for w in suite(name)) / 1e6 + extra

    stem = 112 * 112 * 64 * 3 * 49 / 1e6
    assert millions("resnet18", stem + 0.512) == pytest.approx(1814, abs=1)
    assert millions("resnet50", stem + 2.048) == pytest.approx(4089, abs=1)
    small = 112 * 112 * 32 * 3 * 9 / 1e6
    # its depthwise layers have the groups of a block: 16 times the multiplications
    depthwise = sum(w.macs * w.extra["count"] for w in suite("mobilenet") if ".D" in w.name) / 1e6
    assert millions("mobilenet", small + 1.024 - depthwise * 15 / 16) == pytest.approx(569, abs=1)
    assert millions("mobilenet_v2", small + 1.28) == pytest.approx(301, abs=1)


@pytest.mark.parametrize("name", [n for n in SUITES if n != "deepbench"])
def test_every_layer_of_a_suite_runs_as_a_network(name):
    for hardware in (HW, EIGHT):
        network = load_network(name, hardware)
        assert len(network.placed(VTA)) == len(suite(name))
        for layer in network.layers:
            layer.workload.pack(hardware)
        hosted = [item["name"] for item in host_nodes(name)]
        assert [node.name for node in network.host] == hosted


def test_a_layer_that_cannot_be_packed_is_on_the_host_with_the_reason():
    odd = replace(SMALL, name="odd", kernel=(1, 3), padding=(0, 1))
    from vtacsp.network.load import counted_network

    network = counted_network("x.json", [SMALL, odd], HW)
    (node,) = network.host
    assert "drops horizontal padding" in node.why


# -- answers


@pytest.fixture(scope="module")
def epilogues():
    """One layer under two epilogues, and another layer."""
    shape = {"height": 14, "width": 14, "in_channels": 64, "out_channels": 64}
    layer = replace(SMALL, kernel=(3, 3), padding=(1, 1), **shape)
    return Network(
        "two",
        (
            on_vta("plain", replace(layer, epilogue=PLAIN), count=2),
            on_vta("biased", replace(layer, epilogue=BIASED), count=3),
            on_vta("other", SMALL),
        ),
    )


def test_layers_of_one_autotvm_task_get_one_configuration(epilogues):
    answer = solve(epilogues)
    plain, biased, other = answer.layers
    assert plain.index == biased.index
    assert (plain.shared, biased.shared, other.shared) == (("biased",), ("plain",), ())
    # the fewest cycles over all runs, of all configurations that run under both
    simulators = [Simulator(x.layer.workload) for x in (plain, biased)]
    common = np.intersect1d(*(s.space.indices for s in simulators))
    cycles = [s.cycles_many(common.tolist()) for s in simulators]
    assert 2 * plain.cycles + 3 * biased.cycles == (2 * cycles[0] + 3 * cycles[1]).min()
    assert plain.alone == simulators[0].cycles_many(simulators[0].space.indices.tolist()).min()


def test_totals_are_sums_over_all_runs(epilogues):
    answer = solve(epilogues)
    total = answer.total()
    assert total["layers"] == 3
    assert total["count"] == 6
    assert total["cycles"] == sum(x.layer.count * x.cycles for x in answer.layers)
    assert total["bytes"] == sum(x.layer.count * x.bytes for x in answer.layers)
    assert total["ms"] == pytest.approx(total["cycles"] / 1e5)
    assert total["feasible"] == sum(len(x.space) for x in answer.layers)
    busy = sum(x.layer.count * x.result.gemm_utilisation * x.cycles for x in answer.layers)
    assert total["gemm_utilisation"] == pytest.approx(busy / total["cycles"])
    assert total["missing"] == []
    assert len(answer.first) == 3


def test_what_has_no_configuration_is_not_in_the_total_and_named():
    tight = HW.replace(LOG_INP_BUFF_SIZE=10)
    big = replace(SMALL, name="big", kernel=(9, 9), width=64, height=64)
    odd = replace(SMALL, name="odd", in_channels=3)
    nodes = (on_vta("a", SMALL), on_vta("big", big), on_vta("odd", odd))
    answer = solve(Network("n", nodes), tight)
    assert answer.layers[1].result is None
    assert "not a multiple of the block" in answer.layers[2].refused
    total = answer.total()
    assert total["missing"] == ["big", "odd"]
    assert total["cycles"] == answer.layers[0].cycles > 0


# -- the command line


@pytest.fixture(scope="module")
def network_file(tmp_path_factory, epilogues):
    path = tmp_path_factory.mktemp("network") / "network.json"
    nodes = (*epilogues.nodes, Node(name="pool", op="MaxPool", place=HOST, why="no pooling"))
    path.write_text(json.dumps(Network("two", nodes).to_dict()))
    return path


@pytest.mark.parametrize("command", [["best"], ["report"], ["tune", "--trials", 3]])
def test_the_json_of_a_network(network_file, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    data = json.loads(run(*command, network_file, "--format", "json").stdout)
    assert [(x["layer"], x["count"]) for x in data["layers"]] == [
        ("plain", 2), ("biased", 3), ("other", 1),
    ]  # fmt: skip
    assert all(isinstance(x["cycles"], int) for x in data["layers"])
    assert data["total"]["cycles"] == sum(x["count"] * x["cycles"] for x in data["layers"])
    for x in data["layers"]:
        assert sum(x["causes"].values()) == x["configurations"] - x["feasible"]
    assert data["host"] == [{"node": "pool", "op": "MaxPool", "count": 1, "reason": "no pooling"}]
    rows = list(csv.DictReader(io.StringIO(run(*command, network_file, "--format", "csv").stdout)))
    assert [row["place"] for row in rows] == ["vta", "vta", "vta", "total", "host"]
    assert int(rows[3]["cycles"]) == data["total"]["cycles"]
    text = run(*command, network_file).stdout
    assert f"{data['total']['cycles']:,} cycles" in text
    assert "1 x MaxPool: no pooling" in text


def test_tuning_measures_each_layer_once_and_leaves_one_record_per_task(network_file, tmp_path):
    from vtacsp.tune import load_records

    log, best = tmp_path / "net.log", tmp_path / "best.log"
    words = ["tune", network_file, "--trials", 5, "--log", log, "--format", "json"]
    first = json.loads(run(*words, "--best-log", best).stdout)
    records = load_records(log)
    seen = [(r.task.key, r.task.epilogue, r.index) for r in records]
    assert len(set(seen)) == len(seen)
    chosen = load_records(best)
    assert len({r.task.key for r in chosen}) == len(chosen) == 2
    assert chosen[0].index == first["layers"][0]["index"] == first["layers"][1]["index"]
    # resumed: nothing is measured again, the answer is the same
    again = json.loads(run(*words).stdout)
    assert load_records(log) == records
    assert [x["index"] for x in again["layers"]] == [x["index"] for x in first["layers"]]
    assert [x["measured"] for x in again["layers"]] == [0, 0, 0]


def test_layers_of_one_task_are_searched_where_all_of_them_run():
    """The best of the plain layer does not run with a residual: it is not even measured."""
    residual = Epilogue.from_list([{"op": "add", "operand": "tensor"}, *END])
    (layer,) = find_workloads("resnet18.C10")
    plain, added = (replace(layer, epilogue=steps) for steps in (PLAIN, residual))
    network = Network("two", (on_vta("plain", plain), on_vta("added", added)))
    spaces = [compile(workload) for workload in (plain, added)]
    common = np.intersect1d(*(space.indices for space in spaces))
    cycles = Simulator(plain).cycles_many(spaces[0])
    assert int(spaces[0].indices[cycles.argmin()]) not in common
    tuned = tune_network(network, search=LayerSearch(trials=3))
    for _, result in tuned.results.values():
        assert {trial.index for trial in result.trials} <= set(common.tolist())
    (record,) = tuned.records
    assert [answer.index for answer in tuned.answer.layers] == [record.index] * 2
    # what is said of the layers is said of all of their configurations
    assert [len(answer.space) for answer in tuned.answer.layers] == [len(s) for s in spaces]


def test_suites_say_their_counts_and_totals():
    rows = json.loads(run("best", "mlperf_tiny.kws", "--jobs", 1, "--format", "json").stdout)
    assert {row["workload"]: row["count"] for row in rows}["mlperf_tiny.kws.P1"] == 4
    data = json.loads(run("best", "mlperf_tiny.ic", "--network", "--format", "json").stdout)
    text = run("best", "mlperf_tiny.ic.C2", "--network").stdout
    assert "n: how often" in text
    named = {x["layer"]: x for x in data["layers"]}
    assert named["mlperf_tiny.ic.FC"]["waste"] == 1 - 640 / 1024
    assert data["total"]["host"] == 5


def test_a_node_can_be_kept_on_the_host(network_file):
    data = json.loads(run("best", network_file, "--host", "other", "--format", "json").stdout)
    assert [x["node"] for x in data["host"]] == ["other", "pool"]
    assert "do you mean other" in run("best", network_file, "--host", "othe", code=2).stderr
    for word in (("--first-layer", "fold"), ("--dense", "conv")):
        assert "go with ONNX models" in run("best", network_file, *word, code=2).stderr
    for name in (network_file, "mlperf_tiny.kws"):
        for words in (["--shape", "x=1"], ["--first-layer", "pad", "--network"]):
            assert "go with ONNX models" in run("best", name, *words, code=2).stderr


def test_configurations_of_a_network_have_counts_and_shares(network_file):
    rows = json.loads(run("enumerate", network_file, "--format", "json").stdout)
    network = load_network(str(network_file))
    assert {r["workload"]: r["count"] for r in rows} == {x.name: x.count for x in network.layers}
    spaces = [compile(workload) for workload in network.workloads]
    assert len(rows) == sum(map(len, spaces))
    (first, *_) = run("enumerate", network_file, "--format", "csv").stdout.splitlines()
    assert first.startswith("workload,count,index,tile_b")
    below = run("enumerate", network_file).stdout.partition("n: how often")[2].splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in below]
    grid, feasible = (sum(map(f, spaces)) for f in (lambda s: len(s.knob_space), len))
    count = sum(layer.count for layer in network.layers)
    share = f"{feasible / grid:.1%}"
    assert ["total", str(count), f"{grid:,}", f"{feasible:,}", share] in cells
    assert below[-1].startswith(f"on the host: {len(network.host)} nodes")
    # one node less on VTA
    fewer = run("enumerate", network_file, "--host", "other").stdout
    assert f"on the host: {len(network.host) + 1} nodes" in fewer
    # a suite stays the list that it was, and becomes a network when asked
    (first, *_) = run("enumerate", "mlperf_tiny.kws.P1", "--format", "csv").stdout.splitlines()
    assert first.startswith("index,")


def test_the_nodes_of_a_network_and_a_file_to_write(network_file, tmp_path):
    target = tmp_path / "out.json"
    rows = json.loads(run("network", network_file, "--format", "json", "--write", target).stdout)
    assert [row["place"] for row in rows] == [VTA, VTA, VTA, HOST]
    assert Network.load(target).to_dict() == Network.load(network_file).to_dict()
    assert "into" not in run("network", network_file).stdout


def test_pages_have_a_bar_per_layer(network_file, tmp_path):
    for number, command in enumerate(
        (["report"], ["tune", "--trials", 2, "--log", tmp_path / "l"])
    ):
        page = tmp_path / f"{number}.html"
        run(*command, network_file, "--html", page)
        text = page.read_text()
        section = text[
            text.index('id="network"') : text.index("</section>", text.index('id="network"'))
        ]
        assert section.count('class="track"') == 3
        assert "Look at these first" in section
        assert "no pooling" in section
    told = run("tune", "--trials", 2, "--log", tmp_path / "l", network_file, "--format", "json")
    sums = json.loads(told.stdout)["total"]
    total = sums["cycles"]
    last = section[section.index("<tfoot>") :]
    for words in (f">{total:,}<", f">{sums['bytes']:,}<", f">{sums['gemm_utilisation']:.1%}<",
                  f">{sums['ms']:,.3f} ms at 100 MHz; {sums['share']:.1%} of the"):  # fmt: skip
        assert words in last
    head = text[: text.index('id="network"')]
    assert f"<b>{total:,}</b><span>cycles, all runs of all layers" in head


def test_options_of_a_partition():
    with pytest.raises(NetworkError, match="first_layer is 'x', known are host, pad, fold"):
        Options(first_layer="x")
    with pytest.raises(NetworkError, match="dense is 'x', known are fastest, conv, dense"):
        Options(dense="x")
