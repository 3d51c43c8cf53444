"""``vtacsp log`` on logs of several machines, devices and layers."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import CONV, DENSE, run, tuned
from vtacsp import VTAConfig
from vtacsp.tune import load_records


@pytest.fixture
def mixed(here):
    """One log of two machines, two timing presets and two layers, and what AutoTVM wrote."""
    small = {**VTAConfig().to_dict(), "LOG_ACC_BUFF_SIZE": 15}
    (here / "small.json").write_text(json.dumps(small))
    for options in ((), ("--timing", "memory_latency=64"), ("--hardware", "small.json")):
        tuned("net.json", "--trials", 3, *options)
    lines = [json.loads(line) for line in (here / "vtacsp.log").read_text().splitlines()[:2]]
    for row in lines:
        del row["vtacsp"]
    (here / "autotvm.log").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return here


RTL_ONLY, SLOW = "simulator rtl", "simulator rtl memory_latency=64"
DEFAULT, SMALLER = "sim_1x16_i8w8a32_15_15_18_17", "sim_1x16_i8w8a32_15_15_18_15"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ((), {(DEFAULT, RTL_ONLY), (DEFAULT, SLOW), (SMALLER, RTL_ONLY)}),
        (("--machine", DEFAULT), {(DEFAULT, RTL_ONLY), (DEFAULT, SLOW)}),
        (("--device", RTL_ONLY), {(DEFAULT, RTL_ONLY), (SMALLER, RTL_ONLY)}),
        (("--device", RTL_ONLY, "--machine", SMALLER), {(SMALLER, RTL_ONLY)}),
        (("--device", RTL_ONLY, "--device", SLOW, "--machine", DEFAULT),
         {(DEFAULT, RTL_ONLY), (DEFAULT, SLOW)}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("best", [(), ("--best",)], ids=["all", "best"])
def test_a_log_is_filtered_by_machine_and_device(mixed, options, kept, best):
    text = run(
        "log", "vtacsp.log", *options, *best, "--merge", "out.log", "--format", "json"
    ).stdout
    assert {(row["machine"], row["device"]) for row in json.loads(text)} == kept
    records = load_records("out.log")
    assert {(record.task.model, record.device) for record in records} == kept
    assert len(records) == len(kept) * 2 * (1 if best else 3)
    # kept apart for AutoTVM too
    assert len({record.task.target for record in records}) == len(kept)


def test_a_log_is_filtered_by_layer(mixed):
    names = [CONV["name"], DENSE["name"]]
    rows = json.loads(run("log", "vtacsp.log", "--layer", names[1], "--format", "json").stdout)
    assert [row["workload"] for row in rows] == [names[1]] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--machine", "sim"],
            f"sim: no record is of it; there are {DEFAULT}, {SMALLER}",
        ),
        (["--device", "pynq"], "--device pynq: no record is of it; there are simulator rtl, simul"),
        (["--layer", "C8"], "--layer C8: no record is of it; there are "),
        (["--machine", SMALLER, "--device", SLOW], "no record is of this machine, device and lay"),
        (["--device", SLOW, "--merge", "vtacsp.log"], "--merge vtacsp.log would drop what is not"),
        (["--for-vta"], "--for-vta goes with --merge"),
        (["--for-vta", "--merge", "out.log"], "'simulator rtl' and on 'simulator rtl memory_lat"),
        (["autotvm.log", "--merge", "out.log"], "and on a device they do not name: keep those of"),
        (["autotvm.log", "--best", "--merge", "out.log"], "and on a device they do not name"),
    ],
)
def test_what_a_log_cannot_give_is_one_line_and_nothing_is_written(mixed, options, message):
    before = (mixed / "vtacsp.log").read_bytes()
    result = run("log", "vtacsp.log", *options, code=2)
    assert message in result.stderr.splitlines()[-1]
    assert not (mixed / "out.log").exists()
    assert (mixed / "vtacsp.log").read_bytes() == before


def test_records_that_do_not_say_are_merged_when_the_user_says(mixed):
    options = ("--assume", RTL_ONLY, "--machine", DEFAULT, "--device", RTL_ONLY)
    run("log", "vtacsp.log", "autotvm.log", *options, "--merge", "out.log")
    both = load_records("out.log")
    assert {record.device for record in both} == {RTL_ONLY}
    (other,) = {r.device for r in load_records("autotvm.log")}
    assert other == ""
    run("log", "autotvm.log", "--device", "unknown", "--merge", "unknown.log")
    assert load_records("unknown.log") == load_records("autotvm.log")


def test_estimates_are_written_for_vtas_target_when_the_user_says(mixed):
    run("log", "vtacsp.log", "--device", SLOW, "--best", "--for-vta", "--merge", "out.log")
    records = load_records("out.log")
    assert [(record.task.model, record.task.device) for record in records] == [(DEFAULT, "")] * 2
    best = json.loads(
        run("log", "vtacsp.log", "--device", SLOW, "--best", "--format", "json").stdout
    )
    assert [record.index for record in records] == [row["index"] for row in best]
