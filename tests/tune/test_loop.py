"""The loop: trials, logs, resuming, Ctrl-C."""

from __future__ import annotations

import sys

import pytest

from vtacsp import LogError, MeasureError, SearchError
from vtacsp.tune import (
    FunctionMeasurer,
    GeneticSearcher,
    GridSearcher,
    ModelSearcher,
    RandomSearcher,
    load_records,
    search_space,
    tune,
)
from vtacsp.tune.conformance import SMALL

SPACE = search_space(SMALL)
GRID = search_space(SMALL, feasible=False)


class Counting(FunctionMeasurer):
    """Measures an invented cost; stops at a call when told to."""

    def __init__(self, stop_at: int = -1, error: type[BaseException] = KeyboardInterrupt) -> None:
        super().__init__(self.cost)
        self.calls: list[int] = []
        self.stop_at = stop_at
        self.error = error
        self.closed = False

    def measure(self, indices):
        for index in indices:
            if len(self.calls) == self.stop_at:
                raise self.error
            self.calls.append(index)
            yield index, self(index)

    def cost(self, index: int) -> float:
        if index not in SPACE:
            raise ValueError("does not run")
        return 1e-3 * (1 + index * 7919 % 101)

    def close(self) -> None:
        self.closed = True


def test_measures_until_the_trials_are_used_or_the_space_is_exhausted():
    seen = []
    result = tune(RandomSearcher(GRID), Counting(), trials=50, batch_size=8, callback=seen.append)
    assert tuple(seen) == result.trials
    assert [t.number for t in seen] == list(range(1, 51))
    assert result.measured == 50
    assert result.failed == sum(t.index not in SPACE for t in seen)
    everything = tune(GridSearcher(SPACE), Counting(), trials=10**6, batch_size=8)
    assert sorted(t.index for t in everything.trials) == SPACE.indices().tolist()


def test_the_best_is_the_fastest():
    result = tune(GridSearcher(SPACE), Counting(), trials=1000)
    assert result.best is not None
    costs = {i: Counting().cost(i) for i in SPACE.indices().tolist()}
    assert result.best.result.seconds == min(costs.values())
    assert result.best_config == SPACE.config(min(costs, key=costs.__getitem__))
    assert result.best_so_far()[-1] == min(costs.values())
    assert result.best_so_far() == sorted(result.best_so_far(), reverse=True)


def test_a_run_in_which_nothing_runs_has_no_best():
    class Fails(Counting):
        def cost(self, index):
            raise ValueError

    result = tune(RandomSearcher(SPACE), Fails(), trials=5)
    assert (result.best, result.best_config, result.failed) == (None, None, 5)


def test_early_stopping():
    result = tune(GridSearcher(SPACE), Counting(), trials=1000, early_stopping=6)
    assert result.best is not None
    assert len(result.trials) == result.best.number + 6


@pytest.mark.parametrize("stop_at", [0, 1, 7, 45, 77])
@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSearcher(GRID, seed=4),
        lambda: GridSearcher(GRID),
        lambda: GeneticSearcher(GRID, seed=4, pop_size=20),
        lambda: ModelSearcher(GRID, seed=4, plan_size=16),
    ],
)
def test_interrupted_and_resumed_is_the_same_as_never_interrupted(tmp_path, make, stop_at):
    whole = tune(make(), Counting(), trials=80, batch_size=8)
    log = tmp_path / "tune.log"
    first = Counting(stop_at)
    part = tune(make(), first, trials=80, batch_size=8, log=log)
    assert part.interrupted
    assert first.closed
    assert [t.index for t in part.trials] == first.calls
    assert len(load_records(log) if log.exists() else []) == stop_at  # kept everything measured
    second = Counting()
    rest = tune(make(), second, trials=80, batch_size=8, log=log)
    assert not rest.interrupted
    assert first.calls + second.calls == [t.index for t in whole.trials]
    assert [t.index for t in rest.trials] == [t.index for t in whole.trials]
    assert [t.recorded for t in rest.trials] == [n < stop_at for n in range(80)]
    assert len(load_records(log)) == 80


