"""The study: its tables, its measures, its searches; resumed and parallel runs are the same."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import metadata
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import run
from tests.support.truth import truth
from vtacsp import Conv2D, Dense, Problem, StudyError, VTAConfig, compile, find_workloads, suite
from vtacsp.study import (
    METHODS,
    Study,
    prepare,
    recorded_cycles,
    run_search,
    validity,
    write_report,
)
from vtacsp.study.cost_model import judge, ndcg, pairwise, precision
from vtacsp.study.execution import Job
from vtacsp.study.recorded_layer import StudyLayer
from vtacsp.study.summary import Summary
from vtacsp.tune import ModelSearcher, RandomSearcher, search_space

TINY = Conv2D(name="tiny", in_channels=32, height=6, width=4, out_channels=32, kernel=(1, 1))
DENSE = Dense(name="d-small", in_features=256, out_features=128)
FAST = ("autotvm", "uniform", "analytic", "simulator", "random")


@cache
def layer(name="k1-pad1"):
    return prepare(TINY if name == "tiny" else truth()[name].workload)


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("workload", suite("resnet18"), ids=lambda w: w.name)
def test_recorded_tables_hold_exactly_the_feasible_configurations(workload):
    cycles = recorded_cycles(dataclasses.replace(workload, name="mine"), VTAConfig())
    assert sorted(cycles) == compile(workload).indices.tolist()
    assert min(cycles.values()) > 0


def test_without_a_table_the_simulator_measures():
    assert recorded_cycles(TINY, VTAConfig()) is None
    assert recorded_cycles(DENSE, VTAConfig().replace(LOG_ACC_BUFF_SIZE=16)) is None
    assert (layer("tiny").source, layer().source) == ("simulator", "rtl")


def test_a_layer_survives_its_file():
    copy = StudyLayer.from_dict(json.loads(json.dumps(layer().to_dict())))
    assert copy == layer()
    assert copy.best == min(layer().cycles.values())


def test_the_measurer_answers_for_the_whole_grid():
    causes = Problem(layer().workload, layer().hardware).causes(np.arange(len(layer().grid)))
    for index, result in layer().measurer.measure(range(len(layer().grid))):
        assert result.cause == ("" if causes[index] == "ok" else causes[index])
        assert result.ok == (index in layer().cycles)


# ---------------------------------------------------------------- validity


def test_validity_counts_what_a_walk_over_the_grid_finds():
    space = compile(layer().workload)
    digits = {tuple(d): i for i, d in enumerate(space.knob_space.digits(np.arange(256)).tolist())}
    good = {d for d, i in digits.items() if i in layer().cycles}

    def steps(place):
        moved = [(*place[:k], place[k] + s, *place[k + 1 :]) for k in range(7) for s in (-1, 1)]
        return [m for m in moved if m in digits]

    def share(places):
        around = [n in good for place in places for n in steps(place)]
        return sum(around) / len(around)

    clusters, rest = [], set(good)
    while rest:
        todo = [rest.pop()]
        cluster = set(todo)
        while todo:
            new = rest.intersection(steps(todo.pop()))
            rest -= new
            cluster |= new
            todo += new
        clusters.append(len(cluster))
    found = validity(space)
    assert (found.configurations, found.valid) == (256, 27)
    assert found.neighbours == pytest.approx(share(good))
    assert found.around_invalid == pytest.approx(share(set(digits) - good))
    assert (found.clusters, found.largest) == (len(clusters), max(clusters))
    assert found.isolated == clusters.count(1)
    two = [
        b in good for a in good for b in digits
        if sum(abs(x - y) for x, y in zip(a, b, strict=True)) == 2
    ]  # fmt: skip
    assert found.profile[1] == pytest.approx(sum(two) / len(two))


# ---------------------------------------------------------------- the cost model

numbers = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), min_size=1, max_size=12)


@given(numbers, st.integers(1, 12))
def test_measures_of_a_ranking_are_their_definitions(pairs, k):
    scores, truths = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    right = total = 0.0
    for s, t in pairs:
        for s2, t2 in pairs:
            if t > t2:
                total += 1
                right += 1.0 if s > s2 else 0.5 if s == s2 else 0.0
    if total:
        assert pairwise(scores, truths) == pytest.approx(right / total)
    else:
        assert np.isnan(pairwise(scores, truths))
    chosen = [t for _, t in sorted(pairs, key=lambda p: -p[0])][:k]  # stable, as ours
    ideal = sorted((t for _, t in pairs), reverse=True)[:k]
    assert precision(scores, truths, k) == pytest.approx(
        sum(t >= ideal[-1] for t in chosen) / len(chosen)
    )
    gain, most = (sum(t / np.log2(i + 2) for i, t in enumerate(ts)) for ts in (chosen, ideal))
    assert ndcg(scores, truths, k) == pytest.approx(gain / most)


def test_training_sets_have_the_shares_they_say():
    found = judge(layer("tiny"), 0)
    assert found != judge(layer("tiny"), 1)
    assert len(found) == (1 + 4 * 2) * 2
    for training in found:
        size = 37
        assert training.valid == size - round(training.share * size)
        assert training.invalid == (size - training.valid if training.treatment == "kept" else 0)
    clean = [t.pairwise for t in found if not t.share]
    assert min(clean) > 0.7
    assert all(0 <= t.runs <= 1 for t in found)


# ---------------------------------------------------------------- the search


@pytest.mark.parametrize("method", METHODS)
def test_a_run_ends_with_the_best(method):
    outcome = run_search(layer(), method, 3)
    assert outcome == run_search(layer(), method, 3)
    assert 1 <= outcome.near <= outcome.best <= len(layer().grid)
    kind = METHODS[method].kind
    if kind == "ours" or method in ("random", "uniform-64"):
        assert outcome.failed == 0
        assert outcome.best <= len(layer().feasible)
    if method == "simulator":
        assert (outcome.best, outcome.first) == (1, 0)
    if method == "rieber":
        assert (outcome.compiled, outcome.taught) == (256, 25)
    else:
        assert (outcome.compiled, outcome.taught) == (0, 0)


def test_a_run_counts_every_measurement():
    table = layer().cycles
    searcher = RandomSearcher(layer().feasible, seed=5)
    costs = [table[searcher.next_batch(1)[0]] for _ in range(len(table))]
    outcome = run_search(layer(), "random", 5)
    assert outcome.best == 1 + costs.index(min(costs))
    assert outcome.near == 1 + next(i for i, c in enumerate(costs) if c <= 1.01 * min(costs))
    assert outcome.first == costs[0] / min(costs) - 1


def test_failures_count():
    runs = [run_search(layer(), "autotvm", seed) for seed in range(4)]
    assert all(0 < run.failed < run.best for run in runs)


def test_plans_suit_the_space():
    (c10,) = find_workloads("resnet18.C10")
    assert ModelSearcher(search_space(c10, feasible=False)).plan_size == 64
    assert ModelSearcher(search_space(c10)).plan_size == 11  # of 132
    assert ModelSearcher(layer().feasible).plan_size == 8
    assert ModelSearcher(layer().feasible, plan_size=64).plan_size == 64


# ---------------------------------------------------------------- running it


def small(folder, seeds=1, **options):
    return Study(folder, [DENSE, TINY], seeds=seeds, methods=FAST, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    study = small(tmp_path_factory.mktemp("study"))
    assert study.pending() == 2 + 2 * (len(FAST) + 1)
    study.run(1)
    assert study.pending() == 0
    return study


REPORTS = ("validity.csv", "model.csv", "search.csv", "means.csv")


def reports(study):
    write_report(study)
    return [(study.folder / name).read_text() for name in REPORTS]


def test_processes_and_one_process_give_the_same(finished, tmp_path):
    parallel = small(tmp_path)
    counted = []
    parallel.run(2, lambda: counted.append(1))
    assert len(counted) == 2 + 2 * (len(FAST) + 1)
    assert parallel.results() == finished.results()
    assert reports(parallel) == reports(finished)


def test_versions_are_those_of_modules_whatever_distribution_has_them(tmp_path, monkeypatch):
    expected = small(tmp_path).about["versions"]

    def lookup(name):
        if name == "xgboost":  # it is installed as xgboost-cpu
            raise PackageNotFoundError(name)
        return metadata.version(name)

    monkeypatch.setattr("vtacsp.study.execution.version", lookup)
    assert small(tmp_path).about["versions"] == expected


def test_a_study_goes_on_where_it_ended(finished, tmp_path, monkeypatch):
    class Enough(Exception):
        pass

    def stop_after(n):
        left = iter(range(n - 1))

        def callback():
            if next(left, None) is None:
                raise Enough

        return callback

    study = small(tmp_path)
    for n in (1, 8):
        with pytest.raises(Enough):
            study.run(1, stop_after(n))
    file = tmp_path / "results.jsonl"
    known = file.read_text()
    assert known.count("\n") == 7
    file.write_text(known + known.splitlines()[0][:30])  # torn: the process was killed
    assert len(study.results()) == 7
    again = small(tmp_path)
    done = []
    monkeypatch.setattr(
        "vtacsp.study.execution.run_search", lambda *a: done.append(a) or run_search(*a)
    )
    again.run(1)
    assert file.read_text().startswith(known)
    assert len(done) == 2 * len(FAST) - 7
    assert again.results() == finished.results()
    assert reports(again) == reports(finished)
    assert len(again.about["commands"]) == 3
    more = small(tmp_path, seeds=2, parts=["search"])
    assert more.pending() == 2 * len(FAST)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: small(f, seeds=0), "seeds is 0, must be at least 1"),
        (lambda f: small(f, parts=["all"]), "unknown part 'all'; known are validity, model"),
        (lambda f: Study(f, [TINY], methods=["x"]), "unknown method 'x'; known are autotvm"),
        (lambda f: Study(f, [TINY, TINY]), "two layers have the name 'tiny'"),
        (lambda f: Study(f, [TINY]).run(0), "jobs is 0"),
        (
            lambda f: Study(f, [TINY], VTAConfig().replace(LOG_ACC_BUFF_SIZE=16)),
            "another hardware .LOG_ACC_BUFF_SIZE 17, now 16.; choose another folder",
        ),
        (
            lambda f: Study(f, [dataclasses.replace(TINY, height=8)]),
            "is of another layer with the name 'tiny'",
        ),
        (lambda f: run_search(layer(), "x", 0), "unknown method 'x'"),
    ],
)
def test_errors(finished, make, message):
    with pytest.raises(StudyError, match=message):
        make(finished.folder)


def test_a_broken_folder_is_named(finished, tmp_path):
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(StudyError, match=r"study\.json is not the description of a study"):
        small(tmp_path)
    (tmp_path / "study.json").write_text((finished.folder / "study.json").read_text())
    (tmp_path / "results.jsonl").write_text("nonsense\n")
    with pytest.raises(StudyError, match=r"results\.jsonl line 1 is no result"):
        small(tmp_path).results()
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="cannot write"):
        small(tmp_path / "file").run(1)


# ---------------------------------------------------------------- the report


def outcome(best, **more):
    return {"best": best, "near": 1, "failed": 0, "first": 0.0, "compiled": 0, "taught": 0, **more}


def test_means_and_bars_are_those_of_invented_results(finished, tmp_path):
    for name in ("study.json", "layers"):
        (tmp_path / name).symlink_to(finished.folder / name)
    counts = {"autotvm": (100, 300), "uniform": (30, 50), "simulator": (1, 1)}
    tasks = {
        Job("search", "d-small", method, seed): outcome(n, first=0.004 if seed else 0.0)
        for method, pair in counts.items()
        for seed, n in enumerate(pair)
    }
    lines = [json.dumps({"task": t.__dict__, "result": r}) + "\n" for t, r in tasks.items()]
    (tmp_path / "results.jsonl").write_text("".join(lines))
    study = Study(tmp_path, [DENSE], seeds=2, parts=["search"])
    means = {row["method"]: row for row in Summary(study).means("rtl")}
    assert means["autotvm"]["best"] == pytest.approx(200)
    assert means["uniform"]["best ratio"] == pytest.approx(0.2)
    assert (means["uniform"]["best q1"], means["uniform"]["best q3"]) == pytest.approx((35, 45))
    bars = {bar.text.partition(":")[0] + bar.reached: bar.met for bar in Summary(study).bars()}
    assert bars == {
        "uniform20.0%": True,
        "simulatorat most 0.40%": True,
        "uniformon 1 of 1 layers": True,
        "simulatoron 1 of 1 layers": True,
    }
    # the worst seed is worse than the baseline's median, the ratio more than the bar
    file = tmp_path / "results.jsonl"
    worse = Job("search", "d-small", "uniform", 1)
    file.write_text("".join(lines) + json.dumps(
        {"task": worse.__dict__, "result": outcome(201)}) + "\n")  # fmt: skip
    assert [bar.met for bar in Summary(study).bars()] == [False, True, False, True]


def test_geometric_means_go_over_layers(finished):
    rows = [row for row in Summary(finished).search() if row["method"] == "uniform"]
    (means,) = [r for r in Summary(finished).means("rtl") if r["method"] == "uniform"]
    assert means["layers"] == 1
    assert means["best"] == rows[0]["best median"]
    assert rows[0]["best ratio"] * Summary(finished).search()[0]["best median"] == pytest.approx(
        rows[0]["best median"]
    )


def test_the_command_writes_tables_page_and_plots(tmp_path):
    file, folder = tmp_path / "layer.json", tmp_path / "out"
    file.write_text(json.dumps(DENSE.to_dict()))
    options = ["--output", folder, "--seeds", 2, "--jobs", 1, "--part", "validity",
               "--part", "search", "--method", "autotvm", "--method", "uniform"]  # fmt: skip
    result = run("study", file, *options)
    assert "uniform" in result.stdout
    assert "at most" not in result.output  # the goals are ours, not the user's
    assert "Goals" not in (folder / "report.md").read_text()
    rows = json.loads(run("study", file, *options, "--format", "json").stdout)
    assert [row["method"] for row in rows] == ["autotvm", "uniform"]
    assert rows[0]["best_ratio"] == 1
    page = (folder / "report.md").read_text()
    assert f"`vtacsp study {file} --seeds 2 --part validity --part search --method" in page
    assert "Results: complete" in page
    shown = {word.partition(")")[0] for word in page.split("](")[1:]}
    assert shown == {"search-rtl.png", "validity.png"}
    for name in shown:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert (folder / "search.csv").read_text().count("\n") == 3
    first = (folder / "study.json").read_text()
    run("study", file, *options)
    assert (folder / "study.json").read_text() == first
    refused = run("study", file, *options[:-1], "annealing", code=2)
    assert "unknown method 'annealing'" in refused.output


def test_layers_that_cannot_be_studied_are_named(tmp_path):
    result = run("study", "deepbench.S1", "--output", tmp_path, code=2)
    assert "deepbench.S1: in_channels is 1" in result.output


def test_a_worker_that_dies_is_one_clear_error(tmp_path, monkeypatch):
    class Dies(ProcessPoolExecutor):
        def submit(self, function, *words):
            return super().submit(exit_now)

    monkeypatch.setattr("vtacsp.study.execution.process_pool", Dies)
    with pytest.raises(StudyError, match="a worker process died; what was done is kept"):
        small(tmp_path).run(2)


def exit_now():
    import os

    os._exit(1)
