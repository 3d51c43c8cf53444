"""Long lists are written while they are made."""

import csv
import io
import json
import os
import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner

import vtacsp.cli.configurations
import vtacsp.cli.knob_columns
import vtacsp.cli.output
from vtacsp.cli import main

COMMANDS = [("enumerate", "resnet18.C11"), ("check", "resnet18.C11", "--all"),
            ("enumerate", "dcgan"), ("check", "dcgan", "--index", "0")]  # fmt: skip


def run(*arguments):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (0, 3), done.output
    return done.stdout


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_parts_change_nothing(command, form, monkeypatch, tmp_path):
    whole = run(*command, "--format", form)
    monkeypatch.setattr(vtacsp.cli.output, "AT_ONCE", 7)
    monkeypatch.setattr(vtacsp.cli.knob_columns, "BLOCK", 5)
    assert run(*command, "--format", form) == whole
    run(*command, "--format", form, "--output", str(tmp_path / "rows"))
    assert (tmp_path / "rows").read_text() == whole
    if form == "json":
        assert whole == json.dumps(json.loads(whole), indent=1) + "\n"
    else:
        assert len({len(row) for row in csv.reader(io.StringIO(whole))}) == 1


def test_a_list_of_nothing_is_json():
    rows = "".join(vtacsp.cli.output._texts([], ["index"], "json", True))
    assert json.loads(rows) == []


def test_a_table_too_long_for_people_is_refused(monkeypatch):
    monkeypatch.setattr(vtacsp.cli.configurations, "LONGEST_TABLE", 10)
    done = CliRunner().invoke(main, ["check", "resnet18.C11", "--all"], standalone_mode=False)
    assert "the most is 10; use --format csv" in str(done.exception) + done.output
    assert run("check", "resnet18.C11", "--all", "--format", "csv").count("\n") > 11


def test_a_million_rows_are_never_there_at_once(tmp_path):
    memory = 704 << 20  # what a list of them does not fit into
    layer = {"name": "large", "op": "conv2d", "batch": 8, "in_channels": 1920,
             "out_channels": 1920, "height": 120, "width": 120, "kernel": [3, 3],
             "stride": [1, 1], "padding": [1, 1]}  # fmt: skip
    (tmp_path / "layer.json").write_text(json.dumps([layer]))
    done = subprocess.run(
        [sys.executable, "-m", "vtacsp", "check", "layer.json", "--all", "--format", "json",
         "--output", "rows.json"],
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with (tmp_path / "rows.json").open() as file:
        assert sum('"cause"' in line for line in file) == 1_048_576
