"""``vtacsp simulate`` and ``vtacsp best``: the contract that scripts rely on, and bad input."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

import vtacsp
from tests.support.commands import run
from tests.support.golden import cycle_case, simulator
from vtacsp import VTAConfig


@pytest.fixture
def files(tmp_path):
    """Workload and hardware file of a measured layer."""

    def write(name, memory_latency=16):
        case = cycle_case(f"{name}-{memory_latency}")
        workload, hardware = tmp_path / f"{name}.json", tmp_path / "vta_config.json"
        workload.write_text(json.dumps(case["workload"]))
        hardware.write_text(json.dumps(case["hardware"]))
        return case, workload, hardware

    return write


@pytest.mark.parametrize("latency", [16, 64])
@pytest.mark.parametrize("name", ["group.small", "d-small"])
def test_simulate_all_prints_index_knobs_and_cycles(files, name, latency):
    case, workload, hardware = files(name, latency)
    options = ["--all", "--format", "csv", "--timing", f"memory_latency={latency}"]
    text = run("simulate", workload, "--hardware", hardware, *options).output
    device = simulator(case)
    names = device.space.knob_space.names
    assert text.splitlines()[0] == ",".join(["index", *names, "cycles"])
    rows = [list(map(int, line.split(","))) for line in text.splitlines()[1:]]
    assert [row[0] for row in rows] == device.space.indices.tolist() == case["indices"]
    for row in rows:
        assert dict(zip(names, row[1:-1], strict=True)) == device.space.knob_space.config(row[0])
    assert [row[-1] for row in rows] == case["cycles"]  # what the RTL took, in this order
    text = run("simulate", workload, "--hardware", hardware, *options, "--alone").output
    alone = [int(line.rpartition(",")[2]) for line in text.splitlines()[1:]]
    assert alone == device.cycles_many(case["indices"]).tolist()


def test_one_configuration_in_detail(files):
    case, workload, _ = files("d-small")
    options = [workload, "--index", case["indices"][0]]
    (row,) = json.loads(run("simulate", *options, "--format", "json").output)
    assert row["index"] == case["indices"][0]
    assert row["cycles"] == case["cycles"][0]
    for time in row["modules"].values():
        assert sum(time["busy"].values()) + sum(time["stalls"].values()) == row["cycles"]
    table = run("simulate", *options).output
    assert f"{row['cycles']:,} cycles" in table
    assert f"bound by {row['bound']}" in table
    text = run("simulate", *options, "--format", "csv").output
    (line,) = csv.DictReader(io.StringIO(text))  # has what the table has, and JSON
    assert line["cycles"] == str(row["cycles"])
    assert line["modules_compute_busy_gemm"] == str(row["modules"]["compute"]["busy"]["gemm"])
    assert line["bytes_wgt_load"] == str(row["bytes"]["wgt_load"])


def test_the_best_is_the_minimum_of_all(files):
    _, workload, _ = files("group.small")
    options = ["--all", "--alone", "--format", "json"]
    everything = json.loads(run("simulate", workload, *options).output)
    fastest = min(everything, key=lambda row: row["cycles"])
    ((row,)) = json.loads(run("simulate", workload, "--best", "--format", "json").output)
    assert (row["index"], row["cycles"]) == (fastest["index"], fastest["cycles"])
    points = json.loads(run("best", workload, "--format", "json").output)
    assert points[0]["cycles"] == fastest["cycles"]
    assert points[0]["margin"] >= 0
    assert [p["cycles"] for p in points] == sorted(p["cycles"] for p in points)
    assert [p["scratchpad_bytes"] for p in points] == sorted(
        (p["scratchpad_bytes"] for p in points), reverse=True
    )
    assert str(points[0]["index"]) in run("best", workload).output


def test_the_winner_is_built_once(files, tmp_path, monkeypatch):
    case, workload, _ = files("d-small")
    device, built = simulator(case), []

    def build(workload, hardware, config, **options):
        built.append(config)
        return vtacsp.build(workload, hardware, config, **options)

    monkeypatch.setattr("vtacsp.timing.simulator.build", build)
    pictures = ["--plot", tmp_path / "a.svg", "--trace", tmp_path / "a.json"]
    run("simulate", workload, "--best", "--jobs", "1", *pictures)
    assert built == device.space.collapsed().indices.tolist()
    alone = device.fastest()
    with ThreadPoolExecutor(1) as executor:
        index, result = device.fastest(executor)
    assert (index, result.cycles) == (alone[0], alone[1].cycles)


def test_best_of_several_layers_names_what_it_skips(files, tmp_path):
    case, _, _ = files("group.small")
    thin = {**case["workload"], "name": "thin", "op": "conv2d", "in_channels": 3}
    del thin["groups"]
    several = tmp_path / "several.json"
    several.write_text(json.dumps([thin, case["workload"]]))
    result = run("best", several, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert "skipped: thin: in_channels" in result.stderr
    device = simulator(case)
    fastest = device.cycles_many(device.space.indices.tolist()).min()
    assert int(rows[0]["cycles"]) == fastest
    thin_only = tmp_path / "thin.json"
    thin_only.write_text(json.dumps([thin]))
    assert "in_channels" in run("best", thin_only, code=2).stderr


def test_the_estimate_of_a_board_says_so(files):
    _, workload, _ = files("d-small")
    slow = json.loads(
        run("simulate", workload, "--preset", "pynq", "--best", "--format", "json").output
    )
    assert "estimate" in slow[0]["timing"]
    assert "estimate" in run("simulate", workload, "--preset", "pynq", "--best").output


def test_trace_and_picture_are_written(files, tmp_path):
    case, workload, _ = files("d-small")
    trace, plot = tmp_path / "trace.json", tmp_path / "timeline.png"
    run("simulate", workload, "--index", case["indices"][0], "--trace", trace, "--plot", plot)
    assert json.loads(trace.read_text())["otherData"]["cycles"] == case["cycles"][0]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "choose configurations with --index"),
        (["--index", 3, "--best"], "choose configurations with"),
        (["--index", 10**9], "index 1000000000 is out of range, allowed are 0 to"),
        (["--all", "--timing", "speed=3"], "no timing constant 'speed'"),
        (["--all", "--timing", "memory_latency=-1"], "memory_latency is -1, allowed is an integer"),
        (["--index", 7, "--alone"], "--alone goes with --all"),
        (["--all", "--trace", "t.json"], "--trace and --plot show one configuration"),
        (["--index", 7, "--plot", "/nowhere/x.png"], "cannot write /nowhere/x.png"),
    ],
)
def test_bad_input_is_one_line(files, options, message):
    _, workload, _ = files("group.small")
    result = run("simulate", workload, *options, code=2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_infeasible_configuration_gives_its_cause(files):
    _, workload, _ = files("group.small")
    row = next(
        row
        for row in json.loads(run("check", workload, "--all", "--format", "json").output)
        if not row["feasible"]
    )
    result = run("simulate", workload, "--index", row["index"], code=2)
    assert f"error: {row['cause']}: group.small index {row['index']} cannot run" in result.stderr


def test_nothing_feasible_has_its_own_exit_code(files, tmp_path):
    case, workload, _ = files("group.small")
    tiny = tmp_path / "tiny.json"
    tiny.write_text(
        json.dumps({**case["hardware"], "LOG_WGT_BUFF_SIZE": 9, "LOG_INP_BUFF_SIZE": 5,
                    "LOG_ACC_BUFF_SIZE": 7})
    )  # fmt: skip
    for command in (["simulate", workload, "--best"], ["simulate", workload, "--all"],
                    ["best", workload]):  # fmt: skip
        assert "nothing is feasible" in run(*command, "--hardware", tiny, code=3).stderr


def test_a_machine_that_the_design_cannot_be_built_for_is_named(tmp_path):
    machine, layer = tmp_path / "machine.json", tmp_path / "layer.json"
    hardware = VTAConfig(log_batch=2, log_block=3, log_wgt_buff_size=16, log_acc_buff_size=16)
    machine.write_text(json.dumps(hardware.to_dict()))
    layer.write_text(
        json.dumps({"op": "dense", "name": "d", "batch": 4, "in_features": 8, "out_features": 8})
    )
    options = ["simulate", layer, "--hardware", machine, "--index", "0"]
    assert "cannot be built" not in run(*options).stderr
    wide = run(*options, "--timing", "bus_bytes=16")
    assert "an OUT tensor of 2^5 bytes is wider than the memory bus" in wide.stderr
    assert "the ALU of the design has outputs for one row" in run("hardware", machine).output
    default = run("hardware").output  # a hazard of some programs, and nothing else
    assert default.count("Chisel") == default.count("load of the whole INP scratchpad") == 1
    assert "outputs for one row" not in default
