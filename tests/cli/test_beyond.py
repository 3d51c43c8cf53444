"""``tune`` and ``report`` beyond the template: numbers, pages, what is saved beside a log."""

from __future__ import annotations

import importlib
import json
import re

import pytest

from tests.support.commands import CONV, DENSE, run
from vtacsp import Simulator, VTAConfig
from vtacsp.free import Schedule, emit, limit
from vtacsp.free.compared import ScheduleComparison
from vtacsp.operators.loading import load_workloads
from vtacsp.timing import simulate_timing

KEYS = ("template_cycles", "free_cycles", "faster", "limit", "limit_gap")
QUICK = ("--trials", 4, "--free", "--free-gap", 40)


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = {
        "network": "small",
        "nodes": [
            {"name": "a", "op": "conv", "count": 3,
             "vta": {k: v for k, v in CONV.items() if k != "name"}},
            {"name": "b", "op": "dense", "vta": {k: v for k, v in DENSE.items() if k != "name"}},
        ],
    }  # fmt: skip
    (tmp_path / "net.json").write_text(json.dumps(network))
    (tmp_path / "layers.json").write_text(json.dumps([CONV, DENSE]))
    (tmp_path / "pool.json").write_text(
        json.dumps({"op": "max_pool", "name": "pool", "batch": 1, "channels": 16, "height": 8,
                    "width": 8, "kernel": [2, 2], "stride": [2, 2], "padding": [0, 0]})
    )  # fmt: skip
    return tmp_path


