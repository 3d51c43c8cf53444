"""Measurers: errors as AutoTVM reports them; crashes and hangs cost one result each."""

from __future__ import annotations

import ctypes
import os
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.truth import truth
from vtacsp import RTL, MeasureError, ProgramError, Simulator, suite
from vtacsp.errors import DeadlockError, RaceError, SimulationError
from vtacsp.operators.catalogue import catalogue
from vtacsp.tune import (
    ExecutorMeasurer,
    FunctionMeasurer,
    MeasureErrorNo,
    Result,
    SimulatorMeasurer,
    TableMeasurer,
    error_of,
)

C10 = next(w for w in suite("resnet18") if w.name == "resnet18.C10")


def behave(index: int) -> float:
    """What a measurement can do to its process; the index says which."""
    if index == 3:
        os._exit(1)
    if index == 5:
        time.sleep(60)
    if index == 7:
        raise ValueError("seven")
    if index == 8:
        raise ProgramError("sram:acc", "too large")
    return index + 1.0


def seconds(index: int) -> float:
    if index == 1:
        raise ProgramError("uop_hazard", "written twice")
    if index == 2:
        raise TimeoutError
    if index == 3:
        raise ZeroDivisionError("no")
    return 0.5


def test_errors_of_the_stack_travel_between_processes():
    error = pickle.loads(pickle.dumps(ProgramError("sram:acc", "too large")))
    assert (error.cause, str(error)) == ("sram:acc", "sram:acc: too large")


def test_every_cause_of_the_ground_truth_has_an_error_of_its_stage():
    causes = {cause for layer in truth().values() for cause in layer.causes} - {"ok"}
    kinds = {cause: error_of(cause) for cause in causes}
    assert MeasureErrorNo.INSTANTIATION_ERROR not in kinds.values()
    assert kinds["dma_pad"] == kinds["sram:acc"] == MeasureErrorNo.COMPILE_HOST
    assert kinds["uop_hazard"] == kinds["uop_signature"] == MeasureErrorNo.RUNTIME_DEVICE
    assert kinds["wrong_result"] == MeasureErrorNo.WRONG_ANSWER
    assert error_of("my own rule") == MeasureErrorNo.INSTANTIATION_ERROR
    assert error_of("ok") == MeasureErrorNo.NO_ERROR


@pytest.mark.parametrize("op", ["conv2d", "group_conv2d", "conv2d_transpose", "dense"])
def test_no_rule_of_the_catalogue_counts_as_a_rule_of_the_users(op):
    kinds = {error_of(rule.cause) for rule in catalogue(op)}
    assert MeasureErrorNo.COMPILE_HOST in kinds
    assert not kinds & {MeasureErrorNo.NO_ERROR, MeasureErrorNo.INSTANTIATION_ERROR}


@pytest.mark.parametrize("failure", [SimulationError, RaceError, DeadlockError])
def test_what_the_simulators_report_is_no_rule_of_the_users(failure):
    assert error_of(failure.cause) in (MeasureErrorNo.WRONG_ANSWER, MeasureErrorNo.RUN_TIMEOUT)


def test_function_measurer_turns_exceptions_into_results():
    results = dict(FunctionMeasurer(seconds).measure(range(4)))
    assert results[0].seconds == 0.5
    assert results[0].speed == 2.0
    assert [(results[i].error.name, results[i].cause) for i in (1, 2, 3)] == [
        ("RUNTIME_DEVICE", "uop_hazard"),
        ("RUN_TIMEOUT", "timeout"),
        ("UNKNOWN_ERROR", "ZeroDivisionError: no"),
    ]
    assert results[3].seconds == float("inf")
    assert results[3].speed == 0


BAD_COSTS = [float("nan"), 0, 0.0, -1.0, -0.0, float("inf"), float("-inf"), 5e-324, 10**400]


