"""``vtacsp best --free``: a row per layer, schedules that are saved, bad input."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from tests.support.commands import run
from vtacsp import VTAConfig
from vtacsp.free import Schedule, emit, limit
from vtacsp.functional import random_operands, reference, simulate
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.loading import load_workloads
from vtacsp.timing import Simulator, simulate_timing

LAYERS = [
    Conv2D(name=f"small{size}", in_channels=32, height=size, width=size, out_channels=32,
           kernel=(3, 3), padding=(1, 1))
    for size in (6, 8)
]  # fmt: skip


@pytest.fixture
def layers(tmp_path):
    path = tmp_path / "layers.json"
    path.write_text(json.dumps([layer.to_dict() for layer in LAYERS]))
    return path


def test_best_free_has_a_row_per_layer_and_saves_what_it_found(layers, tmp_path):
    saved = tmp_path / "schedules.json"
    options = ["--free", "--gap", "70", "--jobs", "1", "--format", "csv", "--save", saved]
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
        assert float(row["gap"]) == int(row["cycles"]) / int(row["limit"]) - 1 <= 0.7
        program = emit(Schedule.from_dict(entry["schedule"]), layer, VTAConfig())
        assert simulate_timing(program).cycles == int(row["cycles"])
        operands = random_operands(layer, VTAConfig())
        right = reference(layer, VTAConfig(), operands)
        assert np.array_equal(simulate(program, operands).output, right)


def test_best_free_is_a_table_of_80_columns(layers):
    lines = run("best", layers, "--free", "--gap", "80", "--jobs", "1").stdout.splitlines()
    rows = [line for line in lines if line[:1] in {"┃", "│"}]
    assert len(rows) == 1 + len(LAYERS)
    assert max(map(len, rows)) <= 80
    assert "template" in rows[0]
    assert "limit" in rows[0]
    for layer in LAYERS:
        assert any(layer.name in line for line in rows)


@pytest.mark.parametrize("option", [["--gap", "1"], ["--seed", "3"], ["--save", "x.json"]])
def test_options_of_the_free_search_need_it(option):
    result = run("best", "resnet18.C10", *option, code=2)
    assert f"{option[0]} goes with --free" in result.stderr


def test_a_machine_on_which_nothing_can_run_ends_with_3(layers, tmp_path):
    machine = tmp_path / "vta_config.json"
    tiny = {"LOG_UOP_BUFF_SIZE": 3, "LOG_INP_BUFF_SIZE": 5, "LOG_WGT_BUFF_SIZE": 9}
    machine.write_text(json.dumps({**VTAConfig().to_dict(), **tiny, "LOG_ACC_BUFF_SIZE": 7}))
    result = run(
        "best", layers, "--free", "--hardware", machine, "--jobs", "1", "--format", "csv", code=3
    )
    assert "nothing is feasible" in result.stderr
    assert [row["cycles"] for row in csv.DictReader(io.StringIO(result.stdout))] == ["", ""]
