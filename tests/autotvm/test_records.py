"""Logs of vtacsp.tune in AutoTVM, logs of AutoTVM in vtacsp.tune."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tvm import autotvm
from tvm.autotvm.tuner import RandomTuner, XGBTuner

import vtacsp
from vtacsp.autotvm import create_task, measure_option, prune
from vtacsp.autotvm.tvm_task import config_of
from vtacsp.tune import (
    FunctionMeasurer,
    RandomSearcher,
    SimulatorMeasurer,
    Task,
    WholeGrid,
    load_records,
    tune,
)

(C10,), (C11,) = (vtacsp.find_workloads(f"resnet18.{name}") for name in ("C10", "C11"))
LAYERS = [
    C10,
    vtacsp.GroupConv2D(name="group", batch=1, in_channels=64, height=7, width=7, out_channels=64,
                       kernel=(3, 3), padding=(1, 1), groups=2),
    vtacsp.Conv2DTranspose(name="transpose", batch=1, in_channels=32, height=4, width=4,
                           out_channels=32, kernel=(4, 4), stride=(2, 2), padding=(1, 1)),
    vtacsp.Dense(name="dense", batch=1, in_features=128, out_features=160),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(1)
    np.random.seed(1)


def theirs(layer, n, cost, path, pruned=False):
    """A log of AutoTVM's RandomTuner, at most ``n`` records; the task."""
    task = create_task(layer)
    if pruned:
        prune(task)
    option = measure_option(workload=layer, simulator=cost)
    RandomTuner(task).tune(n, option, callbacks=[autotvm.callback.log_to_file(str(path))])
    return task


def ours(layer, n, path):
    """What ``vtacsp.tune`` measures on the whole grid, into a log."""
    return tune(RandomSearcher(WholeGrid(layer)), SimulatorMeasurer(layer), trials=n, log=path)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda w: w.name)
def test_autotvm_loads_our_log(layer, tmp_path):
    path = tmp_path / "ours.log"
    result = ours(layer, 40, path)
    assert 0 < result.failed < len(result.trials)
    task = create_task(layer)
    loaded = list(autotvm.record.load_from_file(str(path)))
    assert len(loaded) == len(result.trials) == min(40, len(task.config_space))
    for (measured, seen), trial in zip(loaded, result.trials, strict=True):
        assert str(measured.target) == str(task.target)
        assert measured.task.workload == task.workload
        # the entity of the real task, as AutoTVM itself writes it: the outer factor is left open
        written = autotvm.record.encode(
            autotvm.MeasureInput(task.target, task, task.config_space.get(trial.index)), seen
        )
        again, _ = autotvm.record.decode(written)
        assert measured.config.index == trial.index
        assert {k: str(e) for k, e in measured.config._entity_map.items()} == {
            k: str(e) for k, e in again.config._entity_map.items()
        }
        assert seen.error_no == trial.result.error
        assert seen.costs == (trial.result.costs or (1e9,))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda w: w.name)
def test_autotvm_picks_our_best(layer, tmp_path):
    path, picked = tmp_path / "ours.log", tmp_path / "best.log"
    result = ours(layer, 40, path)
    task = create_task(layer)
    with autotvm.apply_history_best(str(path)) as history:
        best = history.query(task.target, task.workload)
    assert best.index == result.best.index
    assert config_of(best) == result.best_config
    with task.target:
        task.instantiate(best)  # the template takes it
    autotvm.record.pick_best(str(path), str(picked))
    (record,) = load_records(picked)
    assert record.index == result.best.index
    assert record.task.matches(Task.of(layer, vtacsp.VTAConfig()))


def test_autotvm_skips_a_line_that_was_torn(tmp_path):
    path = tmp_path / "ours.log"
    ours(C10, 10, path)
    text = path.read_text()
    path.write_text(text[:-50])
    result = ours(C10, 12, path)
    assert result.measured == 3
    assert len(list(autotvm.record.load_from_file(str(path)))) == 12


def test_their_tuner_learns_from_our_log(tmp_path):
    path = tmp_path / "ours.log"
    ours(C10, 100, path)
    task = create_task(C10)
    prune(task)
    tuner = XGBTuner(task, 16, feature_type="knob", loss_type="reg", num_threads=1)
    tuner.load_history(autotvm.record.load_from_file(str(path)), min_seed_records=50)
    assert tuner.cost_model.base_model is not None
    seen = []
    tuner.tune(16, measure_option(), callbacks=[lambda _, inputs, results: seen.extend(results)])
    assert [result.error_no for result in seen] == [0] * 16


@pytest.mark.parametrize("layer", LAYERS, ids=lambda w: w.name)
@pytest.mark.parametrize("pruned", [False, True])
def test_we_load_their_log(layer, pruned, cost, tmp_path):
    path = tmp_path / "theirs.log"
    task = theirs(layer, 40, cost, path, pruned)
    grid = vtacsp.KnobSpace.of(layer, vtacsp.VTAConfig())
    records = load_records(path)
    loaded = list(autotvm.record.load_from_file(str(path)))
    assert len(records) == len(loaded) == min(40, len(task.config_space))
    for record, (measured, seen) in zip(records, loaded, strict=True):
        assert record.task.matches(Task.of(layer, vtacsp.VTAConfig()))
        assert record.task.name == task.name
        assert record.index == measured.config.index
        assert record.config == grid.config(record.index) == config_of(measured.config)
        assert record.result.error == seen.error_no
        assert record.result.ok or not pruned
        assert record.result.costs == (seen.costs if seen.error_no == 0 else ())
        assert record.result.timestamp == seen.timestamp


def test_nothing_in_their_log_is_measured_again(cost, tmp_path):
    """Their records first, then the rest of the grid, once each; other layers do not count."""
    path = tmp_path / "theirs.log"
    theirs(C10, 150, cost, path)
    theirs(C11, 20, cost, path)
    known = {record.index for record in load_records(path)[:150]}
    asked = []

    def seconds(index):
        asked.append(index)
        return 1.0 + index

    grid = WholeGrid(C10)
    for _ in range(2):  # the second run finds everything
        result = tune(
            RandomSearcher(grid, seed=3), FunctionMeasurer(seconds), trials=len(grid), log=path
        )
        assert sorted(trial.index for trial in result.trials) == list(range(len(grid)))
        assert {trial.index for trial in result.trials if trial.recorded} >= known
        assert sorted(asked) == sorted(set(range(len(grid))) - known)
    assert result.measured == 0
    assert result.best.index in known  # theirs take microseconds
    assert result.best.result.seconds == min(
        r.result.seconds for r in load_records(path) if r.task.matches(Task.of(C10, grid.hardware))
    )