@pytest.mark.parametrize("cost", BAD_COSTS, ids=lambda cost: str(cost)[:20])
def test_a_cost_that_is_no_positive_finite_number_is_a_failed_measurement(cost):
    direct = Result(costs=(1.0, cost))
    returned = FunctionMeasurer(lambda index: Result(costs=(cost,)))(1)
    computed = FunctionMeasurer(lambda index: cost)(1)
    for result in (Result(costs=(cost,)), returned, computed):
        assert (result.ok, result.costs, result.seconds, result.speed) == (
            False, (), float("inf"), 0,
        )  # fmt: skip
        assert result.error == MeasureErrorNo.UNKNOWN_ERROR
        assert result.cause
        assert len(result.cause) < 160
    assert direct.ok == (cost == 5e-324)  # with 1.0 it has a mean


@pytest.mark.parametrize("costs", [(), None, "fast", ("1",), (None,), (True,), 1.0])
def test_costs_that_are_no_numbers_are_a_failed_measurement(costs):
    assert Result(costs=costs).error == MeasureErrorNo.UNKNOWN_ERROR


@pytest.mark.parametrize("jobs", [0, 2])
def test_an_exit_of_a_measurement_is_its_failure(jobs):
    with ExecutorMeasurer(_exits, jobs=jobs) if jobs else FunctionMeasurer(_exits) as measurer:
        results = dict(measurer.measure(range(3)))
    assert [results[i].ok for i in range(3)] == [True, False, True]
    assert results[1].cause == "SystemExit: 3"


def _exits(index: int) -> float:
    if index == 1:
        sys.exit(3)
    return 1.0


def test_table_measurer():
    table = TableMeasurer.of({4: 100_000}, {5: "dma_pad"})
    results = dict(table.measure([5, 4]))
    assert results[4].seconds == pytest.approx(1e-3)
    assert (results[5].error, results[5].cause) == (MeasureErrorNo.COMPILE_HOST, "dma_pad")
    with pytest.raises(MeasureError, match="index 6 is not among the 2 recorded"):
        dict(table.measure([6]))


def test_simulator_measurer_asks_the_simulator():
    timing = RTL.override(["memory_latency=64", "clock_hz=50000000"])
    simulator = Simulator(C10, timing=timing)
    good = simulator.space.indices[:2].tolist()
    bad = next(i for i, cause in enumerate(truth()[C10.name].causes) if cause != "ok")
    cause = truth()[C10.name].causes[bad]
    measurer = SimulatorMeasurer(C10, timing=timing)
    results = dict(measurer.measure([*good, bad]))
    assert [results[i].seconds * 50e6 for i in good] == simulator.cycles_many(good).tolist()
    assert [results[i].counted for i in good] == simulator.cycles_many(good).tolist()
    assert (results[bad].error, results[bad].cause) == (error_of(cause), cause)
    assert pickle.loads(pickle.dumps(measurer)).workload == C10


def test_cycles_are_those_that_were_counted_and_else_those_of_the_seconds():
    # seconds that are not those of the cycles: nothing is turned into seconds and back
    assert Result((1.0,), counted=7).cycles(RTL) == 7
    assert Result((RTL.seconds_of(7),)).cycles(RTL) == 7
    simulator = Simulator(C10)
    index = int(simulator.space.indices[0])
    result = pickle.loads(pickle.dumps(SimulatorMeasurer(C10)))(index)
    assert type(result.counted) is int
    assert result.counted == simulator.cycles(index) == result.cycles(RTL)


def check_behaviour(results: dict[int, Result]) -> None:
    assert sorted(results) == list(range(10))
    failed = {i: (r.error.name, r.cause) for i, r in results.items() if not r.ok}
    assert failed == {
        3: ("RUNTIME_DEVICE", "crash"),
        5: ("RUN_TIMEOUT", "no result after 2 s"),
        7: ("UNKNOWN_ERROR", "ValueError: seven"),
        8: ("COMPILE_HOST", "sram:acc"),
    }


