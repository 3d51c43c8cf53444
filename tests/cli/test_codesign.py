"""``codesign``, ``compare`` and ``advise`` about cycles on the command line, and their pages."""

import csv
import io
import json
from dataclasses import replace

import pytest

from tests.support.commands import run
from tests.support.machines import CONV, POINT, brute
from vtacsp import RTL, VTAConfig, compile
from vtacsp.codesign import MachineSpace, codesign, counted
from vtacsp.codesign.front_machine import bound_by, details
from vtacsp.codesign.rivals import hypervolume
from vtacsp.codesign.side_by_side import compare, described_machine
from vtacsp.codesign.upgrade import faster, smaller
from vtacsp.errors import SpaceError, TimingError
from vtacsp.operators.filling import fill_blocks
from vtacsp.timing.exhaustive import simulate_all
from vtacsp.timing.simulator import Simulator

FREE = {"LOG_BLOCK": (3, 4), "LOG_INP_BUFF_SIZE": (9, 10, 11, 12), "LOG_ACC_BUFF_SIZE": (10, 12)}
WORDS = ("--free", "LOG_BLOCK=3..4", "--free", "LOG_INP_BUFF_SIZE=9..12",
         "--free", "LOG_ACC_BUFF_SIZE=10..12")  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "net.json"
    path.write_text(json.dumps([{**POINT.to_dict(), "count": 2}, CONV.to_dict()]))
    return path


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_front_as_csv(network):
    text = run("codesign", network, *WORDS, "--format", "csv").stdout
    free = {key: tuple(range(v[0], v[-1] + 1)) for key, v in FREE.items()}
    front = codesign([(POINT, 2), CONV], MachineSpace(free=free))
    assert text.splitlines()[0] == ",".join([*FREE, "kib", "cycles"])
    found = [{key: int(value) for key, value in row.items()} for row in rows(text)]
    assert found == [
        {**{key: p.sizes[key] for key in FREE}, "kib": p.costs["kib"], "cycles": p.cycles}
        for p in front.points
    ]
    assert len(found) > 2
    assert [row["kib"] for row in found] == sorted(row["kib"] for row in found)


def test_the_front_as_json_has_machines_and_layers(network):
    text = run("codesign", network, *WORDS, "--budget", "kib<=400", "--cost", "multipliers",
               "--format", "json").stdout  # fmt: skip
    for row in json.loads(text):
        assert row["cycles"] == sum(item["count"] * item["cycles"] for item in row["layers"])
        assert row["kib"] <= 400
        assert row["multipliers"] == 4 ** row["machine"]["LOG_BLOCK"]


def test_machines_are_written_and_the_proof_checked(network, tmp_path):
    folder, proof, page = tmp_path / "front", tmp_path / "proof.json", tmp_path / "front.html"
    result = run("codesign", network, *WORDS, "--free", "LOG_BUS_WIDTH=6..7", "--write", folder,
                 "--certificate", proof, "--html", page)  # fmt: skip
    assert "machines: " in result.stdout
    assert "cut by a bound: " in result.stdout
    written = sorted(folder.iterdir())
    machines = [VTAConfig.load(path) for path in written]
    stated = json.loads(proof.read_text())["front"]
    assert [m.log_block for m in machines] == [p["machine"]["LOG_BLOCK"] for p in stated]
    # cycles of the first, from its file alone
    first = described_machine(machines[0])
    assert first.timing.bus_bytes == 16
    cycles = [brute(layer, first.hardware, [first.timing])[0] for layer in (POINT, CONV)]
    assert machines[0].extra["network_cycles"] == 2 * cycles[0] + cycles[1]
    assert "the certificate holds" in run("codesign", "--verify", proof).stderr
    data = json.loads(proof.read_text())
    data["front"][0]["cycles"] += 1
    proof.write_text(json.dumps(data))
    assert "wrong: " in run("codesign", "--verify", proof, code=1).stderr
    text = page.read_text()
    assert text.count('class="machine-point"') == 2 * len(stated)  # for desks and for phones
    assert all(f'href="#m{i}"' in text and f'id="m{i}"' in text for i in range(1, len(stated) + 1))
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_the_bus_of_a_description_holds_unless_an_option_says_more(network, tmp_path):
    machine = tmp_path / "machine.json"
    machine.write_text(json.dumps({**VTAConfig().to_dict(), "bus_bytes": 32}))
    words = ("codesign", network, "--free", "LOG_INP_BUFF_SIZE=11..12", "--format", "csv")
    assert (
        run(*words, "--hardware", machine).stdout
        == run(*words, "--timing", "bus_bytes=32").stdout
        != run(*words, "--hardware", machine, "--timing", "bus_bytes=8").stdout
        == run(*words).stdout
    )


