"""``vtacsp best --free``: a row per layer, schedules that are saved, bad input."""

from __future__ import annotations

import csv
import importlib
import io
import json

import numpy as np
import pytest

from tests.support.commands import run
from vtacsp import VTAConfig
from vtacsp.free import Schedule, emit, limit
from vtacsp.functional import execute, random_operands, reference
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.loading import load_workloads
from vtacsp.timing import Simulator, simulate_timing

LAYERS = [
    Conv2D(name=f"small{size}", in_channels=32, height=size, width=size, out_channels=32,
           kernel=(3, 3), padding=(1, 1))
    for size in (10, 12)
]  # fmt: skip


@pytest.fixture
def layers(tmp_path):
    path = tmp_path / "layers.json"
    path.write_text(json.dumps([layer.to_dict() for layer in LAYERS]))
    return path


def test_best_free_has_a_row_per_layer_and_saves_what_it_found(layers, tmp_path):
    saved = tmp_path / "schedules.json"
    options = ["--free", "--gap", "25", "--jobs", "1", "--format", "csv", "--save", saved]
    text = run("best", layers, *options).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["layer"] for row in rows] == [layer.name for layer in LAYERS]
    schedules = json.loads(saved.read_text())
    assert [entry["layer"] for entry in schedules] == [layer.name for layer in LAYERS]
    for layer, row, entry in zip(load_workloads(layers), rows, schedules, strict=True):
        device = Simulator(layer)
        assert device.cycles(int(row["index"])) == int(row["template_cycles"])
        assert int(row["limit"]) == limit(layer, VTAConfig()).cycles
        assert int(row["limit"]) < int(row["cycles"]) <= int(row["template_cycles"])
        assert float(row["gap"]) == int(row["cycles"]) / int(row["limit"]) - 1 <= 0.25
        program = emit(Schedule.from_dict(entry["schedule"]), layer, VTAConfig())
        assert simulate_timing(program).cycles == int(row["cycles"])
        operands = random_operands(layer, VTAConfig())
        right = reference(layer, VTAConfig(), operands)
        assert np.array_equal(execute(program, operands).output, right)


def test_best_free_is_a_table_of_80_columns(layers):
    lines = run("best", layers, "--free", "--gap", "80", "--jobs", "1").stdout.splitlines()
    rows = [line for line in lines if line[:1] in {"┃", "│"}]
    assert len(rows) == 1 + len(LAYERS)
    assert max(map(len, rows)) <= 80
    assert "template" in rows[0]
    assert "limit" in rows[0]
    for layer in LAYERS:
        assert any(layer.name in line for line in rows)


@pytest.mark.parametrize("count", [{}, {"count": 3}])
def test_of_one_layer_the_result_is_said_in_a_sentence(tmp_path, count):
    """Of one run of it, as in the table, also when a network has it several times."""
    path = tmp_path / "layer.json"
    path.write_text(json.dumps({**LAYERS[0].to_dict(), **count}))
    options = ["--free", "--gap", "80", "--jobs", "1"]
    text = " ".join(run("best", path, *options).stdout.split())
    (row,) = json.loads(run("best", path, *options, "--format", "json").stdout)
    assert (
        f"{row['cycles']:,} cycles; no program of this instruction set needs fewer than "
        f"{row['limit']:,} ({row['gap']:.1%})"
    ) in text
    assert "total" not in text


@pytest.mark.parametrize(
    "option", [["--gap", "1"], ["--seed", "3"], ["--save", "x.json"], ["--resume", "x"]]
)
def test_options_of_the_free_search_need_it(option):
    result = run("best", "resnet18.C10", *option, code=2)
    assert f"error: {option[0]} " in result.stderr
    assert option[1] in result.stderr
    assert "goes with --free" in result.stderr


