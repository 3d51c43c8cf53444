"""The command line: contracts that scripts rely on, exit codes, one-line errors."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from tests.support.commands import TIGHT, run
from tests.support.truth import truth
from vtacsp import VTAConfig, compile, find_workloads
from vtacsp.cli import main


@pytest.fixture
def files(tmp_path):
    """A workload file and a hardware file of a truth case."""

    def write(name):
        case = truth()[name]
        workload, hardware = tmp_path / f"{name}.json", tmp_path / "vta_config.json"
        workload.write_text(json.dumps(case.workload.to_dict()))
        hardware.write_text(json.dumps(case.hardware.to_dict()))
        return case, workload, hardware

    return write


NAMES = ["small.k3-bias", "dcgan.small", "group.small", "batch2.dense", "b8.conv3x3"]


@pytest.mark.parametrize("name", NAMES)
def test_enumerate_prints_feasible_rows_by_index(files, name):
    case, workload, hardware = files(name)
    text = run("enumerate", workload, "--hardware", hardware, "--format", "csv").output
    knob_space = case.problem.knob_space
    lines = text.splitlines()
    assert lines[0] == ",".join(["index", *knob_space.names])
    expected = [",".join(map(str, [i, *knob_space.config(i).values()])) for i in case.feasible]
    assert lines[1:] == expected


@pytest.mark.parametrize("name", NAMES)
def test_check_all_prints_every_row_with_its_cause(files, name):
    case, workload, hardware = files(name)
    text = run("check", workload, "--hardware", hardware, "--all", "--format", "csv").output
    rows = list(csv.DictReader(io.StringIO(text)))
    names = case.problem.knob_space.names
    assert list(rows[0]) == ["index", *names, "feasible", "cause"]
    assert [row["cause"] for row in rows] == list(case.causes)
    assert [row["feasible"] for row in rows] == [str(int(c == "ok")) for c in case.causes]


def test_check_some(files):
    _, workload, _ = files("resnet18.C8")
    text = run("check", workload, "--index", 700, "--index", 0, "--format", "json").output
    assert [(row["index"], row["cause"]) for row in json.loads(text)] == [
        (700, "dma_pad"),
        (0, "ok"),
    ]


def test_report_has_a_row_per_layer_and_says_why_one_is_refused(tmp_path):
    layers = [w.to_dict() for w in find_workloads("resnet18")[:2]]
    layers.append({**layers[0], "name": "odd", "in_channels": 60})
    path = tmp_path / "net.json"
    path.write_text(json.dumps(layers))
    rows = json.loads(run("report", path, "--format", "json").output)
    assert [row["workload"] for row in rows] == ["resnet18.C2", "resnet18.C3", "odd"]
    assert rows[0]["feasible"] == len(compile(find_workloads("resnet18.C2")[0])) == 182
    assert rows[0]["first"]["dma_pad"] == 1226
    assert {name: value for name, value in rows[2].items() if value is not None} == {
        "workload": "odd",
        "refused": "odd: in_channels is 60, not a multiple of the block (16)",
    }
    table = " ".join(run("report", path).output.replace("│", " ").split())
    assert "1,226" in table
    assert "not a multiple of the block" in table
    header = run("report", path, "--format", "csv").output.splitlines()[0].split(",")
    assert {"workload", "feasible", "refused", "first_dma_pad", "any_dma_pad"} <= set(header)


def test_report_writes_a_page(tmp_path):
    page = tmp_path / "page.html"
    run("report", "resnet18.C11", "--html", page)
    assert "resnet18.C11" in page.read_text()


def test_output_goes_to_a_file(tmp_path):
    path = tmp_path / "rows.csv"
    result = run("enumerate", "resnet18.C11", "--format", "csv", "--output", path)
    assert result.output == ""
    assert len(path.read_text().splitlines()) == 41


def test_several_layers_are_named():
    text = run("enumerate", "dcgan", "--format", "csv").output
    assert text.startswith("workload,index,tile_b,")
    assert {row["workload"] for row in csv.DictReader(io.StringIO(text))} == {
        "dcgan.CT1", "dcgan.CT2", "dcgan.CT3",
    }  # fmt: skip


def test_sample_is_the_library_s():
    (workload,) = find_workloads("resnet18.C8")
    for method in ("uniform", "diverse"):
        text = run(
            "sample", "resnet18.C8", "-n", 4, "--seed", 7, "--method", method, "--format", "json"
        )
        rows = [
            {k: v for k, v in row.items() if k not in ("workload", "index")}
            for row in json.loads(text.output)
        ]
        assert rows == compile(workload).sample(4, 7, method)
    text = run(
        "sample",
        "resnet18.C8",
        "-n",
        3,
        "--method",
        "ordered",
        "--key",
        "tile_w",
        "--format",
        "json",
    )
    assert [row["tile_w"] for row in json.loads(text.output)] == [1, 1, 1]


def test_explain_prints_numbers_and_a_way_out():
    text = run("explain", "resnet18.C8", "--index", 700).output
    assert "the stack reports dma_pad" in text
    assert "needs 1,152 elements, scratchpad holds 1,024" in text
    assert "nearest feasible configuration: tile_ci 8 -> 1" in text
    rows = json.loads(run("explain", "resnet18.C8", "--index", 700, "--format", "json").output)
    assert {row["remedy"] for row in rows} > {None}  # what is not there is null
    assert [row["rule"] for row in rows] == ["dma_pad", "sram:wgt", "dma_2d:inp"]
    knobs = [f"--knob={n}={v}" for n, v in compile(find_workloads("resnet18.C8")[0])[3].items()]
    assert "is feasible" in run("explain", "resnet18.C8", *knobs).output


def test_advise(tmp_path):
    path = tmp_path / "tight.json"
    path.write_text(json.dumps({**VTAConfig().to_dict(), **TIGHT}))
    rows = json.loads(run("advise", "resnet18.C8", "--hardware", path, "--format", "json").output)
    assert rows[0]["possible"] == 1
    assert rows[0]["feasible"] > 0
    text = run("advise", "resnet18.C8", "--at-least", 10**6, code=3).output
    assert "at most" in text
    free = ["--free", "LOG_ACC_BUFF_SIZE=15:17"]
    assert "as it is" in run("advise", "resnet18.C8", *free).output


def test_hardware_prints_depths():
    rows = json.loads(run("hardware", "--format", "json").output)
    assert {row["scratchpad"]: row["depth"] for row in rows} == {
        "uop": 8192, "inp": 2048, "wgt": 1024, "acc": 2048, "out": 2048,
    }  # fmt: skip


def test_program_prints_the_instructions():
    text = run("program", "resnet18.C11", "--index", 123).output
    assert "GEMM" in text
    assert text.count("\n") > 110  # the instructions, one a line
    assert "FINISH" in text
    assert "dma_pad" in run("program", "resnet18.C8", "--index", 700, code=2).output


def test_nothing_feasible_is_exit_code_3(tmp_path):
    path = tmp_path / "tight.json"
    path.write_text(json.dumps({**VTAConfig().to_dict(), **TIGHT}))
    result = run("enumerate", "resnet18.C8", "--hardware", path, "--format", "csv", code=3)
    assert result.stdout.startswith("index,tile_b")
    run("sample", "resnet18.C8", "--hardware", path, code=3)
    run("report", "resnet18.C8", "--hardware", path, code=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nosuch"], "'nosuch' is no suite"),
        (["report", "resnet18", "--hardware", "absent.json"], "cannot read absent.json"),
        (["check", "resnet18.C8"], "--index, --knob or --all"),
        (["check", "resnet18.C8", "--index", 5000], "index 5000 is out of range"),
        (["explain", "resnet18.C8", "--knob", "tile_h"], "is not NAME=VALUE"),
        (["explain", "resnet18.C8", "--knob", "tile_h=2"], "is missing from the configuration"),
        (["sample", "resnet18.C8", "-n", 500], "cannot sample 500"),
        (["sample", "resnet18.C8", "--method", "ordered", "--key", "x"], "--key 'x' is no knob"),
        (["advise", "resnet18.C8", "--free", "LOG_ACC_BUFF_SIZE"], "is not KEY=LOW:HIGH"),
        (["advise", "resnet18.C8", "--free", "LOG_BLOCK=3:4"], "LOG_BLOCK cannot be free"),
        (["enumerate", "resnet18.C8", "--output", "/nonexistent/x"], "cannot write /nonexistent/x"),
        (["enumerate", "resnet18.C8", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message):
    assert message in run(*arguments, code=2).output


def test_bad_files_are_one_line_and_exit_code_2(tmp_path):
    path = tmp_path / "bad.json"
    for text, message in (("{", "is not JSON"), ('{"op": "pool"}', "op is 'pool'")):
        path.write_text(text)
        assert message in run("report", path, code=2).output
    path.write_text(json.dumps({**VTAConfig().to_dict(), "LOG_ACC_BUFF_SIZE": 18}))
    output = run("report", "resnet18", "--hardware", path, code=2).output
    assert "a micro-op needs 34 bits" in output


def test_too_little_memory_is_one_line(monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr("vtacsp.cli.report.rows_as_table", exhausted)
    done = CliRunner().invoke(main, ["report", "resnet18.C11"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: there is not enough memory")
    assert done.stderr.count("\n") == 1
