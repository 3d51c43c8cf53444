"""Time and patience of ``tune``: what ends a layer early, and how the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import run
from vtacsp import Simulator, compile, suite
from vtacsp.cli.budget import TimeBudget
from vtacsp.tune import RandomSearcher, SimulatorMeasurer, search_space, tune
from vtacsp.tune.loop import EARLY, STOPPED

LAYER = {"op": "conv2d", "in_channels": 16, "height": 8, "width": 8, "out_channels": 32,
         "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0], "batch": 1}  # fmt: skip


@pytest.fixture
def layers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [{"name": "a", **LAYER, "count": 2}, {"name": "b", **LAYER, "out_channels": 64,
                                                 "count": 3}]  # fmt: skip
    (tmp_path / "layers.json").write_text(json.dumps(found))
    return "layers.json"


def test_time_that_a_layer_does_not_use_is_for_those_after_it():
    now = [100.0]
    budget = TimeBudget(1.0, layers=3, clock=lambda: now[0])
    first = budget.share()
    now[0] = 119.9
    assert not first()
    now[0] = 120.0
    assert first()
    now[0] = 102.0  # it ended at once: 58 seconds are left for two
    second = budget.share()
    now[0] = 130.9
    assert not second()
    now[0] = 131.0
    assert second()
    now[0] = 170.0
    assert budget.share()()
    assert not TimeBudget(None, clock=lambda: now[0]).share()()


def test_stop_is_asked_between_measurements_and_what_is_known_costs_nothing(tmp_path):
    layer, log = suite("resnet18")[9], tmp_path / "a.log"
    space = compile(layer)

    def search(**options):
        searcher = RandomSearcher(search_space(space), seed=1)
        return tune(searcher, SimulatorMeasurer(space), trials=20, log=log, **options)

    asked = []
    once = search(stop=lambda: bool(asked.append(1)) or len(asked) == 3)
    assert (once.ended, len(once.trials), once.interrupted) == (STOPPED, 3, False)
    again = search(stop=lambda: True)
    assert [t.recorded for t in again.trials] == [True] * 3 + [False]
    assert [t.index for t in again.trials[:3]] == [t.index for t in once.trials]
    patient = search(early_stopping=4)
    best = patient.best.number
    assert (patient.ended, len(patient.trials)) == (EARLY, best + 4)
    whole = search()
    assert (whole.ended, len(whole.trials)) == ("", 20)
    assert Simulator(space).cycles(whole.best.index) == min(
        Simulator(space).cycles(t.index) for t in whole.trials
    )


def test_minutes_end_a_run_which_goes_on_from_its_log(layers):
    words = ("tune", layers, "--gap", 0, "--format", "json", "--minutes")
    first = run(*words, 1e-9)
    assert "2 of 2 layers were cut short by --minutes 1e-09" in first.stderr
    assert [row["measured"] for row in json.loads(first.stdout)] == [1, 1]
    again = run(*words, 1e-9, "--network")
    total = json.loads(again.stdout)
    assert [row["from_log"] for row in total["layers"]] == [1, 1]
    assert not total["total"]["missing"]
    # without --trials nothing but the space ends a layer
    everything = json.loads(run(*words, 60).stdout)
    measured = [row["measured"] + row["from_log"] for row in everything]
    grid = json.loads(run("report", layers, "--format", "json").stdout)
    assert measured == [row["feasible_programs"] for row in grid]


def test_early_stopping_says_so(layers):
    found = run("tune", layers, "--early-stopping", 1, "--gap", 0, "--format", "json")
    assert "2 of 2 layers ended after 1 measurements without a new best" in found.stderr
    limits = {"--minutes": ("0", "nan", "inf", "-1", "soon"), "--early-stopping": ("0", "x")}
    for option, values in limits.items():
        for value in values:
            error = run("tune", layers, option, value, code=2).stderr
            assert option in error
            assert error.count("\n") == 1


def test_report_has_a_total_of_a_suite(layers):
    rows = json.loads(run("report", layers, "--format", "json").stdout)
    feasible, size = (sum(row[key] for row in rows) for key in ("feasible", "configurations"))
    line = f"2 layers, 5 with their counts: {feasible:,} of {size:,} configurations feasible"
    assert line in run("report", layers).stdout
    assert "with their counts" not in run("report", "resnet18.C11").stdout


def test_a_scheduler_measures_what_this_process_does(layers):
    distributed = pytest.importorskip("dask.distributed")
    words = ("tune", layers, "--gap", 0, "--trials", 10, "--format", "json", "--free")
    words += ("--free-gap", 100)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        there = run(*words, "--log", "there.log", "--scheduler", cluster.scheduler_address)
    here = run(*words, "--log", "here.log")
    assert json.loads(there.stdout) == json.loads(here.stdout)
    beside = [Path(f"{name}.log.free.json").read_text() for name in ("there", "here")]
    assert beside[0] == beside[1]
    assert all(row["measured"] == 10 for row in json.loads(there.stdout))
    for address, more in (("http://a:1", ()), ("tcp://", ()), ("tcp://a:1", ("--jobs", 2))):
        error = run("tune", layers, "--scheduler", address, *more, code=2).stderr
        assert "--scheduler" in error
        assert error.count("\n") == 1
