"""Names, streams and files of the command line: nothing is obeyed, lost or a traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from unittest.mock import patch

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import TIGHT, run
from vtacsp import SUITES, VTAConfig, find_workloads, suite
from vtacsp.cli import main
from vtacsp.cli.knob_columns import KNOBS
from vtacsp.cli.output import rows_as_table, rows_as_text
from vtacsp.cli.progress import estimate
from vtacsp.cli.terminal import printable
from vtacsp.operators.knobs import KnobSpace

VTACSP = [sys.executable, "-m", "vtacsp"]
(C11,) = find_workloads("resnet18.C11")
MARKUP = "conv[/relu] conv1[relu] [bold]x"


def vtacsp(*words, **options):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*VTACSP, *words], text=True, timeout=120, **streams)


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A directory with a layer of a name like markup, one that cannot be packed and one more."""
    monkeypatch.chdir(tmp_path)
    layers = [{**C11.to_dict(), "name": MARKUP}, {**C11.to_dict(), "name": "other"}]
    thin = {**C11.to_dict(), "name": "thin", "in_channels": 3}
    (tmp_path / "net.json").write_text(json.dumps([thin, *layers]))
    (tmp_path / "layer.json").write_text(json.dumps(layers[0]))
    return tmp_path


GOES_ON = [
    ["enumerate"],
    ["sample"],
    ["check", "--index", 0],
    ["explain", "--index", 0],
    ["advise"],
    ["program", "--index", 123],
    ["simulate", "--index", 0],
    ["simulate", "--best"],
    ["simulate", "--all"],
    ["best"],
    ["tune", "--trials", 2],
]


@pytest.mark.parametrize("words", GOES_ON, ids=lambda words: "-".join(map(str, words)))
def test_a_layer_that_cannot_be_packed_is_named_and_the_others_go_on(net, words):
    command, *options = words
    result = run(command, "net.json", *options)
    assert result.stderr.count("skipped: thin: in_channels is 3") == 1
    assert MARKUP in result.stdout  # a name is text, whole, and no markup
    assert "other" in result.stdout


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    "words",
    [["report"], ["best", "--free", "--gap", "60"], *GOES_ON],
    ids=lambda words: "-".join(map(str, words)),
)
def test_nothing_that_can_be_packed_is_bad_input(net, words, layers):
    thin = json.loads((net / "net.json").read_text())[0]
    (net / "thin.json").write_text(json.dumps([thin, {**thin, "name": "too"}][:layers]))
    command, *options = words
    result = run(command, "thin.json", *options, code=2)
    last = result.stderr.splitlines()[-1]
    if layers == 1 and command != "report":
        assert last.startswith("error: thin: in_channels is 3")
    else:
        assert last == "error: no layer can be packed for this machine"
    assert not (net / "vtacsp.log").exists()


def test_check_says_by_its_exit_code_whether_anything_is_feasible():
    run("check", "resnet18.C8", "--index", 700, code=3)
    run("check", "resnet18.C8", "--index", 700, "--index", 0)
    run("check", "dcgan", "--index", 2000, code=3)
    run("check", "resnet18", "--index", 4)


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\x07", "\u202eabc", "\x9b1m", "\ud800"])
def test_what_a_terminal_would_obey_is_escaped(text):
    assert printable(text) == text.encode("ascii", "backslashreplace").decode().replace(
        "\x1b", "\\x1b"
    ).replace("\x07", "\\x07")
    rows = [{"layer": text, "n": 1}]
    for shown in (
        rows_as_table(rows, ["layer", "n"], title=text),
        rows_as_text(rows, ["layer"], "json"),
    ):
        assert all(c.isprintable() or c == "\n" for c in shown)


def test_numbers_and_lines_stay():
    assert printable("one\ntwo ü ┃") == "one\ntwo ü ┃"


