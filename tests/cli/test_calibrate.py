"""``vtacsp calibrate`` and ``--preset FILE``: the contract that scripts rely on, and bad input."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import fields, replace

import pytest

from tests.support.calibrated import programs, record, simulated, tables
from tests.support.commands import run
from vtacsp import RTL, Simulator, TimingModel, VTAConfig
from vtacsp.calibrate import load_preset
from vtacsp.cli import main
from vtacsp.tune import write_records

HIDDEN = {"memory_latency": 61, "write_latency": 18, "launch_delay": 2500, "clock_hz": 90_000_000}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a log of 32 programs: hidden constants, an outlier, two failures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    records = simulated(replace(RTL, **HIDDEN), 0.005, some=32)
    outlier = records[3].result.costs[0] * 3
    layer, machine, index, _ = programs()[3]
    records[3] = record(layer, machine, index, outlier)
    failed = [record(*programs()[i][:3]) for i in (0, 1)]
    write_records("board.log", [*records, *failed])
    for name in ("k1-pad1", "d-small"):
        (tmp_path / f"{name}.json").write_text(json.dumps(tables(16)[name][0].to_dict()))
    both = [tables(16)[name][0].to_dict() for name in ("k1-pad1", "d-small")]
    (tmp_path / "net.json").write_text(json.dumps(both))
    return tmp_path


def test_json_has_constants_errors_outliers_and_the_preset(here):
    data = json.loads(run("calibrate", "board.log", "--format", "json").stdout)
    constants = data["constants"]
    for name, value in HIDDEN.items():
        one = constants[name]
        assert one["status"] == "fitted"
        assert one["low"] <= one["value"] <= one["high"]
        assert one["value"] == pytest.approx(value, rel=0.05)
        assert one["standard_error"] > 0
        assert one["start"] == getattr(RTL, name)
    assert len(constants) == len(fields(TimingModel)) - 1  # but for the note
    assert constants["memory_queue"]["status"] == "held"
    assert (data["programs"], data["records"], data["failed"]) == (32, 34, 2)
    assert (data["device"], data["machine"]) == ("board", VTAConfig().model)
    (outlier,) = data["outliers"]
    assert (outlier["workload"], outlier["index"]) == ("k1-pad1", programs()[3][2])
    assert outlier["error"] == pytest.approx(-2 / 3, abs=0.02)
    assert len(data["residuals"]) == 32
    assert data["error"]["after"] < 0.01 < data["error"]["before"]
    assert data["error"]["left_out"] < 0.01
    assert data["rank_correlation"]["after"] >= data["rank_correlation"]["before"]
    assert data["rank"] == 4
    assert data["fitted_condition"] > 1
    values = {name: one["value"] for name, one in constants.items()}
    assert data["preset"]["constants"] == values


def test_a_preset_is_written_and_every_command_takes_it(here):
    done = run("calibrate", "board.log", "--write", "board.json", "--output", "out.txt")
    assert "wrote board.json" in done.stderr
    timing = load_preset("board.json")
    assert timing.memory_latency == pytest.approx(61, rel=0.05)
    words = [f"--timing={name}={getattr(timing, name)}" for name in HIDDEN]
    for command in (["simulate", "d-small.json", "--all"], ["best", "d-small.json"]):
        options = [*command, "--format", "csv"]
        by_file = run(*options, "--preset", "board.json").stdout
        assert by_file == run(*options, *words).stdout
        assert by_file != run(*options).stdout
    assert "fitted to 32 programs" in run("best", "d-small.json", "--preset", "board.json").stdout
    for command in (["report", "--network"], ["best", "--network"]):  # cycles of a network
        options = [*command, "d-small.json", "--format", "json"]
        by_file = json.loads(run(*options, "--preset", "board.json").stdout)
        assert by_file["total"]["cycles"] > json.loads(run(*options).stdout)["total"]["cycles"]
    refusal = run("report", "d-small.json", "--preset", "board.json", code=2).stderr
    assert "nothing is timed" in refusal
    run("report", "d-small.json", "--preset", "board.json", "--html", "page.html")
    assert "fitted to 32 programs" in (here / "page.html").read_text()
    tune = ("tune", "d-small.json", "--trials", 2, "--preset", "board.json", "--log", "new.log")
    run(*tune, "--searcher", "random")
    assert f"clock_hz={timing.clock_hz}" in (here / "new.log").read_text()
    again = json.loads(run("calibrate", "board.log", "--preset", "board.json", "--timing",
                           "launch_delay=2500", "--format", "json").stdout)  # fmt: skip
    assert again["constants"]["launch_delay"]["value"] == 2500
    assert again["constants"]["launch_delay"]["status"] == "held"
    assert again["constants"]["memory_latency"]["start"] == timing.memory_latency


def test_every_command_about_cycles_takes_a_preset():
    without = {
        name
        for name, command in main.commands.items()
        if not any(option.name == "preset" for option in command.params)
    }
    # none of these says cycles of the model, but `study`, whose cycles are recorded ones of the RTL
    assert without == {
        "check", "count", "enumerate", "explain", "glossary", "hardware", "log", "neighbours",
        "program", "run", "sample", "study",
    }  # fmt: skip


def test_text_fits_80_columns_and_names_what_matters(here):
    three = [tables(16)[name][0].to_dict() for name in ("k1-pad1", "d-small", "group.small")]
    (here / "three.json").write_text(json.dumps(three))
    text = run("calibrate", "board.log", "--workload", "three.json", "--residuals",
               "--propose", 2, "--fit", "memory_latency",
               "--fit", "alu_pair_interval", "--fit", "clock_hz", "--fit", "launch_delay",
               "--fit", "write_latency").stdout  # fmt: skip
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.replace("│", " ").split())
    assert "32 programs, 34 records, 2 failed" in flat
    assert "alu_pair_interval" in flat
    assert "not told: no program of the log" in flat
    assert "outlier: k1-pad1 index" in flat
    assert "when left out" in flat
    assert "to measure next, of 25 programs" in flat
    assert "group.small" in flat.partition("to measure next")[2]


def test_csv_has_the_table_that_is_asked_for(here):
    options = ("calibrate", "board.log", "--workload", "net.json", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(run(*options).stdout)))
    assert [row["constant"] for row in rows][:2] == ["memory_latency", "write_latency"]
    assert len(rows) == len(fields(TimingModel)) - 1
    rows = list(csv.DictReader(io.StringIO(run(*options, "--residuals").stdout)))
    assert len(rows) == 32
    assert sum(row["outlier"] == "1" for row in rows) == 1
    # k1-pad1 and d-small have 32 programs, all of them measured
    result = run(*options, "--propose", 1, code=2)
    assert "--propose 1: 0 programs" in result.stderr


def test_errors_beyond_what_repeats_differ_by_are_said(here):
    records = simulated(RTL, 0.02, some=32)
    twice = [replace(r, result=replace(r.result, costs=(cost, cost * 1.0005)), line="")
             for r in records for cost in r.result.costs]  # fmt: skip
    write_records("twice.log", twice)
    text = " ".join(run("calibrate", "twice.log").stdout.split())
    assert "repeated measurements differ by 0.00035" in text
    assert "the model leaves something out: its errors are " in text
    assert "the model leaves" not in run("calibrate", "board.log").stdout


def test_a_first_batch_is_proposed_without_a_log(here):
    data = json.loads(
        run("calibrate", "--workload", "net.json", "--propose", 4, "--format", "json").stdout
    )
    rows = data["propose"]
    assert len({(row["workload"], row["index"]) for row in rows}) == 4
    assert all(row["cycles"] > 0 and row["seconds"] == row["cycles"] / 1e8 for row in rows)
    then, now = data["proposed_from"]["then"], data["proposed_from"]["now"]
    assert set(then) == set(HIDDEN)
    assert all(then[name] < now[name] for name in then)
    text = run("calibrate", "--workload", "net.json", "--propose", 4).stdout
    assert all(f" {row['index']} " in text for row in rows)


def test_a_log_of_several_devices_is_calibrated_by_one(here):
    other = simulated(RTL, some=32)
    records = [replace(r, device="other", task=r.task.on("other"), line="") for r in other]
    write_records("other.log", records)
    both = (here / "board.log").read_text() + (here / "other.log").read_text()
    (here / "both.log").write_text(both)
    text = run("calibrate", "both.log", code=2).stderr
    assert text == ("error: both.log: the log has records of 2 devices: 'board', 'other'; "
                    "choose one with --device\n")  # fmt: skip
    options = ("--device", "other", "--format", "json")
    data = json.loads(run("calibrate", "both.log", *options).stdout)
    assert data["device"] == "other"
    assert data["constants"]["memory_latency"]["value"] == RTL.memory_latency
    one = json.loads(run("calibrate", "both.log", *options, "--layer", "k1-pad1").stdout)
    assert one["programs"] == 27


def test_the_machine_is_that_of_the_log(here):
    layer, machine, *_ = tables(16)["k1-pad1"]
    small = replace(machine, log_acc_buff_size=16, target="pynq")
    device = Simulator(layer, small)
    indices = device.space.indices.tolist()
    cycles = device.cycles_many(indices)
    write_records("small.log", [record(layer, small, i, c / 1e8) for i, c in
                                zip(indices, cycles.tolist(), strict=True)])  # fmt: skip
    options = ("calibrate", "small.log", "--workload", "net.json", "--format", "json")
    data = json.loads(run(*options).stdout)
    assert data["machine"] == small.model
    assert data["constants"]["memory_latency"]["value"] == RTL.memory_latency
    (here / "same.json").write_text(json.dumps(small.replace(TARGET="sim").to_dict()))
    again = json.loads(run(*options, "--hardware", "same.json").stdout)
    assert again["constants"] == data["constants"]


def broken(here, what):
    """A log with one thing wrong."""
    layer, machine, index, _ = programs()[0]
    lines = (here / "board.log").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    if what == "empty":
        lines = []
    elif what == "one":
        lines = lines[1:2]
    elif what in ("failed", "zero", "nan"):
        for row in rows:
            row["result"] = {"failed": [[1e9], 4, 1.0, 1.0], "zero": [[0.0], 0, 1.0, 1.0],
                             "nan": [[float("nan")], 0, 1.0, 1.0]}[what]  # fmt: skip
        lines = [json.dumps(row) for row in rows]
    elif what == "no-layer":
        rows[0]["input"][1] = "conv2d_nchw.cuda"
        lines = [json.dumps(row) for row in rows]
    elif what == "shape":
        for row in rows:
            row["input"][2][0][1] = [1, 2, 3]
        lines = [json.dumps(row) for row in rows]
    elif what == "no-machine":
        for row in rows:
            row["input"][0] = "llvm"
        lines = [json.dumps(row) for row in rows]
    elif what == "nanoseconds":
        for row in rows[:32]:
            row["result"][0] = [cost * 1e-9 for cost in row["result"][0]]
        lines = [json.dumps(row) for row in rows]
    elif what == "machines":
        small = replace(machine, log_acc_buff_size=machine.log_acc_buff_size - 1)
        lines.append(record(layer, small, index, 1.0).encode())
    elif what == "torn":
        lines = [lines[0][:-30], *lines]
    (here / "bad.log").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("empty", "bad.log: there is no record in the log"),
        ("one", "bad.log: 1 program was measured, at least 3 are needed"),
        ("failed", "bad.log: all 34 records are of measurements that failed"),
        ("zero", "bad.log: all 34 records are of measurements that failed"),
        ("nan", "bad.log: all 34 records are of measurements that failed"),
        (
            "no-layer",
            "bad.log: k1-pad1: 'conv2d_nchw.cuda' is no layer that sim_1x16_i8w8a32_15_15",
        ),
        ("shape", "is no layer that sim_1x16_i8w8a32_15_15"),
        ("no-machine", "bad.log: the target 'llvm' has no -model= that names a VTA machine"),
        ("nanoseconds", "bad.log: no program takes the costs of the 32 records that did not fail"),
        ("machines", "bad.log: the log has records of 2 machines: "),
        ("torn", "bad.log, line 1: "),
    ],
)
def test_a_log_that_tells_nothing_is_one_line(here, what, message):
    broken(here, what)
    before = sorted(path.name for path in here.iterdir())
    result = run("calibrate", "bad.log", "--write", "out.json", code=2)
    (line,) = result.stderr.splitlines()
    assert message in line
    assert result.stdout == ""
    assert sorted(path.name for path in here.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no LOG: give the log of a device, or --propose with --workload to begin one"),
        (["--propose", "3"], "no LOG"),
        (["--workload", "net.json", "--propose", "3", "--write", "x.json"], "need a LOG"),
        (["absent.log"], "cannot read absent.log"),
        (["board.log", "--write", "absent/x.json"], "absent/x.json"),
        (["board.log", "--fit", "latency"], "no timing constant 'latency'; constants are memory"),
        (["board.log", "--fit", "clock_hz", "--fit", "clock_hz"], "clock_hz is given twice"),
        (["board.log", "--fit", "clock_hz", "--timing", "clock_hz=9"], "--timing says what it is"),
        (["board.log", "--timing", "latency=3"], "no timing constant 'latency'"),
        (["board.log", "--fit", "alu_pair_interval"], "no program of the log changes with it"),
        (["board.log", "--hardware", "small.json"], "--hardware is sim_1x16_i8w8a32_15_15_18_16"),
        (["board.log", "--workload", "d-small.json"], "which is none of the layers given (d-small"),
        (["board.log", "--workload", "odd.json"], "in_channels is 24, not a multiple of the block"),
        (["board.log", "--device", "nobody"], "--device nobody: no record is of it; there are boa"),
        (["board.log", "--layer", "nobody"], "--layer nobody: no record is of it"),
        (["board.log", "--preset", "nobody"], "presets with a name are rtl, pynq"),
        (["board.log", "--preset", "net.json"], "net.json: a timing preset is a JSON object"),
        (["board.log", "--propose", "0"], "--propose"),
        (["board.log", "--format", "csv", "--residuals", "--propose", "1"], "choose one for csv"),
        (["-", "--workload", "-"], "only one is read from standard input"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(here, options, message):
    small = {**VTAConfig().to_dict(), "LOG_ACC_BUFF_SIZE": 16}
    (here / "small.json").write_text(json.dumps(small))
    odd = {**tables(16)["k1-pad1"][0].to_dict(), "in_channels": 24}
    (here / "odd.json").write_text(json.dumps(odd))
    before = sorted(path.name for path in here.iterdir())
    result = run("calibrate", *options, code=2)
    assert message in result.stderr.splitlines()[-1]
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert sorted(path.name for path in here.iterdir()) == before


def test_presets_have_names_in_any_case(here):
    for name in ("pynq", "PYNQ"):
        rows = json.loads(run("best", "d-small.json", "--preset", name, "--format", "json").stdout)
        assert rows[0]["cycles"] > 0
    assert run("simulate", "d-small.json", "--best", "--preset", "RTL").stdout == (
        run("simulate", "d-small.json", "--best").stdout
    )
