"""Layers searched side by side find what layers in turn find, also after what may interrupt."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

import pytest

from tests.support.commands import run
from vtacsp import Conv2D, Simulator
from vtacsp.causes import CRASH
from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import MeasureError, SearchError
from vtacsp.network import VTA, Lanes, LayerSearch, Network, Node, Watch, lanes, tune_network
from vtacsp.network.lanes import JobChain, in_order
from vtacsp.tune import (
    FunctionMeasurer,
    MeasureErrorNo,
    Result,
    SimulatorMeasurer,
    TuningLog,
    load_records,
)
from vtacsp.tune.loop import STOPPED

SMALL = Conv2D(name="a", in_channels=16, height=8, width=8, out_channels=16, kernel=(1, 1))
LAYER = replace(SMALL, height=14, width=14, in_channels=64, out_channels=64, kernel=(3, 3),
                padding=(1, 1))  # fmt: skip
END = [{"op": "shift_right", "by": 10}, {"op": "clip", "min": -127, "max": 127}, {"op": "cast"}]
PLAIN = Epilogue.from_list(END)
BIASED = Epilogue.from_list([{"op": "add", "operand": "tensor"}, {"op": "max", "value": 0}, *END])
NETWORK = Network(
    "three",
    tuple(
        Node(name=name, op="Conv", place=VTA, workload=workload, count=count)
        for name, workload, count in (
            ("plain", replace(LAYER, epilogue=PLAIN), 2),
            ("other", SMALL, 1),
            ("biased", replace(LAYER, epilogue=BIASED), 3),  # one AutoTVM task with the first
        )
    ),
)
SEARCH = LayerSearch(trials=20, searcher="genetic", initial="uniform", seed=5)
ONE = partial(ThreadPoolExecutor, 1)


def threads(n=2, make=ONE):
    return Lanes([make] * n, ours=False)


def records(path):
    """What a log has of each layer, in its order; when and how long is different every time."""
    found = defaultdict(list)
    for record in load_records(path):
        found[record.task, record.workload].append((record.index, record.result.costs))
    return dict(found)


@pytest.fixture(scope="module")
def sequential(tmp_path_factory):
    path = tmp_path_factory.mktemp("sequential") / "a.log"
    return tune_network(NETWORK, search=SEARCH, log=path), records(path)


@pytest.fixture(autouse=True)
def one_trial_at_a_time(monkeypatch):
    monkeypatch.setattr(lanes, "SLICE", 0.0)


def assert_same(tuned, sequential):
    assert not tuned.interrupted
    assert tuned.answer.to_dict() == sequential.answer.to_dict()
    assert [r.index for r in tuned.records] == [r.index for r in sequential.records]
    for name, (_, result) in sequential.results.items():
        mine = tuned.results[name][1]
        assert [(t.number, t.index) for t in mine.trials] == [
            (t.number, t.index) for t in result.trials
        ]


@pytest.mark.parametrize("number", [1, 2, 5])
def test_side_by_side_is_what_in_turn_is_record_for_record(sequential, number, tmp_path):
    expected, written = sequential
    seen = []
    with threads(number) as several:
        tuned = tune_network(
            NETWORK, search=SEARCH, log=tmp_path / "b.log", lanes=several,
            done=lambda simulator, _: seen.append(simulator.workload.name),
        )  # fmt: skip
    assert_same(tuned, expected)
    assert records(tmp_path / "b.log") == written
    assert max(len(rows) for rows in written.values()) > 20  # some under the other's epilogue too
    assert list(tuned.results) == ["plain", "other", "biased"]
    assert sorted(seen) == ["biased", "other", "plain"]
    assert not lanes._LIVE


def test_layers_alternate_in_the_log(tmp_path):
    with threads() as several:
        tune_network(NETWORK, search=SEARCH, log=tmp_path / "b.log", lanes=several)
    names = [record.workload for record in load_records(tmp_path / "b.log")]
    assert "plain" in names[:2]
    assert names.index("biased") < len(names) - names[::-1].index("plain")


class Interrupting(Watch):
    """Ctrl-C when so many trials were seen."""

    def __init__(self, after):
        self.left = after

    @contextmanager
    def layer(self, simulator, total):
        def see(_):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

        yield see


@pytest.mark.parametrize("after", [1, 8, 25])
def test_interrupted_and_resumed_is_never_interrupted(sequential, after, tmp_path):
    expected, written = sequential
    log = tmp_path / "b.log"
    with threads() as several:
        first = tune_network(
            NETWORK, search=SEARCH, log=log, lanes=several, watch=Interrupting(after)
        )
    assert first.interrupted
    assert_log_and_trials_agree(first, log)
    before = log.read_bytes()
    with threads() as several:
        assert_same(tune_network(NETWORK, search=SEARCH, log=log, lanes=several), expected)
    assert log.read_bytes().startswith(before)
    assert records(log) == written


def assert_log_and_trials_agree(tuned, log):
    said = sum(len(rows) for rows in records(log).values()) if log.exists() else 0
    assert sum(len(result.trials) for _, result in tuned.results.values()) == said


class At:
    """Ctrl-C at the n-th line that the process with the log runs."""

    FILES = ("vtacsp/network/lanes.py", "vtacsp/tune/records.py")

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.endswith(self.FILES):
            return None
        self.left -= event == "line"
        if not self.left:
            self.left = -1
            raise KeyboardInterrupt
        return self

    def run(self, function):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return function()
        finally:
            sys.settrace(before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_log_and_results_are_the_same_wherever_ctrl_c_comes(tmp_path):
    search = replace(SEARCH, trials=2)
    simulators = [Simulator(replace(SMALL, name=n, height=h)) for n, h in (("b", 8), ("c", 4))]
    for simulator in simulators:
        simulator.cycles(simulator.space[0])
    ended, at = False, 0
    while not ended:
        at += 7
        chains, log = JobChain.of(simulators, search), tmp_path / f"{at}.log"
        trace = At(at)

        def go(chains=chains, log=log):
            with threads() as several, TuningLog(log) as book:
                several.search(chains, book)

        with suppress(KeyboardInterrupt):  # before the search, or behind it
            trace.run(go)
        ended = trace.left > 0
        said = {(r.workload, r.index) for r in load_records(log)} if log.exists() else set()
        trials = {
            (s.workload.name, t.index)
            for c in chains
            for s, result in c.results
            for t in result.trials
        }
        assert said == trials, at
    assert at > 700
    assert len(trials) == 4


class Flaky(ThreadPoolExecutor):
    """Its worker ends at every third slice, and with it the search that it kept."""

    broken = 0
    submitted = 0
    every = 3

    def submit(self, work, *arguments):
        type(self).submitted += 1
        if not type(self).submitted % self.every:
            type(self).broken += 1
            lanes._LIVE.clear()
            future = Future()
            future.set_exception(BrokenExecutor("a worker ended"))
            return future
        return super().submit(work, *arguments)


def test_a_worker_that_ends_costs_its_slice(sequential, tmp_path):
    expected, written = sequential
    with threads(make=partial(Flaky, 1)) as several:
        tuned = tune_network(NETWORK, search=SEARCH, log=tmp_path / "b.log", lanes=several)
    assert Flaky.broken > 5
    assert_same(tuned, expected)
    assert records(tmp_path / "b.log") == written


def test_workers_that_always_end_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Flaky, "every", 1)
    with (
        threads(make=partial(Flaky, 1)) as several,
        pytest.raises(
            MeasureError, match="plain: its worker ended 3 times after 0 trials, while it searched"
        ),
    ):
        tune_network(NETWORK, search=SEARCH, log=tmp_path / "b.log", lanes=several)


class Dead(BaseException):
    """A worker ends."""


class Mortal(ThreadPoolExecutor):
    """Its worker ends where a measurement raises ``Dead``, and with it the searches that it has."""

    ended = 0
    failure = BrokenExecutor

    def submit(self, work, *arguments):
        future = Future()
        try:
            future.set_result(work(*arguments))
        except Dead:
            type(self).ended += 1
            lanes._LIVE.clear()
            future.set_exception(type(self).failure("a worker ended"))
        return future


class KilledWorker(Exception):
    """What a cluster says when workers ended at a task."""


def ends_here(index):
    raise Dead


def leaves(index):
    os._exit(1)


def fails(index):
    return Result(error=MeasureErrorNo.RUNTIME_DEVICE, cause=CRASH)


@dataclass(frozen=True)
class Deadly(LayerSearch):
    """What some configurations of a layer do to the process that measures them."""

    deadly: tuple[int, ...] = ()
    act: Callable[[int], object] = fails

    def measurer(self, simulator):
        here = SimulatorMeasurer(simulator.space, timing=simulator.timing)
        mine = simulator.workload.name != "other"
        function = partial(deadly_at, self.deadly if mine else (), self.act, here)
        measurer = FunctionMeasurer(function)
        measurer.device = here.device
        return measurer


def deadly_at(deadly, act, here, index):
    return act(index) if index in deadly else here(index)


def described(tuned):
    return {
        name: {t.index: (t.result.costs, t.result.error, t.result.cause) for t in result.trials}
        for name, (_, result) in tuned.results.items()
    }


RANDOM = {"trials": 20, "searcher": "random", "initial": "none"}


@pytest.fixture(scope="module")
def deadly():
    """The first that is proposed, one in the midst of a batch, and the one after it."""
    trials = tune_network(NETWORK, search=LayerSearch(**RANDOM)).results["plain"][1].trials
    return tuple(trials[place].index for place in (0, 10, 11))


@pytest.mark.parametrize("failure", [BrokenExecutor, KilledWorker])
def test_a_measurement_at_which_workers_end_is_an_error_and_the_search_goes_on(
    deadly, failure, tmp_path, monkeypatch
):
    options = {**RANDOM, "deadly": deadly}
    in_turn = tune_network(NETWORK, search=Deadly(**options))
    monkeypatch.setattr(Mortal, "failure", failure)
    monkeypatch.setattr(Mortal, "ended", 0)
    there = Deadly(**options, act=ends_here)
    for _ in range(2):  # the second run knows it from the log
        with threads(make=partial(Mortal, 1)) as several:
            tuned = tune_network(NETWORK, search=there, log=tmp_path / "b.log", lanes=several)
        assert described(tuned) == described(in_turn)
        failed = [r for r in load_records(tmp_path / "b.log") if not r.result.ok]
        assert {r.index for r in failed} == {*deadly}
        assert Mortal.ended == lanes.TRIES * len(failed)
        assert {(r.result.error, r.result.cause) for r in failed} == {
            (MeasureErrorNo.RUNTIME_DEVICE, CRASH)
        }
    assert not lanes._LIVE


def test_a_process_that_ends_is_an_error_of_what_it_measured(deadly, tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "TRIES", 2)  # each takes the time to start a process
    search = Deadly(**{**RANDOM, "trials": 6}, deadly=deadly[:1], act=leaves)
    (chain,) = JobChain.of([Simulator(NETWORK.layers[0].workload)], search)
    with Lanes.processes(1) as several, TuningLog(tmp_path / "b.log") as log:
        assert several.search([chain], log)
    ((_, found),) = chain.results
    assert len(found.trials) == 6
    failed = [(t.index, t.result.cause) for t in found.trials if not t.result.ok]
    assert failed == [(deadly[0], CRASH)]


def test_twins_of_a_list_are_measured_once(tmp_path):
    simulators = [Simulator(replace(SMALL, name=name)) for name in ("a", "b", "a")]
    chains = JobChain.of(simulators, SEARCH)
    with threads() as several, TuningLog(tmp_path / "b.log") as log:
        assert several.search(chains, log)
    (chain,) = chains
    assert [result.measured for _, result in chain.results] == [20, 0, 0]
    again = JobChain.of(simulators, SEARCH)
    with TuningLog(tmp_path / "b.log") as log:
        assert in_order(again, log)
    assert [result.measured for _, result in again[0].results] == [0, 0, 0]


def test_processes_and_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.json").write_text(json.dumps(NETWORK.to_dict()))
    words = ["tune", "net.json", "--trials", 9, "--gap", 0, "--format", "json"]
    one = run(*words, "--log", "one.log")
    two = run(*words, "--log", "two.log", "--jobs", 2)
    assert json.loads(one.stdout) == json.loads(two.stdout)
    assert records("one.log") == records("two.log")
    assert "two.log: " in two.stderr


def test_a_layer_without_time_has_one_measurement(tmp_path):
    class NoTime(Watch):
        def share(self, lanes):
            assert lanes == 2
            return lambda: 0.0

    chains = JobChain.of([Simulator(SMALL), Simulator(LAYER)], SEARCH)
    with threads() as several, TuningLog(tmp_path / "b.log") as log:
        assert several.search(chains, log, watch=NoTime())
    found = [result for chain in chains for _, result in chain.results]
    assert [(result.ended, len(result.trials)) for result in found] == [(STOPPED, 1)] * 2


def test_bad_choices_are_one_line():
    with pytest.raises(SearchError, match="searcher is 'luck', not model, genetic, random, grid"):
        LayerSearch(searcher="luck")
    with pytest.raises(MeasureError, match="jobs is 0, must be at least 1"):
        Lanes.processes(0)
    with pytest.raises(MeasureError, match="no workers"):
        Lanes([])
