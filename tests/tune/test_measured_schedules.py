"""Free schedules on a measurer of one's own: what is measured decides, and goes on from its log."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from vtacsp import Conv2D, Simulator, VTAConfig
from vtacsp.errors import LogError, MeasureError, ProgramError
from vtacsp.free import Schedule, emit, search
from vtacsp.network import VTA, FreeTuning, LayerSearch, Network, Node, tune_network
from vtacsp.timing import simulate_timing
from vtacsp.tune import (
    ExecutorMeasurer,
    FunctionMeasurer,
    MeasureErrorNo,
    Measurer,
    Result,
    ScheduleLog,
    SimulatorMeasurer,
    TableMeasurer,
    measure_schedules,
)

LAYER = Conv2D(name="small", in_channels=32, height=6, width=6, out_channels=32, kernel=(3, 3),
               padding=(1, 1))  # fmt: skip
OTHER = Conv2D(name="other", in_channels=16, height=4, width=4, out_channels=32, kernel=(1, 1))
MACHINE = VTAConfig()


def reverse(program):
    """A device on which what the simulator calls fast is slow."""
    return 1 / simulate_timing(program).cycles


def by_index(index):
    return 1e-3


class Board(FunctionMeasurer):
    device = "a board"

    def __init__(self, of_program=reverse):
        super().__init__(by_index, of_program)
        self.calls = 0

    def measure_programs(self, programs):
        self.calls += len(programs)
        return super().measure_programs(programs)


@pytest.fixture(scope="module")
def found():
    return search(LAYER, MACHINE, simulations=150)


def test_a_search_hands_out_its_fastest_schedules_in_order(found):
    cycles = [n for n, _ in found.fastest]
    assert len({s for _, s in found.fastest}) == len(found.fastest) >= 8
    assert cycles == sorted(cycles)
    assert len(set(cycles)) > 3
    assert found.fastest[0] == (found.cycles, found.schedule)
    for n, schedule in found.fastest:
        assert simulate_timing(emit(schedule, LAYER, MACHINE)).cycles == n


def test_what_is_measured_decides_and_not_what_is_simulated(found):
    seen = []
    measured = measure_schedules(found, Board(), candidates=5, callback=seen.append)
    assert [(t.cycles, t.schedule) for t in measured.trials] == [*found.fastest[:5]] == [
        (t.cycles, t.schedule) for t in seen
    ]  # fmt: skip
    slowest = max(n for n, _ in found.fastest[:5])
    assert measured.best.cycles == slowest > found.cycles
    assert measured.best.result.seconds == 1 / slowest
    assert (measured.device, measured.measured, measured.failed) == ("a board", 5, 0)
    plain = measure_schedules(found, SimulatorMeasurer(LAYER))
    assert len(plain.trials) == 8
    assert plain.best.schedule == found.schedule
    assert plain.best.result.seconds == found.timing.seconds_of(found.cycles)


def act(behaviour, program):
    """What one of the programs, known by its cycles, does to who measures it."""
    what = behaviour.get(simulate_timing(program).cycles)
    if what == "crash":
        os._exit(1)
    if what == "hang":
        time.sleep(3)
    if what == "wrong":
        return Result(error=MeasureErrorNo.WRONG_ANSWER, cause="wrong numbers")
    if what == "refused":
        raise ProgramError("sram:uop", "on the board")
    return reverse(program)


def test_errors_are_results_and_the_fastest_that_is_right_is_kept(found):
    cycles = [n for n, _ in found.fastest[:6]]
    assert len({*cycles}) >= 4
    worst = sorted({*cycles})
    device = Board(partial(act, {worst[-1]: "wrong", worst[-2]: "refused"}))
    measured = measure_schedules(found, device, candidates=6)
    errors = {t.cycles: (t.result.error, t.result.cause) for t in measured.trials}
    assert errors[worst[-1]] == (MeasureErrorNo.WRONG_ANSWER, "wrong numbers")
    assert errors[worst[-2]] == (MeasureErrorNo.RUNTIME_DEVICE, "sram:uop")
    assert measured.failed == sum(n in worst[-2:] for n in cycles)
    assert measured.best.cycles == worst[-3]
    never = measure_schedules(
        found, Board(partial(act, dict.fromkeys(cycles, "wrong"))), candidates=6
    )
    assert (never.best, never.failed) == (None, 6)


@pytest.mark.parametrize(
    ("what", "executor", "timeout", "error"),
    [
        ("crash", None, 60, (MeasureErrorNo.RUNTIME_DEVICE, "crash")),
        (
            "hang",
            partial(ThreadPoolExecutor, 2),
            2,
            (MeasureErrorNo.RUN_TIMEOUT, "no result after 2 s"),
        ),
    ],
)
def test_a_crash_of_a_process_and_a_hang_cost_one_schedule(found, what, executor, timeout, error):
    slowest = max(n for n, _ in found.fastest[:4])
    function = partial(act, {slowest: what})
    with ExecutorMeasurer(
        by_index, executor, jobs=2, timeout=timeout, of_program=function
    ) as device:
        measured = measure_schedules(found, device, candidates=4)
    assert {(t.result.error, t.result.cause) for t in measured.trials if t.cycles == slowest} == {
        error
    }
    right = [t for t in measured.trials if t.cycles != slowest]
    assert right
    assert all(t.result.seconds == 1 / t.cycles for t in right)
    assert measured.best.cycles == max(t.cycles for t in right) > found.cycles


def test_it_goes_on_from_its_log_and_never_for_another_layer_machine_or_device(found, tmp_path):
    log = tmp_path / "board.jsonl"
    first = Board()
    one = measure_schedules(found, first, candidates=3, log=log)
    kept = log.read_text()
    assert [json.loads(line)["schedule"] for line in kept.splitlines()] == [
        s.to_dict() for _, s in found.fastest[:3]
    ]
    with log.open("a") as file:
        file.write('{"layer": "sm')  # torn
    second = Board()
    two = measure_schedules(found, second, candidates=5, log=log)
    assert (first.calls, second.calls) == (3, 2)
    assert [t.recorded for t in two.trials] == [True] * 3 + [False] * 2
    assert two.trials[0].result == one.trials[0].result
    assert log.read_text().startswith(kept + "# torn: ")
    third = Board()
    third.device = "another"
    measure_schedules(found, third, candidates=5, log=log)
    assert third.calls == 5
    with ScheduleLog(log) as opened:
        assert opened.results(OTHER, MACHINE, "a board") == {}
        assert opened.results(LAYER, VTAConfig(log_acc_buff_size=16), "a board") == {}
        assert len(opened.results(LAYER, MACHINE, "a board")) == 5
        with pytest.raises(LogError, match="is in use by another run"):
            measure_schedules(found, Board(), log=log)
    assert not [*tmp_path.glob("*.part")]


def test_ctrl_c_keeps_what_was_measured(found, tmp_path):
    log, calls = tmp_path / "board.jsonl", []

    def interrupted(program):
        calls.append(program)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return reverse(program)

    stopped = measure_schedules(found, Board(interrupted), candidates=6, log=log)
    assert stopped.interrupted
    assert len(stopped.trials) == 2
    after = Board()
    whole = measure_schedules(found, after, candidates=6, log=log)
    assert (after.calls, whole.interrupted, len(whole.trials)) == (4, False, 6)
    assert whole.trials[:2] == tuple(
        type(t)(t.schedule, t.cycles, t.result, recorded=True) for t in stopped.trials
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"device": 3}, "device is 3"),
        ({"schedule": {"rows": [1]}}, "channels is missing"),
        ({"result": {}}, "result has the keys costs, error"),
        ({"more": 1}, "a line is an object with the keys layer"),
        ({"workload": 3}, "workload is 3"),
        ({"result.error": 99}, "result.error is 99"),
        ({"result.costs": "1"}, "result.costs is a list"),
        (None, "Expecting"),
    ],
)
def test_a_log_of_something_else_is_one_line(found, tmp_path, change, words):
    log = tmp_path / "board.jsonl"
    measure_schedules(found, Board(), candidates=1, log=log)
    row = json.loads(log.read_text())
    for key, value in (change or {}).items():
        place, _, inner = key.partition(".")
        row[place] = {**row[place], inner: value} if inner else value
    text = "{\n" if change is None else json.dumps(row) + "\n"
    log.write_text(text)
    with pytest.raises(LogError, match=r"board\.jsonl:1: ") as error:
        measure_schedules(found, Board(), log=log)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert log.read_text() == text


def test_a_measurer_that_cannot_is_one_line(found, tmp_path):
    class OfIndices(Measurer):
        def measure(self, indices):
            raise AssertionError

    for device in (
        OfIndices(), TableMeasurer({}), FunctionMeasurer(by_index),
        ExecutorMeasurer(by_index, ThreadPoolExecutor, jobs=1),
    ):  # fmt: skip
        with pytest.raises(MeasureError, match="measures configurations, and no programs"):
            measure_schedules(found, device, log=tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()
    with pytest.raises(MeasureError, match="another layer or machine than the schedules of small"):
        measure_schedules(found, SimulatorMeasurer(OTHER))
    with pytest.raises(MeasureError, match="candidates is 0, must be at least 1"):
        measure_schedules(found, Board(), candidates=0)


class OnBoard(LayerSearch):
    """A network is tuned on a board, template and all."""

    def measurer(self, simulator):
        return Board()


@pytest.mark.parametrize("parallel", [False, True])
def test_a_network_is_tuned_beyond_the_template_on_the_same_measurer(tmp_path, parallel):
    network = Network(
        "two",
        tuple(Node(name=w.name, op="Conv", place=VTA, workload=w) for w in (LAYER, OTHER)),
    )
    log = tmp_path / "free.jsonl"
    with ThreadPoolExecutor(2) as threads:
        free = FreeTuning(4, simulations=80, log=log, executor=threads if parallel else None)
        tuned = tune_network(network, search=OnBoard(trials=2), free=free)
        again = tune_network(network, search=OnBoard(trials=2), free=free)
    assert [*tuned.free] == ["small", "other"]
    for layer in (LAYER, OTHER):
        mine = tuned.free[layer.name]
        assert len(mine.trials) == mine.measured == 4
        assert mine.found.workload.name == layer.name
        assert mine.best.cycles == max(t.cycles for t in mine.trials) > mine.found.cycles
        assert again.free[layer.name].measured == 0
        assert again.free[layer.name].best.schedule == mine.best.schedule
    assert not tuned.interrupted
    assert tune_network(network, search=OnBoard(trials=2)).free == {}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["layer"] for line in lines] == ["small"] * 4 + ["other"] * 4
    assert Simulator(LAYER).workload == LAYER
    assert all(Schedule.from_dict(line["schedule"]) for line in lines)
