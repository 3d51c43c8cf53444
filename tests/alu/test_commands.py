"""The command line takes the operators of the ALU as it takes the others."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from vtacsp import VTAConfig, workload_from_dict
from vtacsp.cli import main
from vtacsp.errors import WorkloadError
from vtacsp.operators.registry import OPERATORS, has_part, part
from vtacsp.tune.task import Task

SIZE = {"batch": 1, "channels": 32, "height": 8, "width": 8}
LAYERS = {
    "add": {},
    "max_pool": {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1]},
    "avg_pool": {"kernel": [2, 2], "stride": [2, 2]},
}


@pytest.fixture(params=LAYERS)
def layer(request, tmp_path):
    path = tmp_path / "layer.json"
    path.write_text(
        json.dumps({"op": request.param, "name": "one", **SIZE, **LAYERS[request.param]})
    )
    return str(path)


def answer(*args, fmt="json"):
    result = CliRunner().invoke(main, [*args, "--format", fmt])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if fmt == "json" else result.stdout


def test_the_commands_answer(layer, tmp_path):
    (report,) = answer("report", layer)
    rows = answer("enumerate", layer)
    assert len(rows) == report["feasible"] > 10
    (best, *_) = answer("best", layer)
    (run,) = answer("simulate", layer, "--best")
    assert (run["index"], run["cycles"]) == (best["index"], best["cycles"])
    assert run["gemm_utilisation"] == 0 < run["gops"]
    assert run["bytes"]["acc_load"] > 0 == run["bytes"]["inp_load"] + run["bytes"]["wgt_load"]
    bad = min(set(range(report["configurations"])) - {row["index"] for row in rows})
    (reason, *_) = answer("explain", layer, "--index", str(bad))
    assert reason["cause"] in ("vthread_split", "dma_2d:acc", "uop_signature")
    log = str(tmp_path / "one.log")
    arguments = ("tune", layer, "--trials", "4", "--searcher", "grid", "--log", log)
    (tuned,) = answer(*arguments)
    (again,) = answer(*arguments)
    assert (again["from_log"], again["cycles"]) == (4, tuned["cycles"])
    assert tuned["bound"] <= tuned["cycles"]
    first = json.loads((tmp_path / "one.log").read_text().splitlines()[0])
    assert first["input"][1].startswith("vtacsp.")


def test_what_upstream_does_not_have_is_said():
    workload = workload_from_dict({"op": "add", "name": "one", **SIZE})
    with pytest.raises(
        WorkloadError, match=r"add has no task: .* \(AutoTVM has no template for it"
    ):
        part("add", "task")
    task = Task.of(workload, VTAConfig())
    assert (task.name, task.args) == ("vtacsp.add", (("TENSOR", (1, 2, 8, 8, 1, 16), "int32"),))
    assert {op for op in OPERATORS if not has_part(op, "task")} == set(LAYERS)
