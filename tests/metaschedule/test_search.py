"""Tuning by MetaSchedule measures what can run, finds the best, and its records read back."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import vtacsp
from vtacsp import Problem, Rule, SpaceError
from vtacsp.rules.symbols import h_nthread, oc_nthread, tile_h
from vtacsp.timing import simulate_all
from vtacsp.tune.initial import diverse, lowest_bounds

pytest.importorskip("tvm.s_tir.meta_schedule", reason="needs the extra tvm: pip install '.[tvm]'")
from tvm.ir import IRModule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

from tests.support.tir import HARDWARE, LAYERS, scheduled
from vtacsp import metaschedule as vms

FAILED = 1e9  # seconds; MetaSchedule records 1e10 for what failed
TARGET = Target(vms.TARGET)


def measured(database):
    """Configurations and seconds in the order of measurement."""
    path = Path(database.path_tuning_record)
    records = {
        tuple(vms.config_of(record.trace).items()): float(record.run_secs[0])
        for record in database.get_all_tuning_records()
    }
    assert len(records) == len(path.read_text().splitlines()), "a configuration came twice"
    return records


def tune(layer, folder, **options):
    return vms.tune(layer, work_dir=folder, **options)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_the_best_of_an_exhausted_layer(layer, tmp_path):
    space, simulator = vtacsp.compile(layer), vtacsp.Simulator(layer)
    result = tune(layer, tmp_path, trials=1000, batch=16)
    least = min(simulate_all(simulator).cycles)
    assert result.cycles == simulator.cycles(result.config) == least
    found = measured(result.database)
    assert len(found) == space.programs()
    assert max(found.values()) < FAILED
    assert all(dict(config) in space for config in found)
    # from the files alone
    database = ms.database.JSONDatabase(work_dir=str(tmp_path))
    again = vms.best(database, layer)
    assert (again.config, again.cycles) == (result.config, result.cycles)


def test_the_first_generation_is_ours(tmp_path):
    layer = LAYERS["conv"]
    space = vtacsp.compile(layer).collapsed()
    ours = [space.index(rank) for rank in (7, 3, 11, 3)]
    result = tune(layer, tmp_path, trials=3, initial=lambda *_: ours)
    indices = {space.knob_space.index(dict(config)) for config in measured(result.database)}
    assert indices == set(ours)


def test_an_infeasible_initialisation_is_an_error_with_the_cause(tmp_path):
    problem = Problem(LAYERS["conv"], HARDWARE)
    causes = problem.causes(range(len(problem.knob_space)))
    wrong = next(i for i, cause in enumerate(causes) if cause != "ok")
    with pytest.raises(SpaceError, match=f"index {wrong} is not feasible: {causes[wrong]}"):
        tune(LAYERS["conv"], tmp_path, initial=lambda *_: [wrong])


def test_tuning_goes_on_where_it_ended(tmp_path):
    layer, calls = LAYERS["conv"], []

    def counted(*problem):
        calls.append(problem)
        return vms.simulated_cycles(*problem)

    for trials, total in ((6, 6), (6, 12), (1000, vtacsp.compile(layer).programs())):
        result = vms.tune(layer, work_dir=tmp_path, cycles=counted, trials=trials, batch=4)
        assert len(measured(result.database)) == len(calls) == total


def test_a_seed_gives_one_run(tmp_path):
    def order(folder, seed):
        result = tune(LAYERS["grouped"], tmp_path / folder, trials=10, batch=5, seed=seed)
        lines = Path(result.database.path_tuning_record).read_text().splitlines()
        return [json.loads(line)[1][0] for line in lines]

    first = order("a", 1)
    assert first == order("b", 1) != order("c", 2)


def test_a_population_smaller_than_the_space_evolves(tmp_path):
    strategy = vms.FeasibleSearch(population_size=6, eps_greedy=0.2)
    database = own_loop(vms.prim_func(LAYERS["conv"]), tmp_path, strategy, trials=24)
    assert len(measured(database)) == 24


@pytest.mark.parametrize("initial", [diverse, lambda space, n, _: lowest_bounds(space, n)])
def test_our_initialisations_fit(initial, tmp_path):
    result = tune(LAYERS["conv"], tmp_path, trials=6, initial=initial)
    assert len(measured(result.database)) == 6


def test_rules_of_your_own_hold(tmp_path):
    rule = Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "one thread")
    result = tune(LAYERS["conv"], tmp_path, trials=1000, rules=[rule])
    found = measured(result.database)
    assert len(found) == vtacsp.compile(LAYERS["conv"], rules=[rule]).programs()
    assert all(dict(c)["oc_nthread"] == dict(c)["h_nthread"] == 1 for c in found)


def test_nothing_feasible_is_an_error(tmp_path):
    never = Rule.of("never", tile_h < 1, "nothing")
    with pytest.raises(SpaceError, match="conv has no feasible configuration"):
        tune(LAYERS["conv"], tmp_path, rules=[never])


def test_the_level_of_the_log_stays(tmp_path, capfd):
    logger = logging.getLogger("tvm.s_tir.meta_schedule")
    tune(LAYERS["dense"], tmp_path, trials=1)
    assert logger.level == logging.ERROR
    assert "TaskScheduler" not in capfd.readouterr().out


def test_a_measurement_that_fails_costs_one_result(tmp_path):
    def broken(*_):
        raise RuntimeError("the board is gone")

    with pytest.raises(SpaceError, match=r"no measurement of conv on .* that succeeded"):
        vms.tune(LAYERS["conv"], work_dir=tmp_path, cycles=broken, trials=5)


# ---------------------------------------------------------------- parts, in a loop of one's own


def own_loop(mod, folder, strategy, trials=12):
    return ms.tune_tir(
        mod,
        TARGET,
        work_dir=str(folder),
        max_trials_global=trials,
        num_trials_per_iter=6,
        builder=vms.SimulatorBuilder(),
        runner=vms.SimulatorRunner(),
        space=vms.space_generator(),
        strategy=strategy,
        num_tuning_cores=1,
        seed=3,
    )


@pytest.mark.parametrize("kind", ["evolutionary", "replay-trace"])
def test_metaschedules_own_strategies_propose_only_what_runs(kind, tmp_path):
    small = {"population_size": 12, "init_min_unmeasured": 6, "genetic_num_iters": 1}
    options = small if kind == "evolutionary" else {}
    strategy = ms.search_strategy.create(kind, **options)
    database = own_loop(vms.prim_func(LAYERS["conv"]), tmp_path, strategy)
    records, space = database.get_all_tuning_records(), vtacsp.compile(LAYERS["conv"])
    assert len(records) == 12
    assert all(float(record.run_secs[0]) < FAILED for record in records)
    assert all(vms.config_of(record.trace) in space for record in records)


def test_two_layers_share_a_loop_and_a_database(tmp_path):
    layers = [LAYERS["dense"], LAYERS["plain"]]
    mod = IRModule({layer.name: vms.prim_func(layer) for layer in layers})
    database = own_loop(mod, tmp_path, vms.FeasibleSearch(), trials=1000)
    for layer in layers:
        least = min(simulate_all(vtacsp.Simulator(layer)).cycles)
        assert vms.best(database, layer).cycles == least


def test_a_move_leads_to_a_neighbour():
    function, space = vms.prim_func(LAYERS["conv"]), vtacsp.compile(LAYERS["conv"])
    move = vms.FeasibleMove()
    ms.TuneContext(
        IRModule({"main": function}),
        target=TARGET,
        space_generator=ms.space_generator.ScheduleFn(vms.apply, [], [], {move: 1.0}),
        rand_state=1,
    )
    for config in space.sample(10):
        moved = vms.config_of(move.apply(scheduled(function, config).trace))
        assert moved in space.neighbours(config)


def test_builder_and_runner_name_the_cause():
    layer = LAYERS["transposed"]
    problem = Problem(layer, HARDWARE)
    causes = problem.causes(range(len(problem.knob_space)))
    runs = {"ok", "wrong_result", "race"}
    assert runs < set(causes)
    function, builder = vms.prim_func(layer), vms.SimulatorBuilder()
    runner = vms.SimulatorRunner()
    for cause in set(causes):
        config = problem.knob_space.config(causes.index(cause))
        mod = scheduled(function, config).mod
        (built,) = builder.build([ms.builder.BuilderInput(mod, TARGET)])
        if cause not in runs:
            assert built.artifact_path is None
            assert built.error_msg.startswith(f"{cause}: ")
            continue
        (future,) = runner.run([ms.runner.RunnerInput(built.artifact_path, "cpu", [])])
        result = future.result()
        if cause == "ok":
            seconds = float(result.run_secs[0])
            assert seconds == pytest.approx(vtacsp.Simulator(layer).cycles(config) / 100e6)
        else:
            assert (result.run_secs, result.error_msg) == (None, cause)
        ms.utils.remove_build_dir(built.artifact_path)
        assert not Path(built.artifact_path).parent.exists()
    (built,) = builder.build([ms.builder.BuilderInput(IRModule({"main": function}), TARGET)])
    assert "no schedule of vtacsp" in built.error_msg