def test_only_machines_that_the_design_can_be_built_for(tmp_path):
    net, machine = tmp_path / "net.json", tmp_path / "machine.json"
    net.write_text(json.dumps(replace(POINT, batch=4).to_dict()))
    small = VTAConfig(log_block=3, log_wgt_buff_size=14, log_acc_buff_size=16)
    machine.write_text(json.dumps(small.to_dict()))
    words = ("codesign", net, "--hardware", machine, "--cost", "multipliers",
             "--free", "LOG_BATCH=1..2", "--free", "LOG_BUS_WIDTH=6..7")  # fmt: skip
    every = json.loads(run(*words, "--format", "json").stdout)
    batch_four = [row for row in every if row["machine"]["LOG_BATCH"] == 2]
    assert {row["machine"]["LOG_BUS_WIDTH"] for row in batch_four} == {7}
    for row in every:
        expected = ["rtl:store_row"] * (row in batch_four)
        assert row["design"]["cannot_be_built"] == expected
        assert "rtl:batch" in row["design"]["sources_changed"]
    assert "cannot be built for 1 of these: rtl:store_row" in run(*words).stdout
    proof, page = tmp_path / "proof.json", tmp_path / "page.html"
    text = run(*words, "--buildable", "--certificate", proof, "--html", page).stdout
    assert "4 machines: 1 cannot be built" in text
    assert "cannot be built for" not in text
    assert "needs its own sources changed: LOG_BATCH is 1" in page.read_text()
    data = json.loads(proof.read_text())
    assert data["proof"]["illegal"] == {"rtl:store_row": 1}
    assert "the certificate holds" in run("codesign", "--verify", proof).stderr
    proof.write_text(json.dumps({**data, "buildable": False}))
    assert "may be on the front" in run("codesign", "--verify", proof, code=1).stderr
    proof.write_text(json.dumps({**data, "buildable": 1}))
    assert "buildable is 1, allowed are" in run("codesign", "--verify", proof, code=2).stderr


def test_the_description_of_a_machine_says_what_the_design_gets_wrong(tmp_path):
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({**VTAConfig(log_inp_buff_size=13).to_dict(), "bus_bytes": 64}))
    text = run("hardware", path).stdout
    assert "bus 64 bytes: a request for the UOP scratchpad needs a tag of 23 bits" in text
    assert "the runtime writes fields of 13/9/10/11 bits" in text
    assert "a load of the whole WGT scratchpad, 2^12 beats" in text
    assert "the whole INP" not in text  # an element fits the bus
    assert "the whole INP" in run("hardware").stdout


def test_a_run_is_continued(network, tmp_path):
    path = tmp_path / "run.jsonl"
    first = run("codesign", network, *WORDS, "--resume", path)
    again = run("codesign", network, *WORDS, "--resume", path)
    assert "; 0 programs simulated, " in again.stdout
    assert first.stdout.splitlines()[5:] == again.stdout.splitlines()[5:]
    refusal = run("codesign", network, *WORDS, "--resume", path, "--preset", "pynq", code=2)
    assert "another file is needed" in refusal.stderr


def test_nothing_within_budget_has_an_exit_code_of_its_own(network):
    result = run("codesign", network, *WORDS, "--budget", "kib<=1", code=3)
    assert "no machine of the ranges is within budget" in result.stderr


def test_the_front_of_the_best_known_beyond_the_template(network, tmp_path):
    folder, page = tmp_path / "machines", tmp_path / "front.html"
    words = ("--free", "LOG_INP_BUFF_SIZE=10..12", "--free-schedules", 25)
    result = run("codesign", network, *words, "--search-machines", 2, "--write", folder,
                 "--html", page)  # fmt: skip
    assert "beyond the template: 2 machines searched" in result.stdout
    found = json.loads(run("codesign", network, *words, "--search-machines", 2, "--format",
                           "json").stdout)  # fmt: skip
    text = run("codesign", network, *words, "--search-machines", 2, "--format", "csv").stdout
    assert text.splitlines()[0] == (
        "LOG_INP_BUFF_SIZE,kib,cycles,limit,floor,template_cycles,proven"
    )
    for row, line in zip(found, rows(text), strict=True):
        assert int(line["cycles"]) == row["cycles"] < row["template_cycles"]
        assert row["floor"] <= row["limit"] < row["cycles"]
        for name in ("cycles", "limit"):
            assert row[name] == sum(item["count"] * item[name] for item in row["layers"])
        assert all((item["index"] is None) != (item["schedule"] is None) for item in row["layers"])
    written = [VTAConfig.load(path).extra["network_cycles"] for path in sorted(folder.iterdir())]
    assert written == [row["cycles"] for row in found]
    text = page.read_text()
    assert text.count('class="known-point"') == 2 * len(found)
    assert 'id="beyond"' in text
    refusal = run("codesign", network, *words[:2], "--search-machines", 2, code=2)
    assert "--search-machines needs --free-schedules" in refusal.stderr


