"""The space of free schedules on the command line, and rules of one's own for both spaces."""

from __future__ import annotations

import csv
import importlib
import io
import json
from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import run
from vtacsp import Conv2D, VTAConfig, compile
from vtacsp.bundle import Bundle
from vtacsp.cli import free_under
from vtacsp.errors import RuleError, ScheduleError, SpaceError
from vtacsp.expr import any_of
from vtacsp.free import FreeSpace, Schedule, best, emit, search
from vtacsp.free.schedule_fields import inp, largest, parts, rows
from vtacsp.free.schedule_words import field_value, schedule_rule
from vtacsp.rules.rule import Rule
from vtacsp.rules.symbols import oc_nthread, tile_h
from vtacsp.timing import simulate_timing

LAYER = Conv2D(name="small", in_channels=32, height=4, width=4, out_channels=32, kernel=(1, 1))
OTHER = Conv2D(name="other", in_channels=16, height=2, width=2, out_channels=16, kernel=(1, 1))
MACHINE = VTAConfig()
FIXED = (
    *("rows=2,2", "rows=4", "columns=4", "lead=", "first=", "last=", "begin=", "finish="),
    *("inp=1", "inp=2", "wgt=1", "wgt=2", "acc=1", "acc=2", "lead_uops=1", "group_uops=0"),
    *("load_rows=0", "order=rows", "loop=input", "snake=false", "gather=none"),
)
SMALL = [word for value in FIXED for word in ("--fix", value)]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layer.json").write_text(json.dumps(LAYER.to_dict()))
    (tmp_path / "two.json").write_text(json.dumps([LAYER.to_dict(), OTHER.to_dict()]))


def space(*rules):
    values = {}
    for name, value in map(field_value, FIXED):
        values.setdefault(name, []).append(value)
    return FreeSpace(LAYER, MACHINE, rules, **values)


def rows_of(*words, code=0):
    return json.loads(run(*words, "--format", "json", code=code).stdout)


def test_a_small_space_is_counted_exactly_and_a_large_one_with_its_error():
    (row,) = rows_of("count", "layer.json", "--free", *SMALL)
    assert (row["points"], row["feasible"]) == (space().points.count(), len(space().enumerate()))
    assert (row["exact"], row["samples"], row["standard_error"]) == (1, None, None)
    (row,) = rows_of("count", "layer.json", "--free", "--samples", 60, "--seed", 3)
    found = FreeSpace(LAYER, MACHINE).count(60, 3)
    assert (row["points"], row["feasible"]) == (found.points, found.feasible)
    assert (row["hits"], row["standard_error"]) == (found.hits, found.standard_error)
    assert (row["exact"], row["samples"]) == (0, 60)
    text = " ".join(run("count", "layer.json", "--free", "--samples", 60).stdout.split())
    assert "estimated from 60 drawn at random" in text
    assert "standard error" in text


def test_rules_are_those_of_python():
    text = "inp <= 1 and largest(rows) <= 2 or parts(rows) == 1 and inp == 2"
    rule = Rule.of(
        "own", any_of((inp <= 1) & (largest(rows) <= 2), (parts(rows) == 1) & (inp == 2))
    )
    (row,) = rows_of("count", "layer.json", "--free", *SMALL, "--rule", text)
    assert row["feasible"] == len(space(rule).enumerate()) < len(space().enumerate())
    (row,) = rows_of("count", "layer.json", "--rule", "oc_nthread == 1", "--fix", "tile_h=4",
                     "--fix", "tile_h=2")  # fmt: skip
    mine = Rule.of("own", (oc_nthread == 1) & any_of(tile_h == 4, tile_h == 2))
    assert row["feasible"] == len(compile(LAYER, MACHINE, [mine])) < len(compile(LAYER))
    for words in (["enumerate"], ["sample", "-n", row["feasible"]]):
        found = rows_of(words[0], "layer.json", *words[1:], "--rule", "oc_nthread == 1",
                        "--fix", "tile_h=4", "--fix", "tile_h=2")  # fmt: skip
        assert {r["index"] for r in found} == {*compile(LAYER, MACHINE, [mine]).indices.tolist()}
    (first, *_) = rows_of("best", "layer.json", "--rule", "oc_nthread == 1")
    assert first["oc_nthread"] == 1
    index = next(
        i
        for i in compile(LAYER).indices.tolist()
        if compile(LAYER).knob_space.config(i)["oc_nthread"] > 1
    )
    found = run("explain", "layer.json", "--index", index, "--rule", "oc_nthread == 1").stdout
    assert "oc_nthread == 1: does not hold, oc_nthread is 2" in found
    (row,) = rows_of("check", "layer.json", "--index", index, "--rule", "oc_nthread == 1", code=3)
    assert row["cause"] == "oc_nthread == 1"


