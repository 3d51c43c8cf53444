"""Complete runs of AutoTVM's own tuners."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from tvm import autotvm
from tvm.autotvm.measure import MeasureErrorNo
from tvm.autotvm.tuner import GATuner, GridSearchTuner, RandomTuner, XGBTuner

import vtacsp
from vtacsp import ConfigError, Problem, ProgramError, SpaceError, VTAConfig
from vtacsp.autotvm import (
    SimulatorBuilder,
    SimulatorRunner,
    create_task,
    measure_option,
    prune,
    seed,
)
from vtacsp.autotvm.pruning import HAS_FILTER
from vtacsp.errors import DeadlockError, RaceError
from vtacsp.rules.symbols import tile_co
from vtacsp.tune import FeasibleGrid, diverse, error_of, lowest_bounds, ranked, uniform

(C10,) = vtacsp.find_workloads("resnet18.C10")
FEASIBLE = vtacsp.compile(C10)


def xgb(task):
    return XGBTuner(task, 16, feature_type="knob", loss_type="reg", num_threads=1)


TUNERS = {
    "xgb": xgb,
    "ga": lambda task: GATuner(task, pop_size=20),
    "random": RandomTuner,
    "grid": GridSearchTuner,
}


def run(tuner, n, cost, log=None):
    """Indices and error numbers in the order of measurement."""
    measured = []

    def watch(_, inputs, results):
        for one, result in zip(inputs, results, strict=True):
            index = one.config.to_json_dict()["index"]
            measured.append((index, MeasureErrorNo(result.error_no), result))

    callbacks = [watch, *([autotvm.callback.log_to_file(str(log))] if log else [])]
    tuner.tune(n, measure_option(simulator=cost), callbacks=callbacks)
    return measured


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(1)
    np.random.seed(1)


@pytest.mark.parametrize("name", TUNERS)
def test_not_one_measurement_fails_on_a_pruned_task(name, cost):
    task = create_task(C10)
    prune(task)
    tuner = TUNERS[name](task)
    measured = run(tuner, 150, cost)
    assert {error for _, error, _ in measured} == {MeasureErrorNo.NO_ERROR}
    indices = [index for index, _, _ in measured]
    assert set(indices) <= set(FEASIBLE.indices.tolist())
    if name == "ga" and HAS_FILTER:  # AutoTVM's measures some twice since it knows filters
        assert len(indices) == 150
        return
    assert sorted(indices) == FEASIBLE.indices.tolist()  # each once, then it ends
    best = min(indices, key=cost(C10, VTAConfig()).cycles)
    assert tuner.best_config.to_json_dict()["index"] == best


def test_the_same_without_pruning_fails_most_of_the_time(cost):
    task = create_task(C10)
    measured = run(
        XGBTuner(task, 32, feature_type="knob", loss_type="reg", num_threads=1), 72, cost
    )
    problem = Problem(C10, VTAConfig())
    errors = Counter(error for _, error, _ in measured)
    assert errors[MeasureErrorNo.NO_ERROR] < len(measured) == 72
    assert errors[MeasureErrorNo.COMPILE_HOST] > 0
    for index, error, result in measured:
        cause = problem.causes([index])[0]
        assert error == error_of(cause)
        if cause != "ok":
            _, exception = result.costs
            assert isinstance(exception, ProgramError)
            assert exception.cause == cause


@pytest.mark.parametrize("name", ["xgb", "ga", "random"])
@pytest.mark.parametrize("pruned", [True, False])
def test_the_first_batch_is_ours(name, pruned, cost):
    task = create_task(C10)
    if pruned:
        prune(task)
    tuner = TUNERS[name](task)
    chosen = seed(tuner, 12, "diverse", random_seed=3)
    expected = FEASIBLE.sample(12, seed=3, method="diverse")
    assert chosen == [FEASIBLE.knob_space.index(config) for config in expected]
    indices = [index for index, _, _ in run(tuner, 24, cost)]
    assert indices[:12] == chosen
    assert name == "ga" or len(set(indices)) == 24


def test_a_seeded_random_tuner_still_exhausts_the_space(cost):
    task = create_task(C10)
    prune(task)
    tuner = RandomTuner(task)
    seed(tuner, 30)
    assert sorted(i for i, _, _ in run(tuner, 500, cost)) == FEASIBLE.indices.tolist()


def test_a_method_is_a_function_from_a_space_to_configurations(cost):
    def worst_indices(space, n, _):
        return space.indices()[-n:]

    def first_configs(space, n, _):
        return [space.config(space.index(rank)) for rank in range(n)]

    for method, expected in (
        (worst_indices, FEASIBLE.indices[-5:].tolist()),
        (first_configs, FEASIBLE.indices[:5].tolist()),
        (diverse, diverse(FeasibleGrid(FEASIBLE), 5)),
    ):
        tuner = xgb(create_task(C10))
        assert seed(tuner, 5, method) == expected
        assert [i for i, _, _ in run(tuner, 5, cost)] == expected


SPACE = FeasibleGrid(FEASIBLE)
BATCHES = {
    "uniform": uniform(SPACE, 6, 7),
    "diverse": diverse(SPACE, 6, 7),
    "lowest_bounds": lowest_bounds(SPACE, 6),
    "ranked": ranked(SPACE, 6, vtacsp.Simulator(C10).cycles_many),
}


@pytest.mark.parametrize("name", BATCHES)
def test_the_strategies_of_tune_by_name(name):
    assert seed(xgb(create_task(C10)), 6, name, random_seed=7) == BATCHES[name]


@pytest.mark.parametrize("name", BATCHES)
def test_the_strategies_keep_to_a_pruned_space(name):
    """Rules of the user's, and one configuration per program."""
    task = create_task(C10)
    rule = vtacsp.Rule.of("mine", tile_co == 1, "more than one block of output channels")
    left = prune(task, rules=[rule], distinct=True)
    chosen = seed(xgb(task), len(left), name)
    assert sorted(chosen) == left.indices.tolist()
    assert len(chosen) < FEASIBLE.programs()