# ---------------------------------------------------------------- detail


def test_details_of_a_point():
    front = codesign([(POINT, 2), CONV], MachineSpace(free=FREE))
    for detail in details(front):
        point = detail.point
        for best in point.layers:
            simulator = Simulator(best.workload, point.hardware, point.timing)
            assert detail.bound[best.layer.name] == simulator.run(best.index).bound
            space = compile(best.workload, point.hardware)
            runs = space.programs(), space.knob_space.programs()
            assert detail.runs[best.layer.name] == runs
        for key, pair in detail.neighbours.items():
            for step, cycles in zip((-1, 1), pair, strict=True):
                values = FREE[key]
                place = values.index(point.sizes[key]) + step
                if not 0 <= place < len(values) or cycles is None:
                    assert cycles is None
                    continue
                machine = point.hardware.replace(**{key: values[place]})
                best = [brute(w, machine, [point.timing])[0] for w in (POINT, CONV)]
                assert cycles == 2 * best[0] + best[1]
    assert bound_by(CONV, VTAConfig(), RTL, 0) == Simulator(CONV).run(0).bound


def test_hypervolume_of_a_staircase():
    assert hypervolume([(2, 8)], (4, 16)) == 1
    assert hypervolume([(2, 8), (1, 16), (4, 1), (2, 9)], (4, 16)) == 1
    assert hypervolume([(1, 8), (2, 4)], (4, 16)) == 1 + 2


# ---------------------------------------------------------------- advice


def network_cycles(hardware, timing=RTL):
    return 2 * brute(POINT, hardware, [timing])[0] + brute(CONV, hardware, [timing])[0]


BASE = VTAConfig(log_inp_buff_size=10, log_wgt_buff_size=14, log_acc_buff_size=10)


def test_the_smallest_change_that_is_fast_enough():
    free = {"LOG_INP_BUFF_SIZE": (9, 10, 11, 12), "LOG_ACC_BUFF_SIZE": (10, 11, 12)}
    answer = faster([(POINT, 2), CONV], BASE, percent=5, free=free)
    now = network_cycles(BASE)
    assert answer.now == now
    options = []
    for inp in free["LOG_INP_BUFF_SIZE"]:
        for acc in free["LOG_ACC_BUFF_SIZE"]:
            machine = BASE.replace(LOG_INP_BUFF_SIZE=inp, LOG_ACC_BUFF_SIZE=acc)
            cycles = network_cycles(machine)
            if now / cycles >= 1.05:
                steps = abs(inp - 10) + abs(acc - 10)
                options.append((steps, (1 << inp) + (1 << acc), inp, acc, cycles))
    steps, _, inp, acc, cycles = min(options)
    assert (answer.steps, answer.cycles) == (steps, cycles)
    assert (answer.sizes["LOG_INP_BUFF_SIZE"], answer.sizes["LOG_ACC_BUFF_SIZE"]) == (inp, acc)
    assert "faster)" in str(answer)
    never = faster([(POINT, 2), CONV], BASE, percent=900, free=free)
    assert never.sizes is None
    assert never.cycles == min(
        network_cycles(BASE.replace(LOG_INP_BUFF_SIZE=i, LOG_ACC_BUFF_SIZE=a))
        for i in free["LOG_INP_BUFF_SIZE"] for a in free["LOG_ACC_BUFF_SIZE"]
    )  # fmt: skip


def test_how_small_a_size_may_be():
    answer = smaller([(POINT, 2), CONV], BASE, key="LOG_ACC_BUFF_SIZE", percent=10)
    expected = {}
    for size, cycles in answer.cycles.items():
        machine = BASE.replace(LOG_ACC_BUFF_SIZE=size)
        found = network_cycles(machine)
        expected[size] = None if found >= 1 << 60 else found
        assert cycles == expected[size]
    least = 10
    while expected.get(least - 1) is not None and expected[least - 1] <= 1.1 * expected[10]:
        least -= 1
    assert answer.least == least
    with pytest.raises(SpaceError, match="does not run on"):
        smaller([CONV], BASE.replace(LOG_INP_BUFF_SIZE=6), key="LOG_ACC_BUFF_SIZE")