def test_another_search_learns_from_the_log_and_repeats_nothing(tmp_path):
    log = tmp_path / "tune.log"
    first, second = Counting(), Counting()
    tune(RandomSearcher(GRID, seed=1), first, trials=40, log=log)
    result = tune(ModelSearcher(SPACE, seed=2), second, trials=20, log=log)
    assert not set(first.calls) & set(second.calls)
    assert {t.index for t in result.trials} >= set(first.calls) & set(SPACE.indices().tolist())
    assert len(result.trials) == 20


def test_a_log_with_more_than_was_asked_for_is_used_whole(tmp_path):
    log = tmp_path / "tune.log"
    tune(RandomSearcher(SPACE, seed=1), Counting(), trials=25, log=log)
    again = Counting()
    result = tune(RandomSearcher(SPACE, seed=1), again, trials=10, log=log)
    assert again.calls == []
    assert len(result.trials) == 25


def test_a_torn_line_is_measured_again(tmp_path):
    log = tmp_path / "tune.log"
    first, second = Counting(), Counting()
    tune(RandomSearcher(SPACE, seed=1), first, trials=10, log=log)
    log.write_bytes(log.read_bytes()[:-20])
    tune(RandomSearcher(SPACE, seed=1), second, trials=10, log=log)
    assert second.calls == first.calls[-1:]


def test_a_measurer_that_gives_up_loses_nothing(tmp_path):
    log = tmp_path / "tune.log"
    measurer = Counting(5, MeasureError)
    with pytest.raises(MeasureError):
        tune(RandomSearcher(SPACE), measurer, trials=10, log=log)
    assert measurer.closed
    assert [r.index for r in load_records(log)] == measurer.calls


def test_errors(tmp_path):
    for name in ("trials", "batch_size", "early_stopping"):
        with pytest.raises(SearchError, match=f"{name} is 0"):
            tune(RandomSearcher(SPACE), Counting(), **{"trials": 1, name: 0})
    with pytest.raises(LogError, match="cannot"):
        tune(RandomSearcher(SPACE), Counting(), trials=1, log=tmp_path)


def test_bad_costs_are_failures_in_results_log_and_model(tmp_path):
    bad = [float("nan"), 0.0, -1.0, float("inf")]

    def cost(index: int) -> float:
        return bad[index % 8] if index % 8 < len(bad) else 1e-3 * (1 + index % 101)

    log = tmp_path / "tune.log"
    searcher = ModelSearcher(SPACE, seed=1, plan_size=8, first_fit=8)
    result = tune(searcher, FunctionMeasurer(cost), trials=40, log=log, batch_size=8)
    failed = {trial.index for trial in result.trials if not trial.result.ok}
    assert failed == {t.index for t in result.trials if t.index % 8 < len(bad)} != set()
    assert result.best.result.seconds > 0
    assert "NaN" not in log.read_text()
    assert "Infinity" not in log.read_text()
    read = load_records(log)
    assert {record.index for record in read if not record.result.ok} == failed


class Backwards(FunctionMeasurer):
    """Workers of whom the last to start is the first to end; Ctrl-C at a call when told to."""

    def __init__(self, stop_at: int = -1) -> None:
        super().__init__(lambda index: 1.0 + index % 2)
        self.calls, self.stop_at = 0, stop_at

    def measure(self, indices):
        for index in reversed(indices):
            if self.calls == self.stop_at:
                raise KeyboardInterrupt
            self.calls += 1
            yield index, self(index)


def test_the_order_in_which_workers_end_does_not_matter(tmp_path):
    def run(measurer, log):
        searcher = ModelSearcher(SPACE, seed=3, plan_size=8, first_fit=8)
        result = tune(searcher, measurer, trials=40, batch_size=8, log=log)
        return result.best.index, [(t.number, t.index, t.result.seconds) for t in result.trials]

    forwards = FunctionMeasurer(lambda index: 1.0 + index % 2)
    expected = run(forwards, tmp_path / "forwards.log")
    assert run(Backwards(), tmp_path / "backwards.log") == expected
    assert run(forwards, tmp_path / "backwards.log") == expected  # resumed


def test_ctrl_c_keeps_what_came_before_its_turn(tmp_path):
    log, seen = tmp_path / "tune.log", []
    searcher = RandomSearcher(SPACE, seed=3)
    result = tune(searcher, Backwards(5), trials=8, batch_size=8, log=log, callback=seen.append)
    assert result.interrupted
    assert len(result.trials) == 5
    assert tuple(seen) == result.trials
    assert {t.index for t in result.trials} == {r.index for r in load_records(log)}


