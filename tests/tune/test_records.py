"""Tuning logs: AutoTVM's format, torn lines, merging, picking the best."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import machines, workloads
from vtacsp import KnobSpace, LogError, VTAConfig, find_workloads, suite, workload_from_dict
from vtacsp.tune import (
    RTL_DEVICE,
    MeasureErrorNo,
    Record,
    Result,
    Task,
    TuningLog,
    best_records,
    load_records,
    merge_records,
    read_log,
    records_for_vta,
    write_records,
)

C10 = next(w for w in suite("resnet18") if w.name == "resnet18.C10")
TARGET = "ext_dev -keys=vta,cpu -device=vta -model=sim_1x16_i8w8a32_15_15_18_17"


def record(index: int = 7, seconds: float = 1e-3, task: Task | None = None) -> Record:
    config = KnobSpace.of(C10, VTAConfig()).config(index)
    task = task or Task.of(C10, VTAConfig())
    return Record(task, index, config, Result((seconds,), timestamp=1.5), "resnet18.C10")


def failure(index: int) -> Record:
    result = Result(error=MeasureErrorNo.COMPILE_HOST, timestamp=2.0, cause="dma_pad")
    return Record(
        Task.of(C10, VTAConfig()), index, KnobSpace.of(C10, VTAConfig()).config(index), result
    )


def test_a_record_is_what_autotvm_writes():
    row = json.loads(record(470).encode())
    assert row["input"] == [
        TARGET,
        "conv2d_packed.vta",
        [
            ["TENSOR", [1, 16, 14, 14, 1, 16], "int8"],
            ["TENSOR", [32, 16, 1, 1, 16, 16], "int8"],
            [2, 2],
            [0, 0, 0, 0],
            [1, 1],
            "NCHW1n16c",
            "int32",
        ],
        {},
    ]
    assert row["config"]["index"] == 470
    assert row["config"]["code_hash"] is None
    knobs = [knob for knob, _, _ in row["config"]["entity"]]
    assert knobs == list(KnobSpace.of(C10, VTAConfig()).names)
    assert row["config"]["entity"][0] == ["tile_b", "sp", [-1, 1]]
    assert row["config"]["entity"][-1] == ["h_nthread", "ot", 2]
    assert row["result"] == [[1e-3], 0, 0.0, 1.5]
    assert row["version"] == 0.2
    assert json.loads(failure(3).encode())["result"][:2] == [[1e9], 2]


@pytest.mark.parametrize(
    ("workload", "name", "args"),
    [
        (
            {"op": "dense", "batch": 1, "in_features": 32, "out_features": 48},
            "dense_packed.vta",
            [["TENSOR", [1, 2, 1, 16], "int8"], ["TENSOR", [3, 2, 16, 16], "int8"], None, "int32"],
        ),
        (
            {
                **C10.to_dict(),
                "op": "conv2d_transpose",
                "kernel": [4, 4],
                "stride": [2, 2],
                "padding": [1, 1],
            },
            "conv2d_transpose_packed.vta",
            [
                ["TENSOR", [1, 16, 14, 14, 1, 16], "int8"],
                ["TENSOR", [32, 16, 4, 4, 16, 16], "int8"],
                [2, 2],
                [1, 1, 1, 1],
                "int32",
                [0, 0],
            ],
        ),
        (
            {**C10.to_dict(), "op": "group_conv2d", "groups": 8},
            "group_conv2d_packed.vta",
            [
                ["TENSOR", [1, 16, 14, 14, 1, 16], "int8"],
                ["TENSOR", [32, 2, 1, 1, 16, 16], "int8"],
                [2, 2],
                [0, 0, 0, 0],
                [1, 1],
                8,
                "int32",
            ],
        ),
    ],
)
def test_arguments_of_each_operator(workload, name, args):
    task = Task.of(workload_from_dict(workload), VTAConfig())
    assert task.name == name
    assert json.loads(json.dumps(task.args)) == args


@given(st.data())
def test_round_trip(data):
    hardware = data.draw(machines())
    workload = data.draw(workloads(hardware))
    space = KnobSpace.of(workload, hardware)
    index = data.draw(st.integers(0, len(space) - 1))
    cost = st.floats(1e-9, 1e3)
    good = st.builds(Result, st.lists(cost, min_size=1).map(tuple), all_cost=cost, timestamp=cost)
    bad = st.builds(
        Result,
        error=st.sampled_from([e for e in MeasureErrorNo if e]),
        timestamp=cost,
        cause=st.text(),
    )
    result = data.draw(good | bad)
    written = Record(Task.of(workload, hardware), index, space.config(index), result, workload.name)
    line = written.encode()
    assert "\n" not in line
    read = Record.decode(line)
    assert read == written
    assert read.encode() == line


def test_records_of_vta_scripts_and_relay_are_of_one_task():
    row = json.loads(record().encode())
    row["input"][2][3] = [0, 0]
    row["input"][0] = "ext_dev -device=vta -keys=cpu -model=sim_1x16_i8w8a32_15_15_18_17"
    del row["vtacsp"]
    theirs = Record.decode(json.dumps(row)).task
    assert theirs.matches(Task.of(C10, VTAConfig()))
    assert not theirs.matches(Task.of(C10, VTAConfig().replace(LOG_ACC_BUFF_SIZE=16)))


def test_a_layer_with_bias_is_another_task():
    plain, biased = (
        Task.of(workload_from_dict({**C10.to_dict(), "bias": bias}), VTAConfig())
        for bias in (False, True)
    )
    assert plain.args == biased.args
    assert not plain.matches(biased)


def test_appending_keeps_what_is_there_and_mends_a_torn_line(tmp_path):
    path = tmp_path / "tune.log"
    with TuningLog(path) as log:
        log.append(record(1))
        assert len(load_records(path)) == 1  # flushed
        log.append(failure(2))
    whole = path.read_text()
    path.write_text(whole + record(3).encode()[:40])
    assert [r.index for r in load_records(path)] == [1, 2]
    with TuningLog(path) as log:
        log.append(record(4))
    assert [r.index for r in load_records(path)] == [1, 2, 4]
    assert path.read_text().startswith(whole)
    assert record(3).encode()[:40] in path.read_text()  # as a comment, which AutoTVM skips
    for line in path.read_text().splitlines():
        assert line.startswith("#") or json.loads(line)


def test_a_last_line_without_its_end_is_a_record_when_it_is_whole(tmp_path):
    path = tmp_path / "tune.log"
    path.write_text(record(1).encode())
    assert len(load_records(path)) == 1
    with TuningLog(path) as log:
        log.append(record(2))
    assert [r.index for r in load_records(path)] == [1, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"tune\.log, line 2: "),
        ("[]", "line 2: not an AutoTVM record"),
        ('{"input": 3}', "line 2: not an AutoTVM record"),
        (json.dumps({**json.loads(record().encode()), "result": [[1], 99, 0, 0]}), "99"),
        (json.dumps({**json.loads(record().encode()), "result": [[], 0, 0, 0]}), "no costs"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    path = tmp_path / "tune.log"
    path.write_text(f"{record(1).encode()}\n{line}\n{record(2).encode()}\n")
    with pytest.raises(LogError, match=message):
        load_records(path)
    assert path.read_text().count("\n") == 3


def test_old_records_and_comments_are_skipped(tmp_path):
    path = tmp_path / "tune.log"
    path.write_text('# mine\n\n{"v": 0.1, "i": []}\n' + record(1).encode() + "\n")
    assert [r.index for r in load_records(path)] == [1]


def test_results_of_a_task(tmp_path):
    other = Task.of(find_workloads("resnet18.C11")[0], VTAConfig())
    path = tmp_path / "tune.log"
    write_records(path, [record(1, 3.0), record(1, 2.0), failure(5), record(7, 1.0, other)])
    results = TuningLog(path).results(Task.of(C10, VTAConfig()), KnobSpace.of(C10, VTAConfig()))
    assert {i: r.seconds for i, r in results.items()} == {1: 2.0, 5: float("inf")}
    assert results[5].cause == "dma_pad"


def test_a_record_of_another_knob_space_is_an_error(tmp_path):
    row = json.loads(record(1).encode())
    row["config"]["entity"][1][2] = [-1, 5]
    path = tmp_path / "tune.log"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(LogError, match="tile_h is 5, allowed are 1, 7"):
        TuningLog(path).results(Task.of(C10, VTAConfig()), KnobSpace.of(C10, VTAConfig()))


def test_merge_and_best():
    records = [record(1, 3.0), failure(2), record(3, 2.0), record(1, 1.0), failure(3)]
    assert [(r.index, r.result.seconds) for r in merge_records(records)] == [
        (1, 1.0),
        (2, float("inf")),
        (3, 2.0),
    ]
    (best,) = best_records(records)
    assert (best.index, best.result.seconds) == (1, 1.0)
    assert best_records([failure(1)]) == []


def test_what_others_wrote_is_kept_as_it_is(tmp_path):
    row = {**json.loads(record(1).encode()), "note": "mine"}
    path = tmp_path / "tune.log"
    path.write_text(json.dumps(row) + "\n")
    write_records(tmp_path / "out.log", merge_records(load_records(path)))
    assert (tmp_path / "out.log").read_text() == path.read_text()


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(LogError, match="cannot read"):
        load_records(tmp_path / "none.log")
    with pytest.raises(LogError, match="cannot write"):
        TuningLog(tmp_path).append(record())
    with pytest.raises(LogError, match="cannot write"):
        write_records(tmp_path, [record()])


def test_results_of_another_device_are_no_results_of_this_one(tmp_path):
    task, space = Task.of(C10, VTAConfig()), KnobSpace.of(C10, VTAConfig())
    path = tmp_path / "tune.log"
    here, there, somewhere = (
        replace(record(i), device=d) for i, d in ((1, "a"), (2, "b"), (3, ""))
    )
    write_records(path, [here, there, somewhere])
    assert load_records(path) == [here, there, somewhere]
    log = TuningLog(path)
    assert set(log.results(task, space, "a")) == {1}
    assert set(log.results(task, space)) == {1, 2, 3}
    assert set(log.results(task, space, "")) == {3}  # a nameless one writes to VTA's own target
    assert set(log.results(task, space, RTL_DEVICE)) == {3}  # so does the simulated RTL
    assert log.nameless(task) == log.nameless(task.on("a")) == 1
    assert set(TuningLog(path, assume="a").results(task, space, "a")) == {1, 3}
    assert set(TuningLog(path, assume="a").results(task, space, RTL_DEVICE)) == set()
    assert set(TuningLog(path, assume=None).results(task, space, RTL_DEVICE)) == set()
    assert len(best_records(load_records(path))) == 3


ESTIMATE = "simulator rtl memory_latency=40 write_latency=20"


def test_the_target_of_a_record_says_what_measured_it():
    plain = json.loads(record().encode())
    assert plain["input"][0] == json.loads(_by("simulator rtl").encode())["input"][0] == TARGET
    targets = {_by(device).task.target for device in ("", ESTIMATE, "my board", "my-board")}
    assert len(targets) == 4
    for device in (ESTIMATE, "my board"):
        line = _by(device).encode()
        row = json.loads(line)
        assert row["input"][0] == Task.of(C10, VTAConfig(), device).target != TARGET
        assert Record.decode(line) == _by(device)
        del row["vtacsp"]  # as AutoTVM writes it again
        assert Record.decode(json.dumps(row)).device == device


def test_a_log_of_before_is_read_and_its_estimates_are_written_apart(tmp_path):
    """Until now the device was under our own key only, which AutoTVM ignores."""
    row = json.loads(_by(ESTIMATE).encode())
    row["input"][0], row["mine"] = TARGET, {"note": 1}
    old, path = json.dumps(row), tmp_path / "old.log"
    path.write_text(f"{record(8).encode()}\n{old}\n")
    first, second = load_records(path)
    assert (first.device, second.device) == ("", ESTIMATE)
    assert second == _by(ESTIMATE)
    task, space = Task.of(C10, VTAConfig(), ESTIMATE), KnobSpace.of(C10, VTAConfig())
    assert set(TuningLog(path).results(task, space, ESTIMATE)) == {7}
    assert set(TuningLog(path, assume=ESTIMATE).results(task, space, ESTIMATE)) == {7, 8}
    write_records(path, merge_records([first, second]))
    plain, moved = (json.loads(line) for line in path.read_text().splitlines())
    assert plain == json.loads(record(8).encode())
    assert moved == {**row, "input": [task.target, *row["input"][1:]]}


def test_two_devices_of_one_record_are_no_record():
    row = json.loads(_by(ESTIMATE).encode())
    row["vtacsp"]["device"] = "simulator rtl"
    with pytest.raises(ValueError, match="its target is of device"):
        Record.decode(json.dumps(row))


def test_what_autotvm_would_compare_is_not_merged():
    named, unknown, estimate = _by("simulator rtl"), record(), _by(ESTIMATE)
    other = replace(named, task=Task.of(C10, VTAConfig().replace(LOG_ACC_BUFF_SIZE=16)))
    assert merge_records([named, estimate, other]) == [named, estimate, other]
    assert merge_records([unknown, estimate]) == [unknown, estimate]
    with pytest.raises(LogError, match=r"resnet18.C10 on sim_1x16.*'simulator rtl'.*do not name"):
        merge_records([named, unknown])
    assert merge_records([named, unknown.measured_on("simulator rtl")]) == [named]
    assert unknown.measured_on(ESTIMATE) == estimate == estimate.measured_on("a")


def test_estimates_are_for_vtas_target_when_somebody_says_so():
    estimate = _by(ESTIMATE)
    (chosen,) = records_for_vta([estimate])
    row = json.loads(chosen.encode())
    assert chosen.task.target == row["input"][0] == TARGET
    assert (chosen.device, row["vtacsp"]["measured_on"]) == ("", ESTIMATE)
    assert Record.decode(chosen.encode()) == chosen
    with pytest.raises(LogError, match=f"'{ESTIMATE}' and on 'simulator rtl'"):
        records_for_vta([estimate, _by("simulator rtl")])


def _by(device: str) -> Record:
    return replace(record(), device=device)


def test_every_line_of_a_log_is_told(tmp_path):
    path = tmp_path / "tune.log"
    path.write_text("# mine\n\n[]\n" + record(1).encode() + "\n" + record(2).encode()[:30])
    lines = read_log(path)
    assert [line.number for line in lines] == [1, 3, 4, 5]
    assert [line.record is not None for line in lines] == [False, False, True, False]
    assert [bool(line.problem) for line in lines] == [False, True, False, True]
    assert [line.torn for line in lines] == [False, False, False, True]


def changed(**parts):
    row = json.loads(record(1).encode())
    for where, value in parts.items():
        key, _, place = where.partition("__")
        if place:
            row[key][int(place) if place.isdigit() else place] = value
        else:
            row[key] = value
    return json.dumps(row)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (changed(config__index=2), "the index is 2, that of its entity is 1"),
        (changed(config__index=True), "the index is True"),
        (changed(config__index=float("inf")), "the index is inf"),
        (changed(config__entity=[]), "the entity is empty"),
        (changed(config__entity=[["tile_b", "sp", []]]), "value of a knob is"),
        (changed(config__entity=[["tile_b", "sp", [-1, 1]]] * 2), "a knob is there twice"),
        (changed(input__2=[{"a": 1}]), "an argument is"),
        (changed(input__2=[float("inf")]), "an argument is inf"),
        (changed(input__0=3), "the target is 3"),
        (changed(result__2=float("inf")), "all_cost is inf"),
        (changed(result__1=99), "the error is 99"),
        (changed(vtacsp={"bias": []}), "bias is"),
        (record(1).encode().replace("1.5]", "1" * 401 + "]"), "401 digits"),
        (record(1).encode().replace('"vtacsp"', '"version"'), "'version' is there twice"),
        (record(1).encode().replace("resnet18.C10", "\\ud800"), "surrogate"),
        ("[" * 100_000, "levels"),
    ],
)
def test_what_a_line_cannot_say_is_refused_with_file_and_line(tmp_path, line, reason):
    path = tmp_path / "tune.log"
    path.write_text(f"{record(3).encode()}\n{line}\n{record(2).encode()}\n")
    with pytest.raises(LogError, match=f"tune.log, line 2: .*{reason}"):
        load_records(path)


@pytest.mark.parametrize("cost", ["NaN", "0", "-1", "Infinity", "1e400"])
def test_bad_costs_of_a_log_are_failed_measurements(tmp_path, cost):
    path = tmp_path / "tune.log"
    path.write_text(record(1).encode().replace("[[0.001]", f"[[{cost}]") + "\n")
    (read,) = load_records(path)
    assert not read.result.ok
    assert best_records([read]) == []


def test_a_log_is_one_run_s_alone(tmp_path):
    path = tmp_path / "tune.log"
    with TuningLog(path) as log:
        log.append(record(1))
        with pytest.raises(LogError, match="in use by another run"), TuningLog(path):
            pass
    with TuningLog(path) as log:
        log.append(record(2))
    assert [r.index for r in load_records(path)] == [1, 2]


def test_a_log_that_nothing_was_written_to_is_not_left(tmp_path):
    with TuningLog(tmp_path / "tune.log"):
        pass
    assert not (tmp_path / "tune.log").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
def test_a_full_disk_is_an_error_of_the_log_and_keeps_what_was_written(tmp_path):
    # closing the file tries the rest again: that was the error, without the name of the file
    import resource

    path, before = tmp_path / "tune.log", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_records(path, [record(1)])
    room = path.stat().st_size * 5 // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(LogError, match=r"tune\.log: File too large"):
            _appended(path, range(2, 9))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [r.index for r in load_records(path)] == [1, 2]
    _appended(path, [3])
    assert [r.index for r in load_records(path)] == [1, 2, 3]


def _appended(path, indices):
    with TuningLog(path) as log:
        for index in indices:
            log.append(record(index))


def test_a_merge_follows_links_and_replaces_no_device(tmp_path):
    (tmp_path / "link").symlink_to("real.log")
    write_records(tmp_path / "link", [record(1)])
    assert (tmp_path / "link").is_symlink()
    assert len(load_records(tmp_path / "real.log")) == 1
    for device in ("/dev/null", "/dev/full"):
        with pytest.raises(LogError, match="a log is a file"):
            write_records(device, [record(1)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real.log"]