def test_errors_are_one_line_whatever_they_quote():
    result = run("report", "no\nsuch\x1b[31m", code=2)
    assert len(result.stderr.splitlines()) == 1
    assert "\x1b" not in result.stderr
    long = run("report", "x" * 5000, code=2).stderr
    assert len(long) < 500
    assert len(run("check", "resnet18.C8", "--index", "9" * 3000, code=2).stderr) < 700


# -- streams


def test_a_full_standard_output_is_one_line():
    for words in (["enumerate", "resnet18.C11"], ["--help"], ["hardware", "--format", "csv"]):
        with open("/dev/full", "w") as full:
            result = vtacsp(*words, stdout=full)
        assert result.returncode == 2
        assert result.stderr.splitlines() == [
            "error: cannot write standard output: No space left on device"
            if words != ["--help"]
            else "error: standard output: No space left on device"
        ]


def test_a_closed_standard_output_is_one_line():
    result = subprocess.run(
        ["sh", "-c", '"$0" -m vtacsp hardware >&-', sys.executable],
        stderr=subprocess.PIPE, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr == "error: cannot write standard output: it is closed\n"


def test_a_reader_that_has_enough_is_no_error():
    process = subprocess.Popen(
        [*VTACSP, "enumerate", "resnet18", "--format", "csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=120) == 0


def test_nobody_reads_standard_error():
    with open("/dev/full", "w") as full:
        assert vtacsp("report", "nosuch", stderr=full).returncode == 2


@pytest.mark.parametrize("encoding", ["latin-1"])
def test_another_encoding_gets_what_it_can_hold(tmp_path, encoding):
    layer = tmp_path / "layer.json"
    layer.write_text(json.dumps({**C11.to_dict(), "name": "层ü"}))
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = vtacsp("report", str(layer), env=environment, encoding=encoding)
    assert result.returncode == 0, result.stderr
    assert "\\u5c42" in result.stdout
    assert "┃" not in result.stdout
    assert "\\u2503" not in result.stdout


def test_tables_follow_columns():
    for columns in (80, 120):
        environment = {**os.environ, "COLUMNS": str(columns)}
        lines = vtacsp("report", "resnet18", env=environment).stdout.splitlines()
        assert max(map(len, lines)) <= columns
    assert len(lines) < 20  # a line per layer


def test_no_word_is_broken_in_80_columns():
    environment = {**os.environ, "COLUMNS": "80"}
    rules = {rule for row in json.loads(run("report", "deepbench", "--format", "json").stdout)
             if row["first"] for rule in row["first"]}  # fmt: skip
    for words in (["report", "resnet18"], ["report", "mobilenet"], ["check", "resnet18.C8",
                  "--index", "700"], ["best", "resnet18.C11"], ["sample", "resnet18"]):  # fmt: skip
        text = vtacsp(*words, env=environment).stdout
        cells = {word.strip(",") for line in text.splitlines() if "│" in line
                 for cell in line.split("│") for word in cell.split()}  # fmt: skip
        odd = [w for w in cells if not re.fullmatch(r"[\d,.%]+|[\w.]+=\d+|resnet18\.\w+", w)]
        known = {*rules, "all", "mobilenet.D1"} | {w.name for w in suite("mobilenet")}
        assert set(odd) <= known


@given(
    st.lists(st.lists(st.text("ab_=1", max_size=12), max_size=3).map(" ".join), min_size=1),
    st.integers(1, 9),
    st.integers(20, 120),
)
def test_a_table_breaks_no_word_and_is_no_wider_unless_a_word_is(cells, across, columns):
    names = [f"c{place}" for place in range(across)]
    rows = [dict(zip(names, cells[i:], strict=False)) for i in range(0, len(cells), across)]
    with patch.dict(os.environ, COLUMNS=str(columns)):
        text = rows_as_table(rows, names)
    words = sorted(word for cell in cells for word in cell.split())
    printed = [w for w in re.split(r"[\s│┃]+", text) if re.fullmatch("[ab_=1]+", w)]
    assert sorted(printed) == words
    boxed = "┃" in text
    assert not boxed or max(map(len, text.splitlines())) <= columns


def test_rows_that_do_not_fit_side_by_side_are_lists():
    row = {"workload": "a" * 20, "machine": "b" * 20, "failed": 0, "best": None}
    with patch.dict(os.environ, COLUMNS="40"):
        text = rows_as_table([row, row], list(row), "title")
    block = f"workload  {'a' * 20}\nmachine   {'b' * 20}\nfailed    0\n"
    assert text == f"title\n{block}\n{block}"


def test_best_of_a_network_is_a_table_of_80_columns():
    text = vtacsp("best", "resnet18", env={**os.environ, "COLUMNS": "80"}).stdout
    assert "oc_nthread=2" in text
    assert max(map(len, (line for line in text.splitlines() if line[:1] in "│┃┏"))) <= 80


# -- files


@pytest.mark.parametrize(
    "words",
    [
        ["report", "resnet18.C11", "--html"],
        ["simulate", "resnet18.C11", "--index", "0", "--trace"],
        ["simulate", "resnet18.C11", "--index", "0", "--plot"],
        ["tune", "resnet18.C11", "--log"],
        ["tune", "resnet18.C11", "--html"],
        ["best", "resnet18.C11", "--output"],
        ["hardware", "--write"],
    ],
    ids=" ".join,
)
def test_outputs_are_checked_before_the_work(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")

    def never(*_, **__):
        raise AssertionError("worked before it looked")

    monkeypatch.setattr("vtacsp.cli.layers.each", never)
    for module in ("report", "cycles"):
        monkeypatch.setattr(f"vtacsp.cli.{module}.each", never)
    for path in ("", ".", "missing/x.png", "file/x.png"):
        assert "cannot write" in run(*words, path, code=2).stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_picture_needs_a_known_suffix(tmp_path):
    plot = tmp_path / "picture"
    options = ["simulate", "resnet18.C11", "--index", 0, "--plot"]
    assert "must end in .png, .svg, .pdf" in run(*options, plot, code=2).stderr
    assert not list(tmp_path.iterdir())
    run(*options, f"{plot}.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["picture.svg"]


def test_what_is_written_is_said_and_a_failed_page_leaves_the_old_one(tmp_path, monkeypatch):
    page, trace, plot = tmp_path / "page.html", tmp_path / "t.json", tmp_path / "t.png"
    assert run("report", "resnet18.C11", "--html", page).stderr == f"wrote {page}\n"
    run("simulate", "resnet18.C11", "--index", 0)  # the first one says that it compiles
    words = ["--index", 0, "--trace", trace, "--plot", plot]
    said = run("simulate", "resnet18.C11", *words).stderr
    assert said.splitlines() == [f"wrote {trace}", f"wrote {plot}"]
    old = page.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    failed = run("report", "resnet18.C9", "--html", page, code=2)
    assert "No space left on device" in failed.stderr
    assert page.read_text() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "t.json", "t.png"]


def test_a_machine_to_edit_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("hardware", "--write", "vta_config.json")
    assert VTAConfig.load("vta_config.json") == VTAConfig()
    run("report", "resnet18.C11", "--hardware", "vta_config.json")
    run("hardware", "--write", "vta_config.json")  # says the same
    edited = {**VTAConfig().to_dict(), **TIGHT}
    (tmp_path / "vta_config.json").write_text(json.dumps(edited))
    refused = run("hardware", "--write", "vta_config.json", code=2)
    assert "--force replaces it" in refused.stderr
    assert VTAConfig.load("vta_config.json") == VTAConfig.from_dict(edited)
    run("hardware", "--write", "vta_config.json", "--force")
    assert VTAConfig.load("vta_config.json") == VTAConfig()
    assert stat.S_ISREG((tmp_path / "vta_config.json").stat().st_mode)


def test_a_dash_is_standard_input(tmp_path):
    text = json.dumps(C11.to_dict())
    result = vtacsp("enumerate", "-", "--format", "csv", input=text)
    assert result.stdout == run("enumerate", "resnet18.C11", "--format", "csv").stdout
    machine = json.dumps({**VTAConfig().to_dict(), **TIGHT})
    result = vtacsp("enumerate", "resnet18.C11", "--hardware", "-", input=machine)
    assert result.returncode == 3
    assert "cannot both" in run("report", "-", "--hardware", "-", code=2).stderr


# -- one schema


def test_the_knobs_of_all_operators_are_listed():
    found = {
        name
        for word in ("resnet18", "mobilenet", "dcgan", "deepbench")
        for layer in suite(word)
        if all(getattr(layer, side, 16) % 16 == 0 for side in ("in_channels", "out_channels"))
        for name in KnobSpace.of(layer, VTAConfig()).names
    }
    assert found == set(KNOBS)


DENSE = {"op": "dense", "name": "fc", "batch": 1, "in_features": 64, "out_features": 64}
SCHEMAS = [
    ["report"],
    ["sample", "-n", 2],
    ["explain", "--index", 0],
    ["explain", "--index", 3],
    ["advise"],
    ["program", "--index", 1],
    ["simulate", "--index", 0],
    ["simulate", "--best"],
    ["best"],
    ["tune", "--trials", 2],
]


@pytest.mark.parametrize("words", SCHEMAS, ids=lambda words: "-".join(map(str, words)))
def test_columns_do_not_depend_on_the_workload(net, words):
    (net / "fc.json").write_text(json.dumps(DENSE))
    thin = {**C11.to_dict(), "name": "thin", "in_channels": 3}
    (net / "mixed.json").write_text(json.dumps([DENSE, thin]))
    headers = set()
    command, *options = words
    for workload in ("layer.json", "fc.json", "mixed.json"):
        log = ["--log", f"{workload}.log"] if command == "tune" else []
        text = run(command, workload, *options, *log, "--format", "csv").stdout
        reader = csv.DictReader(io.StringIO(text))
        rows = list(reader)
        headers.add(tuple(reader.fieldnames))
        objects = json.loads(run(command, workload, *options, *log, "--format", "json").stdout)
        assert len(objects) == len(rows) > 0
        for row, item in zip(rows, objects, strict=True):
            if command == "tune":  # the second run finds the log
                continue
            flat = dict(_flat(item))
            assert {k: v for k, v in flat.items() if v != ""} == {
                k: v for k, v in row.items() if v != ""
            }
    (header,) = headers
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in header)
    assert header[0] in ("workload", "scope")


def _flat(item, path=""):
    for name, value in item.items():
        at = re.sub(r"\W", "_", f"{path}{name}")
        if isinstance(value, dict):
            yield from _flat(value, f"{at}_")
        else:
            yield at, "" if value is None else str(value)


def test_an_estimate_waits_for_evidence():
    assert estimate(seconds=0.0, done=1, total=100) is None  # the first starts processes
    assert estimate(seconds=9.0, done=9, total=100) is None
    assert estimate(seconds=9.0, done=10, total=100) == pytest.approx(90)


# -- completion


def complete(*words):
    context = BashComplete(main, {}, "vtacsp", "_VTACSP_COMPLETE")
    return [
        (item.type, item.value) for item in context.get_completions(list(words[:-1]), words[-1])
    ]


def test_the_shell_completes_suites_layers_and_files():
    plain = [value for kind, value in complete("report", "") if kind == "plain"]
    assert plain == list(SUITES)
    assert ("plain", "dcgan.CT1") in complete("best", "dcgan.")
    assert ("file", "my_l") in complete("tune", "my_l")
    assert [value for _, value in complete("study", "dcgan", "resnet18.C1")][:2] == [
        "resnet18.C10", "resnet18.C11",
    ]  # fmt: skip


def test_the_module_is_the_program():
    result = vtacsp("--version")
    assert result.returncode == 0
    assert "vtacsp" in result.stdout
    assert CliRunner().invoke(main, ["nosuch"]).exit_code == 2