# -- Ctrl-C at every point of the loop


class Interrupt:
    """Raises at the n-th event of the traced files: a line, a call or, in some functions, a step
    of the interpreter."""

    FILES = ("vtacsp/tune/loop.py", "vtacsp/tune/records.py")
    CLOSELY = ("_measured", "_rest", "_end", "_write", "_remember", "append", "write", "trials")

    def __init__(self, at: int) -> None:
        self.at, self.seen, self.where = at, 0, ""

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.endswith(self.FILES):
            return None
        frame.f_trace_opcodes = frame.f_code.co_name in self.CLOSELY
        self.seen += 1
        if self.seen == self.at:
            self.where = f"{event} {frame.f_code.co_name}:{frame.f_lineno}"
            raise KeyboardInterrupt
        return self

    def run(self, function):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            return function()
        finally:
            sys.settrace(before)


# the log is closed wherever Ctrl-C comes; what was just opened to be read, the collector closes
@pytest.mark.filterwarnings(
    "error::pytest.PytestUnraisableExceptionWarning",
    "error::ResourceWarning",
    "ignore:unclosed file <_io.(BufferedReader|FileIO .*mode=.rb):ResourceWarning",
)
@pytest.mark.parametrize(("make", "known"), [(FunctionMeasurer, 0), (Backwards, 0), (Backwards, 2)])
def test_log_and_trials_are_the_same_wherever_ctrl_c_comes(make, known, tmp_path):
    def measurer():
        return Backwards() if make is Backwards else FunctionMeasurer(lambda index: 1.0)

    def records():
        return sorted(r.index for r in load_records(log)) if log.exists() else []

    log = tmp_path / "tune.log"
    tune(GridSearcher(SPACE), measurer(), trials=3, batch_size=2, log=log)
    start = b"".join(log.read_bytes().splitlines(keepends=True)[:known])
    ends, places, at = set(), set(), 0
    while True:
        at += 1
        log.unlink(missing_ok=True)
        if start:
            log.write_bytes(start)
        interrupt = Interrupt(at)
        try:
            result = interrupt.run(
                lambda: tune(GridSearcher(SPACE), measurer(), trials=3, batch_size=2, log=log)
            )
        except KeyboardInterrupt:  # nothing was measured yet, or tune had returned
            assert len(records()) == known or interrupt.where.startswith("return tune:")
            continue
        trials = sorted(trial.index for trial in result.trials)
        assert trials == records(), interrupt.where
        assert len(trials) == len(set(trials)), interrupt.where
        assert [t.number for t in result.trials] == list(range(1, len(trials) + 1))
        if interrupt.seen < at:
            break
        assert result.interrupted, interrupt.where
        ends.add(len(trials))
        places.add(interrupt.where.split(":")[0])
    assert not result.interrupted
    assert ends == set(range(known, 4))
    assert {"opcode _measured", "opcode _write", "opcode _end", "opcode trials"} <= places


def test_a_run_ends_when_the_best_is_good_enough(tmp_path):
    """And not a measurement later; what the log knows besides is among the trials."""
    log = tmp_path / "a.log"
    costs = {index: Counting().cost(index) for index in SPACE.indices().tolist()}
    whole = tune(GridSearcher(SPACE), Counting(), trials=len(SPACE), log=log)
    enough = sorted(costs.values())[len(costs) // 2]
    first = next(n for n, t in enumerate(whole.trials, 1) if t.result.seconds <= enough)
    measurer = Counting()
    found = tune(GridSearcher(SPACE), measurer, trials=len(SPACE), good_enough=enough)
    assert found.proven
    assert len(measurer.calls) == len(found.trials) == first < len(SPACE)
    again = tune(GridSearcher(SPACE), Counting(), trials=len(SPACE), log=log, good_enough=enough)
    assert again.proven
    assert {t.index for t in again.trials} == set(costs)
    never = tune(GridSearcher(SPACE), Counting(), trials=len(SPACE), good_enough=0.0)
    assert not never.proven
    assert len(never.trials) == len(SPACE)
