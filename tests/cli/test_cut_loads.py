"""A program with a load that the Chisel design ends early: every command that hands it out says so.

The fastest configuration of this layer on this machine loads the whole weight scratchpad at once.
Which such loads the RTL gets wrong was measured: ``tests/timing/test_rtl_programs.py``.
"""

from __future__ import annotations

import importlib
import json
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import run
from vtacsp import Conv2D, Simulator, VTAConfig
from vtacsp.bundle import Bundle
from vtacsp.timing import RTL

LAYER = Conv2D(name="whole", in_channels=1024, out_channels=8, height=1, width=1, kernel=(1, 1))
MACHINE = VTAConfig(
    log_block=3, log_uop_buff_size=13, log_inp_buff_size=13, log_wgt_buff_size=13,
    log_acc_buff_size=14,
)  # fmt: skip
SLOW = ("--timing", "bus_bytes=16", "--timing", "memory_latency=16")
WIDE = ("--timing", "bus_bytes=64", "--timing", "memory_latency=16")
COMMANDS = (
    ("best",),
    ("best", "--network"),
    ("best", "--free", "--gap", 100, "--jobs", 1),
    ("tune", "--trials", 2),
    ("tune", "--trials", 2, "--network"),
    ("simulate", "--index", 7),
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # the package has a function of this name too
    free = importlib.import_module("vtacsp.free")
    monkeypatch.setattr(free, "search", partial(free.search, simulations=20))
    (tmp_path / "layer.json").write_text(json.dumps(LAYER.to_dict()))
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE.to_dict()))
    return ("layer.json", "--hardware", "machine.json")


def notes(result):
    return [line for line in result.stderr.splitlines() if "loads a whole scratchpad" in line]


def test_the_fastest_configuration_has_such_a_load():
    timing = RTL.override([word for word in SLOW if "=" in word])
    index, result = Simulator(LAYER, MACHINE, timing).fastest()
    assert (index, result.cut_short) == (7, (3,))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(map(str, words[:2])))
def test_every_command_says_it_once_and_only_where_it_is_wrong(files, words):
    command, *options = words
    for memory, wrong in ((SLOW, True), (WIDE, False)):
        found = run(command, *files, *options, *memory, "--format", "json")
        said = notes(found)
        assert len(said) == wrong
        assert all(line.startswith("note: whole index 7: instruction 3 loads") for line in said)
        rows = json.loads(found.stdout)
        rows = rows["layers"] if isinstance(rows, dict) else rows
        if "--free" not in words:
            assert [row["cut_short"] for row in rows if row["index"] == 7] == [3 if wrong else None]


def test_a_bundle_has_it_in_its_manifest(files):
    for folder, memory, cut in (("slow", SLOW, (3,)), ("wide", WIDE, ())):
        found = run("export", *files, "--best", *memory, "--output", folder)
        assert len(notes(found)) == len(cut)
        assert Bundle.load(folder).manifest.cut_short == cut


@pytest.mark.parametrize("value", [3, [-1], ["3"], [10**6], [True]])
def test_what_is_no_instruction_is_refused(files, value):
    run("export", *files, "--best", *WIDE, "--output", "folder")
    manifest = Path("folder/manifest.json")
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**data, "cut_short": value}))
    assert "cut_short" in run("audit", "folder", code=2).stderr
    del data["cut_short"]  # of bundles from before
    manifest.write_text(json.dumps(data))
    assert Bundle.load("folder").manifest.cut_short == ()