def test_what_is_sampled_goes_on_to_every_other_command():
    words = ("sample", "two.json", "--free", "-n", 3, "--seed", 5)
    run(*words, "--format", "jsonl", "--output", "s.jsonl")
    run(*words, "--format", "json", "--output", "s.json")
    drawn = FreeSpace(LAYER, MACHINE).sample(3, 5)
    lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
    assert lines == json.loads(Path("s.json").read_text())
    assert [Schedule.from_dict(x["schedule"]) for x in lines[:3]] == drawn
    assert [x["workload"] for x in lines] == ["small"] * 3 + ["other"] * 3
    text = run(*words, "--format", "csv").stdout
    assert [json.loads(x["schedule"]) for x in csv.DictReader(io.StringIO(text))] == [
        x["schedule"] for x in lines
    ]
    for file in ("s.jsonl", "s.json"):
        checked = rows_of("check", "two.json", "--free", "--schedule", file)
        assert [(x["number"], x["feasible"]) for x in checked] == [(1, 1), (2, 1), (3, 1)] * 2
        explained = rows_of("explain", "layer.json", "--free", "--schedule", file)
        assert [(x["cause"], x["rule"]) for x in explained] == [("ok", None)] * 3
        timed = rows_of("simulate", "layer.json", "--free", "--schedule", file)
        assert [x["cycles"] for x in timed] == [
            simulate_timing(emit(s, LAYER, MACHINE)).cycles for s in drawn
        ]
        assert "has 3 schedules of layer 'small'" in run(
            "export", "layer.json", file, "--output", "b", code=2
        ).stderr  # fmt: skip
    near = rows_of("neighbours", "layer.json", "--free", "--schedule", drawn[0].to_json())
    mine = FreeSpace(LAYER, MACHINE).neighbours(drawn[0])
    assert [Schedule.from_dict(x["schedule"]) for x in near] == mine
    assert all(x["changed"] for x in near)
    run("export", "layer.json", drawn[0].to_json(), "--output", "b")
    assert Bundle.load("b").manifest.source["schedule"] == drawn[0].to_dict()


def test_what_cannot_run_is_explained_in_numbers_with_a_way_out():
    broken = Schedule(
        channels=(2,), rows=(4,), columns=(4,), reduction=(2,), inp=12, wgt=12, acc=12
    )
    tight = {**MACHINE.to_dict(), "LOG_INP_BUFF_SIZE": 11, "LOG_ACC_BUFF_SIZE": 11}
    Path("tight.json").write_text(json.dumps(tight))
    words = ("layer.json", "--free", "--hardware", "tight.json", "--schedule", broken.to_json())
    rows = rows_of("explain", *words, "--rule", "wgt <= 2", "--rule", "form == 'row'")
    own = {"wgt <= 2": "does not hold, wgt is 12", "form == 'row'": "does not hold"}
    assert [r["rule"] for r in rows] == ["sram:inp", "sram:acc", *own]
    assert [r["message"] for r in rows[2:]] == [*own.values()]
    assert "the slots take 384 elements" in rows[0]["message"]
    assert rows[0]["remedy"].startswith("LOG_INP_BUFF_SIZE")
    assert {r["cause"] for r in rows} == {"sram:inp"}
    rows = rows_of("explain", *words)
    nearest = Schedule.from_dict(rows[0]["nearest"])  # two fields away
    assert nearest in FreeSpace(LAYER, VTAConfig.from_dict(tight))
    assert "one that can run: inp 12 -> " in run("explain", *words).stdout
    assert rows_of("check", *words, code=3)[0]["cause"] == "sram:inp"


def test_the_best_of_a_space_of_ones_own_is_proven():
    (row,) = rows_of(
        "best", "layer.json", "--free", *SMALL, "--rule", "inp <= 1", "--save", "b.json"
    )
    found = best(space(schedule_rule("inp <= 1")), simulations=10**6)
    assert found.optimal
    assert (row["cycles"], row["least"], row["optimal"]) == (found.cycles, found.cycles, 1)
    assert min(simulate_timing(emit(s, LAYER, MACHINE)).cycles
               for s in space(schedule_rule("inp <= 1")).enumerate()) == row["cycles"]  # fmt: skip
    text = " ".join(
        run("best", "layer.json", "--free", *SMALL, "--rule", "inp <= 1").stdout.split()
    )
    assert f"{row['cycles']:,} cycles; no schedule of this space needs fewer" in text
    (saved,) = rows_of(
        "check", "layer.json", "--free", "--schedule", "b.json", "--rule", "inp <= 1"
    )
    assert saved["schedule"] == found.schedule.to_dict()
    error = run("best", "layer.json", "--free", "--fix", "inp=1", "--save", "b.json", code=2).stderr
    assert "--fix 'inp=1' does not go on from 'b.json', which is there already" in error


