"""A new operator is one folder and one line of the registry: everything else takes it as it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

import vtacsp
from tests.support.commands import run
from tests.support.golden import cause_of
from vtacsp import Simulator, VTAConfig, WorkloadError
from vtacsp.free import geometry
from vtacsp.functional import execute, random_operands, reference, verdict
from vtacsp.operators.arguments import Arguments
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.registry import OPERATORS, part
from vtacsp.timing import simulate_all
from vtacsp.tune import (
    RandomSearcher,
    SimulatorMeasurer,
    Task,
    cycle_bounds,
    load_records,
    search_space,
    tune,
)
from vtacsp.tune.task_knobs import knobs_of

RELU = [{"op": "max", "value": 0}, {"op": "shift_right", "by": 8}, {"op": "cast", "dtype": "int8"}]
SMALL = VTAConfig(log_inp_buff_size=8, log_wgt_buff_size=12, log_acc_buff_size=9)
MACHINES = {
    "default": (VTAConfig(), {}),
    "small": (SMALL, {"bias": True}),
    "few micro-ops": (VTAConfig(log_uop_buff_size=3), {"epilogue": RELU}),
    "batched": (VTAConfig(log_batch=1, log_uop_buff_size=5), {}),
}
SIZES = {"name": "toy", "op": "matmul", "batch": 4, "inner": 128, "columns": 64}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The line."""
    monkeypatch.setitem(OPERATORS, "matmul", ("tests.support.toy", "MatMul"))


def layer(**more):
    return vtacsp.workload_from_dict({**SIZES, **more})


@pytest.mark.parametrize("name", MACHINES)
def test_rules_and_programs_agree_on_every_configuration(name):
    machine, more = MACHINES[name]
    workload = layer(**more)
    space = vtacsp.compile(workload, machine)
    causes = space.problem.causes(range(len(space.knob_space)))
    assert 0 < len(space) == causes.count("ok")
    operands = random_operands(workload, machine)
    right = reference(workload, machine, operands)
    for index, cause in enumerate(causes):
        built = cause_of(workload, machine, index)
        assert built == ("ok" if cause == "wrong_result" else cause), index
        assert verdict(workload, machine, index) == cause, index
        if cause == "ok":
            program = vtacsp.build(workload, machine, index)
            assert np.array_equal(execute(program, operands).output, right), index


def test_some_configurations_fail_in_every_way():
    causes = {
        c
        for m, more in MACHINES.values()
        for c in vtacsp.compile(layer(**more), m).problem.causes(range(36))
    }
    assert causes == {"ok", "sram:acc", "sram:inp", "sram:wgt", "sram:uop", "wrong_result"}


def test_cp_sat_and_the_compiled_space_agree():
    from vtacsp.space.cpsat import enumerate_feasible

    space = vtacsp.compile(layer(), SMALL)
    assert enumerate_feasible(space.problem) == space.indices.tolist()
    broken = space.explain(space.knob_space.config(35)).violations
    assert {v.rule for v in broken} == {"sram:acc", "sram:inp", "sram:wgt"}


@pytest.mark.parametrize(
    "machine", [VTAConfig(), MACHINES["batched"][0]], ids=["default", "batched"]
)
def test_cycles_are_counted_and_bounded(machine):
    device = Simulator(layer(), machine)
    everything = simulate_all(device)
    bounds = cycle_bounds(device.space.problem, device.space.indices)
    cycles = device.cycles_many(device.space.indices.tolist())
    assert min(everything.cycles) == cycles.min()
    assert (bounds > 0).all()
    assert (bounds <= cycles).all()


def test_it_is_tuned_and_its_log_reads_back(tmp_path):
    space = search_space(layer())
    log = tmp_path / "toy.log"
    result = tune(RandomSearcher(space, seed=1), SimulatorMeasurer(layer()), trials=9, log=log)
    records = load_records(log)
    assert [r.index for r in records] == [trial.index for trial in result.trials]
    assert records[0].config == space.config(records[0].index)
    task = Task.of(layer(), VTAConfig())
    assert records[0].task.matches(task)
    assert knobs_of(task) == vtacsp.KnobSpace.of(layer(), VTAConfig())
    read = part("matmul", "task").read(Arguments(task), VTAConfig(), bias=False)
    assert Task.of(read, VTAConfig()) == task


def test_the_command_line_knows_it(tmp_path):
    file = tmp_path / "toy.json"
    file.write_text(json.dumps(layer().to_dict()))
    machine = tmp_path / "vta_config.json"
    machine.write_text(json.dumps(SMALL.to_dict()))
    rows = run("enumerate", file, "--format", "csv").output.splitlines()
    assert rows[0] == "index,tile_b,tile_ci,tile_co"
    assert len(rows) - 1 == len(vtacsp.compile(layer()))
    assert "toy" in run("report", file).output
    assert "sram" in run("explain", file, "--hardware", machine, "--index", 35).output
    best = json.loads(run("best", file, "--format", "json").stdout)[0]
    assert best["cycles"] == min(simulate_all(Simulator(layer())).cycles)


def test_a_part_that_it_does_not_have_is_one_line():
    with pytest.raises(WorkloadError, match="the operator matmul has no geometry"):
        geometry(layer(), VTAConfig())


def test_without_a_filling_it_fills_blocks_by_itself():
    found = fill_blocks(layer(), VTAConfig())
    assert (found.workload, found.remarks) == (layer(), ())
    odd = fill_blocks(layer(columns=60), VTAConfig())
    assert odd.workload == layer(columns=60)
    with pytest.raises(WorkloadError, match="columns is 60, not a multiple of the block"):
        odd.embed(np.zeros((4, 128)), np.zeros((60, 128)))
    data, weight = np.ones((4, 128), np.int8), np.ones((64, 128), np.int8)
    assert found.embed(data, weight).weight.shape == (4, 8, 16, 16)
