"""``vtacsp tune`` and ``vtacsp log``: what they promise, and bad input."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from tests.support.commands import CONV, DENSE, TIGHT, run, tuned
from vtacsp import Simulator, VTAConfig, find_workloads, workload_from_dict
from vtacsp.cli.tuning_search import AskedSearch
from vtacsp.network.layer_search import INITIAL, SEARCHERS
from vtacsp.tune import SimulatorMeasurer, load_records
from vtacsp.tune.bound import cycle_bounds


def simulator(workload=CONV):
    return Simulator(workload_from_dict(workload))


def indices(log="vtacsp.log"):
    return [record.index for record in load_records(log)]


def test_the_bare_command_finds_the_best_writes_a_log_and_says_so(here):
    result = run("tune", "net.json")
    assert re.search(r"vtacsp\.log: \d+ measured now, 0 known from before", result.stderr)
    assert re.search(r"fc: \d+ measured, 0 failed, best [\d,]+ cycles", result.stderr)
    for line in (here / "vtacsp.log").read_text().splitlines():
        assert set(json.loads(line)) >= {"input", "config", "result", "version", "tvm_version"}
    for work in (CONV, DENSE):
        device = simulator(work)
        fastest = int(device.cycles_many(device.space.indices.tolist()).min())
        assert f"{fastest:,}" in result.stdout
        assert len(set(indices())) <= len(indices())


def test_a_row_says_what_was_found(here):
    (row,) = tuned("conv.json", "--trials", 20, "--init", "diverse")
    device = simulator()
    assert row["cycles"] == device.cycles(row["index"])
    assert device.space.knob_space.config(row["index"]).items() <= row.items()
    assert row["seconds"] == pytest.approx(row["cycles"] / 100e6)
    assert row["gops"] == pytest.approx(device.workload.operations / row["seconds"] / 1e9)
    assert row["bound"] == cycle_bounds(device.space.problem, device.space.indices).min()
    assert row["gap"] == pytest.approx(row["cycles"] / row["bound"] - 1)
    assert row["gap"] >= 0
    assert (row["measured"], row["from_log"], row["failed"]) == (20, 0, 0)
    assert indices()[row["found_at"] - 1] == row["index"]
    assert row["cycles"] == min(device.cycles(index) for index in indices())


def test_resuming_measures_nothing_twice(here):
    first = tuned("conv.json", "--trials", 10, "--init", "uniform")
    second = tuned("conv.json", "--trials", 24, "--init", "uniform")
    assert [(row["measured"], row["from_log"]) for row in first + second] == [(10, 0), (14, 10)]
    assert len(indices()) == len(set(indices())) == 24
    whole = tuned("conv.json", "--trials", 24, "--init", "uniform", "--log", "other.log")
    assert indices() == indices("other.log")
    assert whole[0]["index"] == second[0]["index"]


def test_another_timing_is_another_device(here):
    tuned("conv.json", "--trials", 5)
    (slow,) = tuned("conv.json", "--trials", 5, "--timing", "memory_latency=64")
    (row,) = tuned("conv.json", "--trials", 5)
    assert (slow["measured"], row["measured"]) == (5, 0)
    assert slow["cycles"] > row["cycles"]
    listed = json.loads(run("log", "vtacsp.log", "--format", "json").stdout)
    assert [layer["device"] for layer in listed] == [
        "simulator rtl",
        "simulator rtl memory_latency=64",
    ]


def test_records_that_name_no_device_are_left_out_unless_it_is_assumed(here):
    tuned("conv.json", "--trials", 5, "--init", "uniform")
    log, text = here / "vtacsp.log", ""
    for line in log.read_text().splitlines():  # as AutoTVM writes them
        record = json.loads(line)
        del record["vtacsp"]
        text += json.dumps(record) + "\n"
    for extra, said, measured in (
        ([], 'left out; --assume DEVICE says which, such as "simulator rtl"', 5),
        (["--assume", "simulator rtl"], 'taken as "simulator rtl"', 0),
        (["--assume", "b"], 'taken as "b", which is not what measures here ("simulator rtl"): ', 5),
    ):
        log.write_text(text)
        done = run("tune", "conv.json", "--trials", 5, "--init", "uniform", *extra)
        assert f"vtacsp.log: 5 records name no device: {said}" in done.stderr
        assert f"{measured} measured now, {5 - measured} known from before" in done.stderr
        assert len(load_records(log)) == 5 + measured

    log.write_text(text)
    done = run("tune", "conv.json", "--network", "--trials", 5, "--init", "uniform")
    assert "vtacsp.log: 5 records name no device: left out" in done.stderr


def test_a_torn_log_is_mended(here):
    tuned("conv.json", "--trials", 6)
    log = here / "vtacsp.log"
    log.write_bytes(log.read_bytes()[:-30])
    (row,) = tuned("conv.json", "--trials", 6)
    assert (row["measured"], row["from_log"]) == (1, 5)
    assert len(load_records(log)) == 6


@pytest.mark.parametrize("searcher", SEARCHERS)
@pytest.mark.parametrize("initial", ["uniform", "none"])
def test_seeds_reproduce_whatever_the_searcher(here, searcher, initial):
    options = ["conv.json", "--trials", 20, "--searcher", searcher, "--init", initial]
    for seed, log in ((3, "a.log"), (3, "b.log"), (4, "c.log")):
        tuned(*options, "--seed", seed, "--log", log)
    assert indices("a.log") == indices("b.log")
    if (searcher, initial) != ("grid", "none"):
        assert indices("a.log") != indices("c.log")


@pytest.mark.parametrize("initial", INITIAL)
def test_the_first_batch_is_what_was_asked_for(here, initial):
    tuned("conv.json", "--trials", 6, "--searcher", "grid", "--init", initial)
    device = simulator()
    programs = device.space.collapsed().indices.tolist()
    costs = {
        "analytic": cycle_bounds(device.space.problem, device.space.collapsed().indices).tolist(),
        "simulator": device.cycles_many(programs).tolist(),
        "none": programs,
    }
    if initial in costs:
        order = sorted(zip(costs[initial], programs, strict=True))
        assert indices() == [index for _, index in order[:6]]
    else:
        assert indices() != programs[:6]
        assert set(indices()) <= set(programs)


def test_the_whole_grid_fails_and_says_how_often(here):
    options = ["--space", "grid", "--searcher", "random", "--init", "none"]
    (row,) = tuned("conv.json", "--trials", 40, *options)
    records = load_records("vtacsp.log")
    failed = [record for record in records if not record.result.ok]
    assert row["failed"] == len(failed) > 0
    problem = simulator().space.problem
    assert [r.result.cause for r in failed] == problem.causes([r.index for r in failed])


def test_worker_processes_measure_the_same(here):
    (one,) = tuned("conv.json", "--trials", 12)
    (two,) = tuned("conv.json", "--trials", 12, "--jobs", 2, "--log", "jobs.log")
    for row in (one, two):
        del row["found_at"]  # results come in the order in which they are ready
    assert one == two
    assert sorted(indices()) == sorted(indices("jobs.log"))


class Interrupted(SimulatorMeasurer):
    """Ctrl-C at the fifth measurement of the second layer."""

    def measure(self, batch):
        for number, result in enumerate(super().measure(batch), 1):
            if number == 5 and self.workload.name == "fc":
                raise KeyboardInterrupt
            yield result


def test_ctrl_c_keeps_everything_and_prints_the_table(here, monkeypatch):
    monkeypatch.setattr(
        AskedSearch, "measurer", lambda _, s: Interrupted(s.workload, s.hardware, s.timing)
    )
    options = ["net.json", "--trials", 12, "--format", "json"]
    result = run("tune", *options, "--html", "page.html", code=130)
    rows = json.loads(result.stdout)
    assert [(row["workload"], row["measured"]) for row in rows] == [("<conv>", 12), ("fc", 4)]
    assert "interrupted; the same command goes on" in result.stderr
    assert len(load_records("vtacsp.log")) == 16
    assert len(Page(here / "page.html").points) == 2
    monkeypatch.undo()  # fc has 9 programs
    monkeypatch.chdir(here)
    rows = json.loads(run("tune", *options).stdout)
    assert [(row["measured"], row["from_log"]) for row in rows] == [
        (0, 12),
        (5, 4),
    ]  # fc has 9 programs


def test_what_cannot_be_packed_is_skipped_with_a_line(here):
    result = run("tune", "thin.json", "--trials", 4, "--format", "csv")
    assert "skipped: thin: in_channels is 3" in result.stderr
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert row["measured"] == "4"


def test_nothing_feasible_has_its_own_exit_code(here):
    (here / "tight.json").write_text(json.dumps({**VTAConfig().to_dict(), **TIGHT}))
    result = run("tune", "conv.json", "--hardware", "tight.json", code=3)
    assert "nothing is feasible" in result.stderr
    assert not (here / "vtacsp.log").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", 0], "'--trials': 0 is not in the range"),
        (["--seed", -1], "'--seed': -1 is not in the range"),
        (["--timing", "speed=3"], "no timing constant 'speed'"),
        (["--html", "/nowhere/x.html"], "cannot write /nowhere/x.html"),
        (["--output", "/nowhere/x.csv"], "cannot write /nowhere/x.csv"),
        (["--log", "."], "cannot write .: it is a folder"),
        (["--log", "conv.json"], "conv.json, line 1: not an AutoTVM record"),
        (["--hardware", "none.json"], "none.json"),
    ],
)
def test_bad_input_is_one_line(here, options, message):
    result = run("tune", "conv.json", *options, code=2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


# -- the page


class Page(HTMLParser):
    """Points, curves, measured cells and timelines of each section."""

    def __init__(self, path) -> None:
        super().__init__()
        self.points, self.curves, self.cells, self.kinds = {}, {}, {}, {}
        self.rings, self.tags, self.scripts = {}, [], {}
        self.section, self._script = "", False
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.tags.append((tag, a))
        kind, section = a.get("class", ""), self.section
        if tag == "section":
            self.section = a.get("id", "")
        elif kind in ("trial", "failure"):
            point = (int(a["data-trial"]), int(a["data-index"]), a.get("data-cycles"))
            self.points.setdefault(section, []).append(point)
        elif kind == "best-so-far":
            self.curves[section] = [int(n) for n in a["data-values"].split(",")]
        elif kind == "measured":
            self.cells.setdefault(section, []).extend(map(int, a["data-index"].split(",")))
        elif kind == "ring":
            self.rings[section] = self.rings.get(section, 0) + 1
        elif kind == "timeline":
            self.kinds.setdefault(section, []).append(a["data-kind"])
        self._script = tag == "script" and a.get("type") == "application/json"

    def handle_data(self, data):
        if self._script:
            self.scripts[self.section] = json.loads(data)


def test_the_page_shows_every_measurement(here):
    options = ["--trials", 30, "--space", "grid", "--init", "diverse"]
    rows = tuned("net.json", *options, "--html", "page.html")
    page = Page(here / "page.html")
    records = load_records("vtacsp.log")
    assert list(page.points) == ["layer-0", "layer-1"]
    for section, row in zip(page.points, rows, strict=True):
        mine = [record for record in records if record.workload == row["workload"]]
        cycles = [round(r.result.seconds * 100e6) if r.result.ok else None for r in mine]
        assert page.points[section] == [
            (number, record.index, None if n is None else str(n))
            for number, (record, n) in enumerate(zip(mine, cycles, strict=True), 1)
        ]
        ran = [[n for n in cycles[: i + 1] if n is not None] for i in range(len(cycles))]
        assert page.curves[section] == [min(some, default=0) for some in ran]
        assert page.curves[section][-1] == row["cycles"]
        assert sorted(page.cells[section]) == sorted(record.index for record in mine)
        assert page.rings[section] == 1
        assert page.kinds[section] == ["shares", "stretch"]
        assert sum(note.count("measurement") for note in page.scripts[section]["notes"].values())
        assert f"{row['cycles']:,} cycles" in page.text


def test_the_page_is_self_contained(here):
    run("tune", "conv.json", "--trials", 4, "--html", "page.html")
    page = Page(here / "page.html")
    assert not re.search(r"https?:|url\(|@import", page.text)
    assert not any("src" in a or tag in ("link", "img", "iframe") for tag, a in page.tags)
    assert "<conv>" not in page.text


def test_a_page_in_which_nothing_runs_says_so(here):
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.report.tuning_page import render
    from vtacsp.timing import RTL
    from vtacsp.tune import RandomSearcher, search_space, tune

    device = simulator()
    grid = search_space(device.workload, feasible=False)
    bad = [i for i in range(60) if i not in device.space.indices][:3]
    measurer = SimulatorMeasurer(device.workload)
    result = tune(RandomSearcher(grid, initial=bad), measurer, trials=3)
    text = render("x", [TunedLayer(device, result)], device.hardware, RTL)
    assert "3 measurements, all failed" in text
    assert "Nothing that was measured runs." in text


# -- vtacsp log


def test_a_log_is_listed_by_layer(here):
    rows = tuned("net.json", "--trials", 9, "--space", "grid", "--init", "diverse")
    listed = json.loads(run("log", "vtacsp.log", "--format", "json").stdout)
    assert [
        (layer["workload"], layer["records"], layer["failed"], layer["best_index"])
        for layer in listed
    ] == [(row["workload"], 9, row["failed"], row["index"]) for row in rows]
    assert listed[0]["best_seconds"] == pytest.approx(rows[0]["seconds"])
    assert "conv2d_packed.vta" in run("log", "vtacsp.log").stdout


def test_the_best_are_picked(here):
    rows = tuned("net.json", "--trials", 9)
    result = run("log", "vtacsp.log", "--best", "--merge", "best.log", "--format", "json")
    assert [row["index"] for row in json.loads(result.stdout)] == [row["index"] for row in rows]
    assert indices("best.log") == [row["index"] for row in rows]
    assert json.loads(result.stdout)[0]["tile_h"] == rows[0]["tile_h"]


def test_logs_are_merged_and_nothing_is_lost(here):
    tuned("conv.json", "--trials", 5, "--log", "a.log", "--init", "uniform")
    tuned("conv.json", "--trials", 9, "--log", "b.log", "--init", "uniform")
    (here / "b.log").write_text(
        "# mine\n{not json\n" + (here / "b.log").read_text() + '{"input": ["cuda"]}\n{"input": [1'
    )
    result = run("log", "a.log", "b.log", "--merge", "all.log", "--format", "csv")
    problems = result.stderr.splitlines()
    assert [line.partition(": ")[0] for line in problems] == [
        "b.log, line 2",
        "b.log, line 12",
        "b.log, line 13",
        "wrote all.log",
    ]
    assert "torn" in problems[2]
    assert set(_records("all.log")) == set(_records("b.log"))
    assert len(_records("all.log")) == 9
    kept = (here / "all.log").read_text()
    assert "# mine\n" in kept
    assert "# no record: {not json\n" in kept
    assert '\n{"input": ["cuda"]}\n' in kept
    assert '# torn: {"input": [1\n' in kept
    again = run("log", "all.log", "--merge", "all.log", "--format", "csv")
    assert (here / "all.log").read_text() == kept
    assert again.stdout == run("log", "all.log", "--format", "csv").stdout


def _records(path):
    from vtacsp.tune import read_log

    return [line.record.index for line in read_log(path) if line.record is not None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["none.log"], "cannot read none.log"),
        (["conv.json", "--merge", "/dev/null/x.log"], "cannot write /dev/null/x.log"),
    ],
)
def test_bad_files_are_one_line(here, options, message):
    result = run("log", *options, code=2)
    assert message in result.stderr.splitlines()[-1]


def test_a_log_of_other_tasks_is_listed_under_its_task(here):
    tuned("conv.json", "--trials", 3)
    rows = [json.loads(line) for line in (here / "vtacsp.log").read_text().splitlines()]
    for row in rows:
        del row["vtacsp"]
    (here / "theirs.log").write_text("\n".join(map(json.dumps, rows)))
    (listed,) = json.loads(run("log", "theirs.log", "--format", "json").stdout)
    assert (listed["workload"], listed["task"]) == ("", "conv2d_packed.vta")
    theirs = ("--log", "theirs.log", "--assume", "simulator rtl")
    (row,) = tuned("conv.json", "--trials", 3, *theirs)
    assert row["measured"] == 0


def test_default_trials_find_the_best_of_a_resnet_layer(here):
    (layer,) = find_workloads("resnet18.C11")
    device = Simulator(layer)
    (row,) = tuned("resnet18.C11")
    assert row["cycles"] == device.cycles_many(device.space.indices.tolist()).min()
    assert row["found_at"] <= 3


def test_a_layer_ends_within_its_gap_and_says_so(here):
    def found(gap, log):
        result = run(
            "tune", "resnet18.C10", "--gap", gap, "--trials", "20", "--log", log, "--format", "json"
        )
        (row,) = json.loads(result.stdout)
        return row, result.stderr

    row, said = found("1", "a.log")
    assert row["gap"] <= 0.01
    assert row["measured"] < 20
    assert "1 of 1 layers ended early: no configuration is more than 1% faster" in said
    closer, said = found("0", "b.log")
    assert closer["measured"] == 20
    assert closer["cycles"] <= row["cycles"]
    assert "ended early" not in said
    assert (
        "'--gap': nan is no number of the range"
        in run("tune", "resnet18.C10", "--gap", "nan", code=2).stderr
    )