def test_advice_about_cycles_on_the_command_line(network, tmp_path):
    machine = tmp_path / "machine.json"
    machine.write_text(json.dumps(BASE.to_dict()))
    words = ("--free", "LOG_INP_BUFF_SIZE=9..12", "--free", "LOG_ACC_BUFF_SIZE=10..12")
    text = run("advise", network, "--hardware", machine, "--faster", 5, *words,
               "--format", "json").stdout  # fmt: skip
    (row,) = json.loads(text)
    assert row["possible"] == 1
    assert row["cycles"] <= row["target"] < row["cycles_now"] == network_cycles(BASE)
    text = run("advise", network, "--hardware", machine, "--smallest", "acc", "--format", "csv")
    assert rows(text.stdout)[0]["size"] == "10"
    refusal = run("advise", network, "--hardware", machine, "--faster", 900, *words, code=3)
    assert "no machine that was considered will do" in refusal.stdout


# ---------------------------------------------------------------- comparison


def test_two_machines_side_by_side():
    other = BASE.replace(LOG_INP_BUFF_SIZE=12, LOG_ACC_BUFF_SIZE=12)
    a, b = described_machine(BASE), described_machine(replace(other, extra={"bus_bytes": 16}))
    assert (a.timing.bus_bytes, b.timing.bus_bytes) == (8, 16)
    for row, layer in zip(compare([(POINT, 2), CONV], a, b), (POINT, CONV), strict=True):
        spaces = [compile(fill_blocks(layer, m.hardware).workload, m.hardware) for m in (a, b)]
        assert row.both == len(set(spaces[0].indices) & set(spaces[1].indices))
        for side, space, m in zip((row.a, row.b), spaces, (a, b), strict=True):
            assert side.feasible == len(space)
            every = simulate_all(Simulator(space, timing=m.timing))
            assert side.cycles == every.cycles.min()
            assert side.index == space.indices[every.cycles.argmin()]
            assert side.bound == Simulator(space, timing=m.timing).run(side.index).bound
        assert row.faster == row.a.cycles / row.b.cycles - 1
    blocks = described_machine(BASE.replace(LOG_BLOCK=3))
    assert compare([POINT], a, blocks)[0].both is None
    with pytest.raises(TimingError, match="bus_bytes of the hardware description"):
        described_machine(replace(BASE, extra={"bus_bytes": 12}))


def test_compare_on_the_command_line(network, tmp_path):
    paths = []
    for name, machine in (("a", BASE), ("b", BASE.replace(LOG_ACC_BUFF_SIZE=12))):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(machine.to_dict()))
    page = tmp_path / "both.html"
    found = rows(run("compare", *paths, network, "--format", "csv", "--html", page).stdout)
    assert [row["layer"] for row in found] == ["point", "conv"]
    assert [int(row["count"]) for row in found] == [2, 1]
    assert sum(int(r["count"]) * int(r["cycles_a"]) for r in found) == network_cycles(BASE)
    table = run("compare", *paths, network).stdout
    assert f"{network_cycles(BASE):,}" in table
    side = compare(
        [(POINT, 2), CONV], *(described_machine(VTAConfig.load(path)) for path in paths)
    )[1]
    memory = table[table.index("takes of the scratchpads") :]
    assert f"{side.a.index} | {side.b.index}" in memory
    assert f"{side.a.used['acc']:.0%} | {side.b.used['acc']:.0%}" in memory
    text = page.read_text()
    assert text.count("<section") >= 4
    assert "https://" not in text
    nothing = tmp_path / "tiny.json"
    tiny = BASE.replace(LOG_ACC_BUFF_SIZE=7, LOG_INP_BUFF_SIZE=5, LOG_WGT_BUFF_SIZE=9)
    nothing.write_text(json.dumps(tiny.to_dict()))
    (row, _) = rows(run("compare", paths[0], nothing, network, "--format", "csv").stdout)
    assert counted([POINT])[0].name == row["layer"]


def test_a_machine_that_cannot_be_built_is_named(network, tmp_path):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text(json.dumps(VTAConfig().to_dict()))
    b.write_text(json.dumps({**VTAConfig().to_dict(), "bus_bytes": 64}))
    said = run("compare", a, b, network).stderr
    assert said.count("the Chisel design cannot be built: a request for the UOP") == 1
    assert f"{b}: the Chisel design" in said
    said = run("advise", network, "--faster", 1, "--free", "LOG_BUS_WIDTH=9").stderr
    assert "cannot be built: a request for the UOP" in said
    said = run("advise", network, "--faster", 1, "--free", "LOG_BUS_WIDTH=7").stderr
    assert "cannot be built" not in said