def test_what_cannot_be_seeded():
    task = create_task(C10)
    infeasible = next(i for i in range(480) if i not in set(FEASIBLE.indices.tolist()))
    for tuner, arguments, says in (
        (GridSearchTuner(task), (5,), "a GridSearchTuner has no first batch"),
        (xgb(task), (133,), "132 are feasible"),
        (xgb(task), (5, "nonsense"), "unknown method 'nonsense'; known are uniform, diverse"),
        (xgb(task), (2, lambda *_: []), "returned 0 configurations"),
        (xgb(task), (2, lambda *_: [infeasible] * 2), "is not feasible"),
        (xgb(task), (2, lambda space, *_: [space.index(0)] * 2), "1 of them different"),
        (GATuner(task, pop_size=10), (11,), "a generation of this GATuner has 10"),
    ):
        with pytest.raises(SpaceError, match=says):
            seed(tuner, *arguments)


def test_a_log_goes_round(cost, tmp_path):
    task = create_task(C10)
    log = tmp_path / "tune.log"
    measured = run(RandomTuner(task), 200, cost, log)
    model = cost(C10, VTAConfig())
    records = list(autotvm.record.load_from_file(str(log)))
    assert len(records) == len(measured) == 200
    for (index, error, result), (loaded, theirs) in zip(measured, records, strict=True):
        assert loaded.config.index == index
        assert vtacsp.autotvm.tvm_task.config_of(loaded.config) == FEASIBLE.knob_space.config(index)
        assert theirs.error_no == error
        assert loaded.task.workload == task.workload
        if error == 0:
            assert theirs.costs == result.costs == (model.cycles(index) / 1e8,)
    with autotvm.apply_history_best(str(log)) as history:
        best = history.query(task.target, task.workload)
    ran = [index for index, error, _ in measured if error == 0]
    assert best.index == min(ran, key=model.cycles)


def test_a_log_of_a_pruned_run_loads_and_has_the_indices_of_the_grid(cost, tmp_path):
    task = create_task(C10)
    prune(task)
    log = tmp_path / "tune.log"
    run(RandomTuner(task), 132, cost, log)
    for loaded, _ in autotvm.record.load_from_file(str(log)):
        config = vtacsp.autotvm.tvm_task.config_of(loaded.config)
        assert FEASIBLE.knob_space.index(config) == loaded.config.index
        assert config in FEASIBLE