def test_of_a_large_space_what_is_left_is_said_and_the_search_keeps_the_rules(monkeypatch):
    package = importlib.import_module("vtacsp.free")
    monkeypatch.setattr(package, "search", partial(search, simulations=50))
    monkeypatch.setattr(package, "best", partial(best, simulations=20))
    monkeypatch.setattr(free_under, "SECONDS", 0.5)
    words = ("best", "layer.json", "--free", "--gap", 100, "--rule", "inp <= 2 and micro_ops <= 40")
    (row,) = rows_of(*words, "--fix", "rows=2x2", "--fix", "begin=")
    assert row["limit"] <= row["least"] <= row["cycles"]
    assert row["gap"] == row["cycles"] / row["limit"] - 1
    assert "y 2x2" in row["schedule"]
    assert "begin" not in row["schedule"]
    within = FreeSpace(
        LAYER, MACHINE, [schedule_rule("inp <= 1 and parts(channels) == 2")], wgt=[2]
    )
    found = search(LAYER, MACHINE, simulations=60, within=within).schedule
    assert (found.inp, len(found.channels), found.wgt) == (1, 2, 2)
    assert found == search(LAYER, MACHINE, simulations=60, within=within).schedule
    with pytest.raises(SpaceError, match=r"the space is of small on .*, the search of other"):
        search(OTHER, MACHINE, within=within)
    never = FreeSpace(LAYER, MACHINE, [schedule_rule("inp > 99")])
    with pytest.raises(SpaceError, match=r"can run on .* and keep the given values and rules"):
        search(LAYER, MACHINE, simulations=60, within=never)
    result = run("best", "layer.json", "--free", "--rule", "inp > 99", *SMALL, code=3)
    assert "nothing under your rules" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "--free"], "choose schedules with --schedule"),
        (["simulate", "--free"], "choose schedules with --schedule"),
        (["check", "--schedule", "x"], "--schedule 'x' goes with --free"),
        (["explain", "--free", "--index", "3"], "--index 3 does not go with --free"),
        (["simulate", "--free", "--best"], "--best does not go with --free"),
        (["sample", "--free", "--method", "diverse"], "--method 'diverse' does not go with --free"),
        (["count", "--free", "--stack-only"], "--stack-only does not go with --free"),
        (["count", "--samples", "3"], "--samples '3' goes with --free"),
        (["check", "--free", "--schedule", "absent"], "cannot read absent"),
        (["check", "--free", "--schedule", "{"], "--schedule is not JSON"),
        (["check", "--free", "--schedule", "[3]"], "a schedule is a JSON object, got 3"),
        (["check", "--free", "--schedule", "[]"], "--schedule has 0 schedules of layer 'small'"),
        (["check", "--free", "--schedule", '{"rows": [4]}'], "channels is missing"),
        (["sample", "--free", "--fix", "rows=3"], "does not add up to 4"),
        (["sample", "--free", "--fix", "rows=x"], "allowed are sizes as 7,7 or 7x2"),
        (["sample", "--free", "--fix", "inp=0"], "inp is 0, allowed is an integer of at least 1"),
        (["sample", "--free", "--fix", "form=some"], "allowed are column, row, tap, all"),
        (["sample", "--free", "--fix", "tile=3"], "'tile=3' is not NAME=VALUE with a field"),
        (["sample", "--fix", "tile_h=x"], "--fix 'tile_h=x' is not NAME=VALUE with an integer"),
        (["sample", "--fix", "tile=3"], "'tile' is no knob"),
        (["sample", "--rule", "inp <= 2"], "inp is no word"),
        (["sample", "--free", "--rule", "tile_h <= 2"], "tile_h is no word"),
        (["count", "--free", "--rule", "rows <= 2"], "rows is a list of sizes: say parts(rows)"),
        (["count", "--free", "--rule", "rows == 2"], "rows is a list of sizes"),
        (["count", "--free", "--rule", "largest(inp) == 2"], "largest takes one of channels"),
        (["count", "--free", "--rule", "form == 'diagonal'"], "form is one of column, row, tap"),
        (["count", "--free", "--rule", "inp == 'two'"], "inp is not compared with 'two'"),
        (["count", "--free", "--rule", "rows == [0]"], "the sizes of rows are at least 1"),
        (["count", "--free", "--rule", "inp * 2000000000 * 2000000000 < 1"], "64 bits do not hold"),
        (["best", "--free", "--rule", "inp"], "inp is no condition"),
        (["best", "--free", "--rule", "inp < 2", "--resume", "x"], "does not go with --resume"),
        (["best", "--network", "--rule", "tile_h < 2"], "goes with layers and with --free"),
    ],
)
def test_bad_input_is_one_line(words, message):
    error = run(words[0], "layer.json", *words[1:], code=2).stderr
    assert message in error
    assert error.count("\n") == 1


def test_rows_are_80_columns_wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    schedule = FreeSpace(LAYER, MACHINE).sample(1)[0].to_json()
    for words in (
        ["count", "two.json", "--free", "--samples", 9], ["sample", "two.json", "--free", "-n", 2],
        ["check", "layer.json", "--free", "--schedule", schedule],
        ["neighbours", "layer.json", "--free", "--schedule", schedule],
        ["best", "layer.json", "--free", *SMALL], ["neighbours", "layer.json", "--index", 0],
    ):  # fmt: skip
        lines = run(*words).stdout.splitlines()
        assert lines
        assert max(map(len, lines)) <= 80, words


def test_words_of_rules_in_python():
    with pytest.raises(RuleError, match="rule 'inp <'"):
        schedule_rule("inp <")
    with pytest.raises(ScheduleError, match="snake is 'maybe'"):
        field_value("snake=maybe")
    assert field_value("snake=true") == ("snake", True)
    assert field_value("channels=3x2+1") == ("channels", (3, 3, 1))