@pytest.mark.parametrize("jobs", [1, 3])
def test_processes_survive_crashes_and_hangs(jobs):
    with ExecutorMeasurer(behave, jobs=jobs, timeout=2.0) as measurer:
        check_behaviour(dict(measurer.measure(range(10))))
        assert dict(measurer.measure([1]))[1].ok
        workers = list(measurer._executor._processes.values())
    deadline = time.monotonic() + 10
    while any(worker.is_alive() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(worker.is_alive() for worker in workers)


def test_an_executor_of_the_user_is_used_and_left_open():
    with ThreadPoolExecutor(2) as pool:
        measurer = ExecutorMeasurer(seconds, pool, jobs=2)
        results = dict(measurer.measure(range(4)))
        measurer.close()
        assert results[0].ok
        assert results[1].cause == "uop_hazard"
        assert pool.submit(int, "3").result() == 3


def test_a_hang_on_an_executor_of_the_user_costs_one_result():
    with ThreadPoolExecutor(2) as pool:
        slow = ExecutorMeasurer(_sleepy, pool, jobs=2, timeout=0.3)
        results = dict(slow.measure(range(5)))
    assert [i for i, r in results.items() if not r.ok] == [2]
    assert results[2].error == MeasureErrorNo.RUN_TIMEOUT


def test_what_a_worker_cannot_interrupt_ends_with_it(monkeypatch):
    monkeypatch.setattr("vtacsp.tune.executor._GRACE", 5.0)
    with ExecutorMeasurer(_holds, jobs=2, timeout=1.0) as measurer:
        results = dict(measurer.measure(range(4)))
    assert [i for i, r in results.items() if not r.ok] == [1]
    assert results[1].error == MeasureErrorNo.RUN_TIMEOUT


def _holds(index: int) -> float:
    if index == 1:
        ctypes.PyDLL(None).sleep(60)  # with the interpreter's lock
    return 1.0


def test_the_clock_of_a_measurement_starts_on_the_worker():
    """Two that hang on two workers: what waits behind them is not late."""
    with ThreadPoolExecutor(2) as pool:
        measurer = ExecutorMeasurer(_queued, pool, jobs=12, timeout=1.5)
        results = dict(measurer.measure(range(12)))
    assert {i for i, r in results.items() if not r.ok} == {0, 1}
    assert {r.error for r in results.values() if not r.ok} == {MeasureErrorNo.RUN_TIMEOUT}


def test_the_clock_of_a_measurement_starts_on_the_worker_of_dask():
    """Given the maker of an executor, too."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        for executor in (client.get_executor(), client.get_executor):
            with ExecutorMeasurer(_queued, executor, jobs=12, timeout=1.5) as measurer:
                results = dict(measurer.measure(range(12)))
            assert {i for i, r in results.items() if not r.ok} == {0, 1}


def _queued(index: int) -> float:
    time.sleep(5.0 if index < 2 else 0.4)
    return 1.0


def _sleepy(index: int) -> Result:
    if index == 2:
        time.sleep(1.0)
    return Result(costs=(1.0,))


def test_dask_executor():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        measurer = ExecutorMeasurer(seconds, client.get_executor(), jobs=2)
        results = dict(measurer.measure(range(4)))
    assert results[0].seconds == 0.5
    assert results[1].error == MeasureErrorNo.RUNTIME_DEVICE
    assert len(results) == 4


def test_dask_worker_that_dies_costs_one_result():
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        measurer = ExecutorMeasurer(_dies, client.get_executor(), jobs=1)
        results = dict(measurer.measure(range(3)))
    assert [results[i].error.name for i in range(3)] == ["NO_ERROR", "RUNTIME_DEVICE", "NO_ERROR"]
    assert "KilledWorker" in results[1].cause


def _dies(index: int) -> Result:
    if index == 1:
        os._exit(1)
    return Result(costs=(1.0,))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"jobs": 0}, "jobs is 0"), ({"timeout": 0}, "timeout is 0")],
)
def test_errors(options, message):
    with pytest.raises(MeasureError, match=message):
        ExecutorMeasurer(behave, **options)


def test_a_simulator_is_named_by_its_timing():
    assert SimulatorMeasurer(C10).device == "simulator rtl"
    slow = SimulatorMeasurer(C10, timing=RTL.override(["memory_latency=64"]))
    assert slow.device == "simulator rtl memory_latency=64"
    assert ExecutorMeasurer(slow).device == slow.device
    assert FunctionMeasurer(seconds).device == ExecutorMeasurer(seconds).device == ""