@pytest.mark.parametrize("loss", ["reg", "rank-binary"])
def test_the_tuner_learns_from_a_log(loss, cost, tmp_path):
    """``load_history`` on a pruned task, with the log of one that was not."""
    if loss == "rank-binary" and not hasattr(autotvm.tuner.xgboost_cost_model, "_binarize_evals"):
        pytest.skip("this TVM has no rank-binary")
    task = create_task(C10)
    log = tmp_path / "tune.log"
    run(RandomTuner(task), 100, cost, log)
    prune(task)
    tuner = XGBTuner(task, plan_size=16, feature_type="knob", loss_type=loss, num_threads=1)
    tuner.load_history(autotvm.record.load_from_file(str(log)), min_seed_records=50)
    measured = run(tuner, 20, cost)
    assert {error for _, error, _ in measured} == {MeasureErrorNo.NO_ERROR}


def test_loop_features_as_by_default(cost):
    task = create_task(C10)
    prune(task)
    tuner = XGBTuner(task, 16, loss_type="reg", num_threads=1)
    assert {error for _, error, _ in run(tuner, 24, cost)} == {MeasureErrorNo.NO_ERROR}
    assert tuner.train_ct == 1


SMALL = [
    vtacsp.Conv2D(name="conv", batch=1, in_channels=32, height=7, width=7, out_channels=32,
                  kernel=(3, 3), padding=(1, 1), bias=True),
    vtacsp.GroupConv2D(name="group", batch=1, in_channels=64, height=7, width=7, out_channels=64,
                       kernel=(3, 3), padding=(1, 1), groups=2),
    vtacsp.Conv2DTranspose(name="transpose", batch=1, in_channels=32, height=4, width=4,
                           out_channels=32, kernel=(4, 4), stride=(2, 2), padding=(1, 1)),
    vtacsp.Dense(name="dense", batch=1, in_features=128, out_features=128),
]  # fmt: skip


@pytest.mark.parametrize("workload", SMALL, ids=lambda w: w.name)
def test_every_operator_fails_as_the_stack_would(workload, cost):
    task = create_task(workload)
    problem = Problem(workload, VTAConfig())
    option = measure_option(workload=workload, simulator=cost)
    measured = []
    GridSearchTuner(task).tune(
        10_000, option, callbacks=[lambda _, i, results: measured.extend(results)]
    )
    causes = problem.causes(range(len(problem.knob_space)))
    assert [result.error_no for result in measured] == [error_of(cause) for cause in causes]
    seen = {MeasureErrorNo(result.error_no) for result in measured}
    assert {MeasureErrorNo.NO_ERROR, MeasureErrorNo.COMPILE_HOST} <= seen


def test_error_numbers_are_those_of_autotvm():
    theirs = {e.name: e.value for e in MeasureErrorNo}
    assert {e.name: e.value for e in vtacsp.tune.MeasureErrorNo} == theirs


@pytest.mark.parametrize(
    ("failure", "number"),
    [
        (ProgramError("uop_hazard", "an accumulator"), MeasureErrorNo.RUNTIME_DEVICE),
        (ProgramError("my own rule", "refused"), MeasureErrorNo.INSTANTIATION_ERROR),
        (RaceError("load and compute"), MeasureErrorNo.WRONG_ANSWER),
        (DeadlockError("every module waits"), MeasureErrorNo.RUN_TIMEOUT),
    ],
    ids=lambda value: getattr(value, "cause", ""),
)
def test_a_model_that_refuses_is_an_error_of_the_measurement(failure, number):
    class Refuses:
        def __init__(self, *_):
            pass

        def cycles(self, index):
            raise failure

    task = create_task(C10)
    prune(task)
    measured = run(RandomTuner(task), 3, Refuses)
    assert [error for _, error, _ in measured] == [number] * 3


def test_the_wrong_machine_is_found_before_anything_is_measured(cost):
    tuner = RandomTuner(create_task(C10))
    option = autotvm.measure_option(SimulatorBuilder(), SimulatorRunner(simulator=cost))
    tuner.tune(2, option)
    other = vtacsp.suite("resnet18")[0]
    for option in (
        autotvm.measure_option(SimulatorBuilder(workload=other), SimulatorRunner(simulator=cost)),
        measure_option(workload=other, simulator=cost),
    ):
        with pytest.raises(ConfigError, match="tile_h has the candidates"):
            tuner.tune(2, option)