def forbid(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("searched again")

    # the package has a function of this name too
    monkeypatch.setattr(importlib.import_module("vtacsp.free"), "search", fail)


def without_times(log):
    return re.sub(r'("result": \[\[[^]]*\], \d+, )[^]]*\]', r"\1]", log.read_text())


def rows_of(words):
    return json.loads(run(*words, "--format", "json").stdout)


def test_a_tuned_layer_is_compared_with_free_schedules_that_are_saved_beside_its_log(
    net, monkeypatch
):
    rows = rows_of(["tune", "layers.json", *QUICK])
    saved = json.loads((net / "vtacsp.log.free.json").read_text())
    for layer, row, entry in zip(load_workloads("layers.json"), rows, saved, strict=True):
        assert row["template_cycles"] == row["cycles"] == Simulator(layer).cycles(row["index"])
        assert row["limit"] == limit(layer, VTAConfig()).cycles
        assert row["limit"] < row["free_cycles"] <= row["template_cycles"]
        assert row["limit_gap"] == row["free_cycles"] / row["limit"] - 1 <= 0.4
        assert row["faster"] == row["template_cycles"] / row["free_cycles"] - 1
        program = emit(Schedule.from_dict(entry["schedule"]), layer, VTAConfig())
        assert simulate_timing(program).cycles == row["free_cycles"]
    forbid(monkeypatch)
    again = rows_of(["tune", "layers.json", *QUICK, "--html", "page.html"])
    assert [[row[k] for k in KEYS] for row in again] == [[row[k] for k in KEYS] for row in rows]
    page = (net / "page.html").read_text()
    section = page[page.index('id="beyond"') :]
    section = section[: section.index("</section>")]
    for row in rows:
        assert all(f"{row[key]:,}" in section for key in ("free_cycles", "limit"))
    assert section.count("<summary>") == len(rows)
    assert section.count('href="#layer-') == len(rows)
    text = run("tune", "layers.json", *QUICK).stdout
    _, _, below = text.partition("beyond the template: vtacsp.log.free.json")
    assert below
    assert max(map(len, below.splitlines())) <= 80
    # the same log without it
    run("tune", "layers.json", "--trials", 4, "--no-free", "--log", "other.log")
    assert not (net / "other.log.free.json").exists()
    assert without_times(net / "other.log") == without_times(net / "vtacsp.log")


def test_a_network_has_totals_and_a_report_shows_what_was_saved(net, monkeypatch):
    data = rows_of(["tune", "net.json", *QUICK])
    a, b = data["layers"]
    total = data["total"]
    for key in ("template_cycles", "free_cycles", "limit"):
        assert total[key] == 3 * a[key] + b[key]
    assert total["limit_gap"] == total["free_cycles"] / total["limit"] - 1
    forbid(monkeypatch)
    shown = ["--schedules", "vtacsp.log.free.json"]
    report = rows_of(["report", "net.json", *shown])
    for mine, theirs in zip((a, b, total), (*report["layers"], report["total"]), strict=True):
        assert theirs["template_cycles"] <= mine["template_cycles"]
        assert theirs["free_cycles"] <= mine["free_cycles"]
        assert theirs["limit"] == mine["limit"]
    text = run("report", "net.json", *shown, "--html", "net.html").stdout
    assert f"fewer than {total['limit']:,}" in " ".join(text.split())
    assert f"needs fewer than {total['limit']:,}" in (net / "net.html").read_text()
    # by their names these are other layers: nothing of them was saved, and nothing is searched
    rows = rows_of(["report", "layers.json", *shown])
    assert [row["free_cycles"] for row in rows] == [None, None]
    assert all(row["template_cycles"] > row["limit"] for row in rows)
    assert rows[0].keys() == rows_of(["report", "layers.json"])[0].keys()


def test_a_log_of_two_machines_has_schedules_of_both(net):
    other = {**VTAConfig().to_dict(), "LOG_ACC_BUFF_SIZE": 16}
    (net / "other.json").write_text(json.dumps(other))
    first, second = (
        rows_of(["tune", "layers.json", *QUICK, *more])
        for more in ([], ["--hardware", "other.json"])
    )
    saved = json.loads((net / "vtacsp.log.free.json").read_text())
    assert [row["hardware"]["LOG_ACC_BUFF_SIZE"] for row in saved] == [17, 17, 16, 16]
    assert [row["cycles"] for row in saved] == [row["free_cycles"] for row in first + second]
    words = ["export", "layers.json", "vtacsp.log.free.json"]
    assert "has 2 layers" in run(*words, "--output", "bundle", code=2).stderr
    (net / "vtacsp.log.free.json").write_text(json.dumps(saved[2:]))
    error = run("report", "layers.json", "--schedules", "vtacsp.log.free.json", code=2).stderr
    assert "has schedules of other machines than" in error


def test_what_the_alu_runs_by_itself_is_compared_exported_and_audited(net):
    (row,) = rows_of(("tune", "pool.json", *QUICK))
    (saved,) = json.loads((net / "vtacsp.log.free.json").read_text())
    (layer,) = load_workloads("pool.json")
    program = emit(Schedule.from_dict(saved["schedule"]), layer, VTAConfig())
    assert simulate_timing(program).cycles == row["free_cycles"] == saved["cycles"]
    assert limit(layer, VTAConfig()).cycles == row["limit"] <= row["free_cycles"]
    (again,) = rows_of(("report", "pool.json", "--schedules", "vtacsp.log.free.json"))
    assert again["free_cycles"] == row["free_cycles"]
    run("export", "pool.json", "vtacsp.log.free.json", "--output", "bundle")
    assert "bundle: clean" in run("audit", "bundle").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tune", "layers.json", "--no-free", "--free-gap", "1"], "--free-gap goes with --free"),
        (["report", "layers.json", "--jobs", "1"], "--jobs goes with --free"),
        (["report", "layers.json", "--schedules", "absent.json"], "absent.json"),
        (["report", "layers.json", "--free", "--stack-only"], "--stack-only does not go with"),
        (["tune", "layers.json", "--free"], "vtacsp.log.free.json"),
    ],
)
def test_bad_input_is_one_line_before_the_work(net, words, message):
    (net / "vtacsp.log.free.json").write_text("{}")
    error = run(*words, code=2).stderr
    assert message in error
    assert error.count("\n") == 1
    assert not (net / "vtacsp.log").exists()


def test_sums_are_over_all_runs():
    a = ScheduleComparison("a", 3, 120, 110, 100)
    b = ScheduleComparison("b", None, 50, None, 40)
    c = ScheduleComparison("c", 1, None, 70, 60)
    nothing = ScheduleComparison("d", 1, None, None, 60)
    assert (a.cycles, b.cycles, c.cycles, nothing.cycles) == (110, 50, 70, None)
    assert (a.faster, b.faster, c.faster) == (120 / 110 - 1, None, None)
    both = ScheduleComparison.total([a, b, nothing])
    assert both is not None
    assert (both.template, both.cycles, both.limit) == (3 * 120 + 50, 3 * 110 + 50, 3 * 100 + 40)
    three = ScheduleComparison.total([a, b, c])
    assert three is not None
    assert (three.template, three.cycles) == (None, 3 * 110 + 50 + 70)
    assert ScheduleComparison.total([nothing]) is None
