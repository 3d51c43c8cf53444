"""One object carries layer, machine and rules; what is made from it cannot change machines."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtacsp
from tests.support import DATA
from tests.support.strategies import machines, workloads
from vtacsp import (
    FeasibleSpace,
    HardwareError,
    MeasureError,
    ProgramError,
    Simulator,
    VTAConfig,
    WorkloadError,
    find_workloads,
    workload_from_dict,
)
from vtacsp.rules.symbols import h_nthread, oc_nthread
from vtacsp.timing.exhaustive import simulate_all
from vtacsp.tune import (
    ExecutorMeasurer,
    FeasibleGrid,
    FunctionMeasurer,
    RandomSearcher,
    SimulatorMeasurer,
    TuningLog,
    WholeGrid,
    load_records,
    lowest_bounds,
    presample,
    search_space,
    tune,
)

(C10,), (C11,) = (find_workloads(f"resnet18.{name}") for name in ("C10", "C11"))
SMALL = VTAConfig().replace(LOG_INP_BUFF_SIZE=14, LOG_ACC_BUFF_SIZE=15)
SPACE = vtacsp.compile(C10, SMALL)
NO_THREADS = vtacsp.Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "threads are used")

MADE = {
    "Simulator": Simulator,
    "search_space": search_space,
    "whole grid": lambda *given: search_space(*given, feasible=False),
    "WholeGrid": WholeGrid,
    "SimulatorMeasurer": SimulatorMeasurer,
}
SPACES = {
    "compiled": SPACE,
    "feasible set": FeasibleGrid(SPACE),
    "grid": WholeGrid(SPACE),
    "collapsed": SPACE.collapsed(),
    "problem": SPACE.problem,
}


def test_the_two_machines_differ_in_what_runs():
    assert 0 < len(SPACE) < len(vtacsp.compile(C10))


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_what_is_made_of_a_space_is_of_its_machine(make, space):
    made = make(space)
    assert made.hardware == SMALL != VTAConfig()
    assert made.workload == C10
    assert make(space, SMALL).hardware == SMALL  # said twice


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_second_machine_is_an_error_that_shows_both(make, space):
    with pytest.raises(HardwareError) as failure:
        make(space, VTAConfig())
    assert "sim_1x16_i8w8a32_15_14_18_15" in str(failure.value)
    assert "sim_1x16_i8w8a32_15_15_18_17" in str(failure.value)


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_bare_layer_is_on_the_default_machine_or_on_the_one_given(make):
    assert make(C10).hardware == VTAConfig()
    assert make(C10, SMALL).hardware == SMALL
    with pytest.raises(WorkloadError, match="a workload or a space of one is needed, got 'C10'"):
        make("C10")


def test_nothing_can_be_moved_to_another_machine():
    for made in (Simulator(SPACE), search_space(SPACE), SimulatorMeasurer(SPACE)):
        with pytest.raises(AttributeError):
            made.hardware = VTAConfig()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_space_gives_the_simulator_what_layer_and_machine_give_it(data):
    machine = data.draw(machines())
    layer = data.draw(workloads(machine))
    space = vtacsp.compile(layer, machine)
    simulator = Simulator(space)
    assert np.array_equal(simulator.space.indices, space.indices)
    for index in space.indices[:2].tolist():
        assert simulator.cycles(index) == Simulator(layer, machine).cycles(index)
        assert SimulatorMeasurer(space)(index).costs == (simulator.run(index).seconds,)


def test_the_rules_of_a_space_go_with_it():
    space = vtacsp.compile(C10, SMALL, [NO_THREADS])
    refused = next(i for i in SPACE.indices.tolist() if i not in space.indices)
    for of in (space, FeasibleGrid(space), WholeGrid(space), space.collapsed()):
        with pytest.raises(ProgramError, match="no_threads"):
            Simulator(of).cycles(refused)
        assert SimulatorMeasurer(of)(refused).cause == "no_threads"
        assert np.array_equal(Simulator(of).space.indices, space.indices)
    assert Simulator(SPACE).cycles(refused) > 0
    assert len(simulate_all(Simulator(space)).cycles) == len(space)
    assert set(search_space(WholeGrid(space)).indices()) == set(space.indices)
    assert set(lowest_bounds(WholeGrid(space), 8)) <= set(space.indices)
    assert set(presample(WholeGrid(space), limit=200).valid) <= set(space.indices)


def raced():
    """A layer, its space of the stack, and a configuration in it that races on the hardware."""
    cases = json.loads(gzip.decompress((DATA / "races.json.gz").read_bytes()))["cases"]
    workload = workload_from_dict(cases[0]["workload"])
    return workload, vtacsp.compile(workload, stack_only=True), cases[0]["index"]


def test_the_set_of_the_stack_stays_the_set_of_the_stack():
    workload, space, index = raced()
    assert index in space.indices
    assert index not in vtacsp.compile(workload).indices
    for of in (space, FeasibleGrid(space), WholeGrid(space), space.problem):
        assert np.array_equal(Simulator(of).space.indices, space.indices)
        assert Simulator(of).cycles(index) > 0
        assert SimulatorMeasurer(of)(index).ok
        assert index in search_space(of)
        assert index in pickle.loads(pickle.dumps(SimulatorMeasurer(of))).problem.feasible_indices()
    with pytest.raises(ProgramError, match="race"):
        Simulator(workload).cycles(index)


def test_a_search_stays_in_the_part_of_the_space_that_it_is_given():
    part = FeasibleSpace(SPACE.problem, SPACE.indices[:7].copy())
    for space in (search_space(part), search_space(FeasibleGrid(part))):
        assert space.indices().tolist() == SPACE.indices[:7].tolist()
        assert len(Simulator(space).space) == len(SPACE)  # what can be measured


def test_a_measurer_takes_machine_and_rules_to_other_processes():
    space = vtacsp.compile(C10, SMALL, [NO_THREADS])
    refused = next(i for i in SPACE.indices.tolist() if i not in space.indices)
    for made in (SimulatorMeasurer(space), pickle.loads(pickle.dumps(SimulatorMeasurer(space)))):
        assert made.hardware == SMALL
        assert [rule.name for rule in made.problem.user_rules] == ["no_threads"]
        assert made(refused).cause == "no_threads"
        assert made(int(space.indices[0])).ok


@pytest.mark.parametrize("wrap", [lambda m: m, ExecutorMeasurer], ids=["here", "processes"])
@pytest.mark.parametrize(
    ("of", "complaint"),
    [
        (C10, "the machine sim_1x16_i8w8a32_15_14_18_15, the measurer for sim_1x16_i8w8a32_15_15"),
        (vtacsp.compile(C11, SMALL), "of another layer than the space of resnet18.C10"),
    ],
    ids=["machine", "layer"],
)
def test_a_search_and_a_measurer_of_two_machines_are_refused(wrap, of, complaint, tmp_path):
    log = tmp_path / "tune.log"
    with pytest.raises(MeasureError, match=complaint):
        tune(RandomSearcher(search_space(SPACE)), wrap(SimulatorMeasurer(of)), trials=1, log=log)
    assert not log.exists()


def test_a_layer_of_another_name_is_the_same_layer():
    renamed = vtacsp.compile(replace(C10, name="mine"), SMALL)
    result = tune(RandomSearcher(search_space(SPACE)), SimulatorMeasurer(renamed), trials=2)
    assert result.failed == 0


def test_the_records_of_a_space_are_of_its_machine(tmp_path):
    log = tmp_path / "tune.log"
    tune(RandomSearcher(search_space(SPACE)), SimulatorMeasurer(SPACE), trials=3, log=log)
    tune(RandomSearcher(search_space(SPACE)), FunctionMeasurer(float), trials=5, log=log)
    assert {record.task.model for record in load_records(log)} == {SMALL.model}
    task = load_records(log)[0].task
    assert len(TuningLog(log).results(task, SPACE.knob_space)) == 5


def test_a_measurer_without_a_name_takes_no_estimate_for_its_own(tmp_path):
    log = tmp_path / "tune.log"
    for timing in (vtacsp.PYNQ, vtacsp.RTL):
        measurer = SimulatorMeasurer(SPACE, timing=timing)
        tune(RandomSearcher(search_space(SPACE), seed=1), measurer, trials=4, log=log)
    searcher = RandomSearcher(search_space(SPACE), seed=1)
    result = tune(searcher, FunctionMeasurer(float), trials=4, log=log)
    rtl = [r.result for r in load_records(log) if r.device == "simulator rtl"]
    assert [trial.result for trial in result.trials] == rtl


# -- what people copy

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = {
    **{
        f"{page.name}, block {number}": block
        for page in PAGES
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
    },
    **{path.name: path.read_text() for path in sorted((ROOT / "examples").glob("*.py"))},
}
BARE = re.compile(
    r"\b(Simulator|SimulatorMeasurer|search_space|WholeGrid|metaschedule\.\w+)\((layer|workload)\b"
)


@pytest.mark.parametrize("name", CODE)
def test_no_example_takes_the_default_machine_in_passing(name):
    assert BARE.findall(CODE[name]) == []


def test_the_examples_that_are_searched_are_there():
    assert len(CODE) > 15
    assert any("SimulatorMeasurer(space)" in code for code in CODE.values())
    assert BARE.search("searcher, SimulatorMeasurer(layer), trials=32")


def test_the_readme_stays_on_the_machine_of_its_file(tmp_path, monkeypatch):
    (tmp_path / "vta_config.json").write_text(json.dumps(SMALL.to_dict()))
    monkeypatch.chdir(tmp_path)
    names = {}
    for name in ("README.md, block 0", "README.md, block 1"):
        exec(CODE[name], names)
    assert names["space"].hardware == names["simulator"].hardware == SMALL
    assert names["searched"].hardware == names["result"].space.hardware == SMALL
    assert {r.task.model for r in load_records("c8.log")} == {SMALL.model}
    (layer,) = find_workloads("resnet18.C8")
    best = names["result"].best
    cycles = Simulator(layer, SMALL).cycles(best.index)
    assert best.result.seconds == cycles / vtacsp.RTL.clock_hz