def test_a_machine_on_which_nothing_can_run_ends_with_3(layers, tmp_path):
    machine = tmp_path / "vta_config.json"
    tiny = {"LOG_UOP_BUFF_SIZE": 3, "LOG_INP_BUFF_SIZE": 5, "LOG_WGT_BUFF_SIZE": 9}
    machine.write_text(json.dumps({**VTAConfig().to_dict(), **tiny, "LOG_ACC_BUFF_SIZE": 7}))
    result = run(
        "best", layers, "--free", "--hardware", machine, "--jobs", "1", "--format", "csv", code=3
    )
    assert "nothing is feasible" in result.stderr
    assert [row["cycles"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["", ""]


NETWORK = {
    "network": "small",
    "nodes": [
        {"name": "a", "op": "conv", "count": 3,
         "vta": {k: v for k, v in LAYERS[0].to_dict().items() if k != "name"}},
        {"name": "b", "op": "conv",
         "vta": {k: v for k, v in LAYERS[1].to_dict().items() if k != "name"}},
        {"name": "end", "op": "softmax", "host": "exponentials", "count": 2},
    ],
}  # fmt: skip


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.json"
    path.write_text(json.dumps(NETWORK))
    return path


def test_a_network_has_its_layers_a_total_and_the_host(network):
    options = ["--free", "--gap", "25", "--jobs", "1"]
    data = json.loads(run("best", network, *options, "--format", "json").stdout)
    assert list(data) == ["layers", "total", "host"]
    first, second = data["layers"]
    assert (first["layer"], first["count"], second["count"]) == ("a", 3, 1)
    for key in ("template_cycles", "cycles", "limit"):
        assert data["total"][key] == 3 * first[key] + second[key]
    total = data["total"]
    assert total["gap"] == total["cycles"] / total["limit"] - 1
    assert (total["count"], total["missing"]) == (4, [])
    assert data["host"] == [{"node": "end", "op": "softmax", "count": 2, "reason": "exponentials"}]
    text = run("best", network, *options).stdout
    (line,) = [line for line in text.splitlines() if "│ total" in line]
    assert all(f"{total[key]:,}" in line for key in ("template_cycles", "cycles", "limit"))
    assert (
        f"{total['cycles']:,} cycles; no program of this instruction set needs fewer"
        in " ".join(text.split())
    )
    assert "on the host: 2 nodes" in text
    assert max(len(line) for line in text.splitlines() if line[:1] in {"┃", "│"}) <= 80
    rows = list(
        csv.DictReader(io.StringIO(run("best", network, *options, "--format", "csv").stdout))
    )
    assert [row["layer"] for row in rows] == ["a", "b"]


def test_a_saved_search_is_not_done_again(layers, tmp_path, monkeypatch):
    saved = tmp_path / "schedules.json"
    options = ["--free", "--jobs", "1", "--format", "csv"]
    first = run("best", layers, *options, "--gap", "25", "--save", saved).stdout
    kept = saved.read_text()

    def fail(*_, **__):
        raise AssertionError("searched again")

    # the package has a function of this name too
    module = importlib.import_module("vtacsp.free")
    monkeypatch.setattr(module, "search", fail)
    for words in (["--save", saved], ["--resume", saved]):
        assert run("best", layers, *options, "--gap", "25", *words).stdout == first
    assert saved.read_text() == kept
    monkeypatch.undo()
    closer = run("best", layers, *options, "--gap", "22", "--resume", saved).stdout
    before, after = (list(csv.DictReader(io.StringIO(text))) for text in (first, closer))
    for one, other in zip(before, after, strict=True):
        assert int(other["cycles"]) <= int(one["cycles"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timing": "rtl memory_latency=64"}, "timing is 'rtl memory_latency=64', asked is rtl"),
        ({"seed": "1"}, "seed is '1'"),
        ({"schedule": {"rows": 3}}, "channels"),
        ({"workload": 3}, "workload is 3"),
    ],
)
def test_a_file_of_something_else_is_refused(layers, tmp_path, change, words):
    saved = tmp_path / "schedules.json"
    run("best", layers, "--free", "--gap", "25", "--jobs", "1", "--save", saved)
    rows = json.loads(saved.read_text())
    saved.write_text(json.dumps([{**rows[0], **change}]))
    text = saved.read_text()
    result = run("best", layers, "--free", "--save", saved, code=2)
    assert words in result.stderr
    assert saved.read_text() == text
