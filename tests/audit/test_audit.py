"""The audit finds what is wrong, says nothing of what is right, and reads all sorts of streams."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.audited import MACHINE, more_programs, programs, verdicts
from tests.support.golden import golden, races
from tests.support.truth import truth
from vtacsp import VTAConfig
from vtacsp.audit import ERROR, KINDS, Region, audit, load, of_program
from vtacsp.audit.sources import of_bundle
from vtacsp.audit.target import Target
from vtacsp.cli import main
from vtacsp.errors import AuditError, BundleError
from vtacsp.machine.instructions import ALU_NAMES, Memory, Opcode, encode, pack_micro_ops
from vtacsp.operators.builder import build
from vtacsp.program import INSTRUCTION, MICRO_OP
from vtacsp.timing.model import TimingModel

DEFAULT = VTAConfig()


def kinds(target, **options):
    return {finding.kind for finding in audit(target, **options).findings}


# ---------------------------------------------------------------- recorded programs, mutants


@pytest.mark.parametrize("waits", [False, True])
def test_no_alarm_on_programs_that_ran_right_on_the_rtl(waits):
    seen = Counter()
    for stream in golden("programs")[waits::10]:
        case = truth()[stream["workload"]]
        program = build(case.workload, case.hardware, stream["index"], waits=waits)
        result = audit(of_program(program))
        assert result.clean, (stream["workload"], stream["index"], result.errors)
        assert result.timing.cycles > 0
        seen.update(finding.kind for finding in result.findings)
    assert set(seen) <= {"tokens_left", "unwritten_unused"}
    assert seen["tokens_left"]


def test_every_measured_race_is_found():
    for workload, index in races()[::10]:
        result = audit(of_program(build(workload, DEFAULT, index)))
        assert {finding.kind for finding in result.errors} & {"race", "unwritten"}
        assert result.doubtful > 0


def test_small_programs_of_every_kind_are_clean():
    assert len(programs()) >= 12
    for bundle in programs():
        result = audit(of_bundle(bundle, "small"))
        assert result.clean, result.errors
        assert result.stored == bundle.manifest.buffers["out"].bytes
        assert result.doubtful == 0


def test_a_mutant_that_computes_something_else_in_some_order_is_found():
    """The witness executes random legal orders; the audit has to find all that it breaks."""
    missed, tally, confirmed = [], Counter(), Counter()
    many = [(bundle, 13) for bundle in programs()] + [(bundle, 3) for bundle in more_programs()]
    for number, (bundle, mutants) in enumerate(many):
        for verdict in verdicts(bundle, mutants, seed=number, runs=8):
            tally[verdict.changed, verdict.clean] += 1
            confirmed.update(verdict.kinds if verdict.changed else ())
            if verdict.changed and verdict.clean:
                missed.append((number, verdict))
    assert not missed
    assert tally[True, False] > 100  # and most are broken
    assert tally[False, True] > 25  # some are not, and nothing is said of them
    assert tally[False, False] < tally[True, False] / 10  # what the witness did not meet
    for kind in ("deadlock", "race", "unwritten", "dram_bounds", "wrong_result", "not_stored"):
        assert confirmed[kind], kind


# ---------------------------------------------------------------- each finding


class Line:
    """A stream that is written down: dense, one tile, one step, each instruction once."""

    def __init__(self):
        size = DEFAULT.element_bytes
        self.rows = [
            {"opcode": 0, "memory_type": Memory.UOP, "dram_base": 0x400, "x_size": 2},
            {"opcode": 2, "reset_reg": 1, "uop_end": 1, "push_prev_dep": 1},
            {"opcode": 0, "memory_type": Memory.INP, "dram_base": 0x200, "x_size": 1,
             "pop_next_dep": 1},
            {"opcode": 0, "memory_type": Memory.WGT, "dram_base": 0x30, "x_size": 1,
             "push_next_dep": 1},
            {"opcode": 2, "uop_end": 1, "pop_prev_dep": 1},
            {"opcode": 4, "uop_end": 1, "alu_opcode": 3, "use_imm": 1, "imm": 8,
             "push_next_dep": 1},
            {"opcode": 1, "memory_type": Memory.OUT, "dram_base": 0x400, "x_size": 1,
             "pop_prev_dep": 1, "push_prev_dep": 1},
            {"opcode": 3, "pop_next_dep": 1},
        ]  # fmt: skip
        self.uops = [(0, 0, 0), (1, 0, 0)]
        self.regions = (
            Region(Memory.UOP, 0x1000, 8), Region(Memory.INP, 0x2000, size("inp")),
            Region(Memory.WGT, 0x3000, size("wgt")), Region(Memory.OUT, 0x4000, size("out")),
        )  # fmt: skip
        self.options = {"complete": True}

    def target(self) -> Target:
        ins = np.zeros(len(self.rows), dtype=INSTRUCTION)
        for at, row in enumerate(self.rows):
            usual = {"y_size": 1, "x_stride": 1} if row["opcode"] < 2 else {}
            usual |= {"iter_out": 1, "iter_in": 1} if row["opcode"] in (2, 4) else {}
            for name, value in {**usual, **row}.items():
                ins[name][at] = value
        uops = np.array(self.uops, dtype=MICRO_OP)
        return Target("line", DEFAULT, ins, uops, ((0, len(ins)),), 0x400,
                      words=encode(ins, DEFAULT), regions=self.regions, **self.options)  # fmt: skip


def test_the_line_is_clean():
    result = audit(Line().target())
    assert result.findings == ()
    assert (result.stored, result.doubtful) == (16, 0)


EDITS = {
    "deadlock": lambda line: line.rows[3].update(push_next_dep=0),
    "race": lambda line: line.rows[2].update(pop_next_dep=0) or line.rows[1].update(
        push_prev_dep=0) or line.rows[3].update(push_next_dep=0) or line.rows[4].update(
        pop_prev_dep=0),
    "unwritten": lambda line: line.rows[1].update(iter_out=0),
    "stale_output": lambda line: line.rows[4].update(reset_reg=1) or line.rows[5].update(
        iter_in=0),
    "early_finish": lambda line: line.rows[7].update(pop_next_dep=0),
    "sram_bounds": lambda line: line.rows[2].update(sram_base=2048),
    "dram_bounds": lambda line: line.rows[2].update(dram_base=0x201),
    "image_bounds": lambda line: line.rows[0].update(x_size=3),
    "no_operation": lambda line: line.rows[5].update(alu_opcode=6),
    "no_finish": lambda line: line.rows.pop(),
    "store_padding": lambda line: line.rows[6].update(x_pad_1=1),
    "micro_op_shape": lambda line: line.rows[0].update(x_pad_1=1),
    "not_stored": lambda line: line.options.update(complete=True) or setattr(
        line, "regions", (*line.regions[:3], Region(Memory.OUT, 0x4000, 32))),
    "dram_race": lambda line: line.rows.insert(7, {
        "opcode": 0, "memory_type": Memory.INP, "dram_base": 0x400, "x_size": 1, "sram_base": 9}),
    "token_overflow": lambda line: line.rows.__setitem__(slice(1, 1), [
        {"opcode": 0, "memory_type": Memory.UOP, "push_prev_dep": 1}] * 256),
    "tokens_left": lambda line: line.rows[5].update(push_prev_dep=1),
    "unwritten_unused": lambda line: line.rows[5].update(uop_end=2),
    "micro_op_hazard": lambda line: line.uops.__setitem__(1, (0, 0, 0)) or line.rows[4].update(
        uop_end=2),
    "beat_counter": lambda line: line.rows[2].update(x_size=2048),
    "zero_extent": lambda line: line.rows[5].update(iter_out=0),
    "no_queue": lambda line: line.rows[2].update(pop_prev_dep=1),
    "address_bits": lambda line: line.rows[2].update(dram_base=0xFFFFFFFF),
}  # fmt: skip


@pytest.mark.parametrize("kind", EDITS)
def test_every_kind_of_finding_by_an_edit(kind):
    line = Line()
    EDITS[kind](line)
    result = audit(line.target())
    assert kind in {finding.kind for finding in result.findings}, result.findings
    (first, *_) = [finding for finding in result.findings if finding.kind == kind]
    assert first.severity == KINDS[kind][0]
    assert first.text
    if first.severity == ERROR:
        assert not result.clean


def test_the_rest_of_the_kinds():
    line = Line()
    target = line.target()
    target.words[2, 0] |= np.uint64(1 << 60)
    assert kinds(target) == {"unused_bits"}
    deep = VTAConfig(log_acc_buff_size=19, log_wgt_buff_size=14)
    assert "instruction_bits" in kinds(replace(line.target(), hardware=deep, words=None))
    # compute waits for what lies behind a full queue; tokens alone would be fine
    line.rows[1:1] = [{"opcode": 4, "uop_end": 1, "use_imm": 1, "alu_opcode": 2}] * 4
    line.rows[1] = {"opcode": 0, "memory_type": Memory.UOP, "pop_prev_dep": 1}
    late = {"opcode": 0, "memory_type": Memory.INP, "push_next_dep": 1}
    line.rows.insert(6, late)
    assert "queue_deadlock" in kinds(line.target(), timing=TimingModel(queue_entries=1))
    assert "queue_deadlock" not in kinds(line.target())
    covered = {*EDITS, "unused_bits", "instruction_bits", "queue_deadlock", "wrong_result",
               "unordered"}  # fmt: skip
    assert covered == set(KINDS)  # the last two: mutants, and the next test


def test_an_unordered_access_that_changes_nothing_is_a_note():
    """The weights are loaded once more, the same ones, while GEMM may read them."""
    line = Line()
    again = {**line.rows[3], "push_next_dep": 0}
    line.rows.insert(4, again)
    result = audit(line.target())
    assert [finding.kind for finding in result.findings] == ["unordered"]
    assert result.clean
    line.rows[4] = {**again, "dram_base": 0x31}  # others: now it matters
    line.regions = ()
    assert "race" in kinds(line.target())


def test_what_is_multiplied_by_zeros_does_not_matter():
    """The input is padding: weights that nobody loaded change nothing."""
    line = Line()
    line.rows[2].update(y_pad_0=1, x_size=1, y_size=1)  # element 0 is zero
    line.rows[3].update(sram_base=7)
    assert kinds(line.target()) == {"unwritten_unused"}


def test_a_wait_that_another_program_left_is_told():
    case = truth()["c-tiny14"]
    index = case.feasible[-1]
    target = of_program(build(case.workload, case.hardware, index, waits=True))
    assert audit(target).clean
    assert {"deadlock"} <= kinds(replace(target, held=(0, 0, 0, 0)))


# ---------------------------------------------------------------- streams of other compilers


def dump(target: Target) -> str:
    """What the runtime prints: ``VTA_DEBUG_DUMP_UOP``, then ``VTA_DEBUG_DUMP_INSN``."""
    lines = [f"There are {len(target.micro_ops)} uops"]
    lines += [f"[{i:04}]\t acc={u[0]}, inp={u[1]}, wgt={u[2]}" for i, u in
              enumerate(target.micro_ops.tolist())]  # fmt: skip
    lines += ["", f"There are {len(target.instructions)} instructions"]
    for i, r in enumerate(target.instructions):
        opcode, memory = Opcode(int(r["opcode"])), Memory(int(r["memory_type"]))
        if opcode in (Opcode.LOAD, Opcode.STORE) and not r["x_size"]:
            stage = "STORE" if opcode == Opcode.STORE else "COMPUTE"
            name = f"NOP-{'MEMORY' if memory == Memory.INP else stage}-STAGE"
        elif opcode == Opcode.LOAD:
            name = f"LOAD {memory.name}"
        elif opcode == Opcode.ALU:
            code = int(r["alu_opcode"])
            name = f"ALU - {ALU_NAMES[code]}{' imm' if r['use_imm'] and code != 3 else ''}"
        else:
            name = {Opcode.STORE: "STORE:"}.get(opcode, opcode.name)
        lines.append(f"INSTRUCTION {i}: {name}")
        if opcode != Opcode.FINISH or r["pop_next_dep"]:  # the runtime's waits for nothing
            lines.append("\tdep - pop prev: {pop_prev_dep}, pop next: {pop_next_dep}, push prev: "
                         "{push_prev_dep}, push next: {push_next_dep}".format(
                             **dict(zip(r.dtype.names, r.tolist(), strict=True))))  # fmt: skip
        if opcode in (Opcode.LOAD, Opcode.STORE) and r["x_size"]:
            lines.append(f"\tDRAM: 0x{int(r['dram_base']):08x}, SRAM:0x{int(r['sram_base']):04x}")
            lines.append(f"\ty: size={r['y_size']}, pad=[{r['y_pad_0']}, {r['y_pad_1']}]")
            lines.append(f"\tx: size={r['x_size']}, stride={r['x_stride']}, pad=[{r['x_pad_0']}, "
                         f"{r['x_pad_1']}]")  # fmt: skip
        elif opcode in (Opcode.GEMM, Opcode.ALU):
            lines.append(f"\treset_out: {r['reset_reg']}")
            lines.append(f"\trange ({r['uop_bgn']}, {r['uop_end']})")
            for word, end in (("outer", "out"), ("inner", "in")):
                keys = {"wgt": "wgt", "inp": "src", "acc": "dst"}
                if opcode == Opcode.ALU:
                    keys = {"dst": "dst", "src": "src"}
                parts = ", ".join(f"{k}: {r[f'{f}_factor_{end}']}" for k, f in keys.items())
                lines.append(f"\t{word} loop - iter: {r[f'iter_{end}']}, {parts}")
        lines.append("\tl2g_queue = 0, g2l_queue = 0")
        lines.append("\ts2g_queue = 0, g2s_queue = 0")
    return "\n".join(lines) + "\n"


def test_a_dump_of_the_runtime_is_the_program_without_immediates(tmp_path):
    for bundle in programs()[::5]:
        target = of_bundle(bundle, "x")
        (tmp_path / "dump.txt").write_text(dump(target))
        read = load(tmp_path / "dump.txt", bundle.hardware)
        assert np.array_equal(read.micro_ops, target.micro_ops)
        blank = target.instructions.copy()
        blank["imm"] = 0
        moves = np.isin(blank["opcode"], (Opcode.LOAD, Opcode.STORE))
        blank["memory_type"][(blank["opcode"] == Opcode.STORE) & (blank["x_size"] == 0)] = 0
        assert np.array_equal(read.instructions[moves], blank[moves])
        assert np.array_equal(read.instructions, blank)
        assert read.image == target.image
        assert audit(read).clean
        assert any("immediates" in remark for remark in read.remarks)


def write_raw(folder, target, suffix="", table=True):
    """As ONERA's standalone-vta writes it."""
    folder.mkdir(exist_ok=True)
    (folder / f"instructions{suffix}.bin").write_bytes(target.words.astype("<u8").tobytes())
    image = pack_micro_ops(target.micro_ops, target.hardware).astype("<u4").tobytes()
    (folder / f"uop{suffix}.bin").write_bytes(image)
    if table:
        names = {"INP": "input", "WGT": "weight", "ACC": "accumulator"}
        rows = []
        for region in target.regions:
            name = region.memory.name
            rows.append(f"{name},{region.address:#x},0x0")
            if name in names:
                (folder / f"{names[name]}{suffix}.bin").write_bytes(b"\0" * region.bytes)
        (folder / f"memory_addresses{suffix}.csv").write_text("\r\n".join(rows) + "\r\n")
    return folder


def test_a_raw_stream_is_audited_with_what_lies_beside_it(tmp_path):
    target = of_bundle(programs()[0], "x")
    raw = load(write_raw(tmp_path / "a", target), MACHINE)
    assert np.array_equal(raw.instructions, target.instructions)
    assert np.array_equal(raw.micro_ops, target.micro_ops)
    assert raw.image == target.image
    assert {(r.memory, r.address, r.bytes) for r in raw.regions if r.memory != Memory.OUT} == {
        (r.memory, r.address, r.bytes) for r in target.regions if r.memory != Memory.OUT
    }
    assert audit(raw).clean
    assert any("default one" in remark for remark in load(tmp_path / "a").remarks)
    bare = load(write_raw(tmp_path / "b", target, "_L1", table=False), MACHINE)
    assert bare.image == target.image  # the lowest that is loaded
    assert len(bare.remarks) == 2
    assert audit(bare).clean
    alone = load(tmp_path / "b" / "instructions_L1.bin", MACHINE, tmp_path / "a" / "uop.bin")
    assert np.array_equal(alone.micro_ops, target.micro_ops)

    shifted = target.instructions.copy()
    at = np.flatnonzero((shifted["memory_type"] == Memory.INP) & (shifted["x_size"] > 0))[-1]
    shifted["dram_base"][at] += 4096
    broken = replace(target, instructions=shifted, words=encode(shifted, MACHINE))
    result = audit(load(write_raw(tmp_path / "c", broken), MACHINE))
    assert {finding.kind for finding in result.errors} == {"dram_bounds"}


# ---------------------------------------------------------------- the command


def invoke(*words):
    result = CliRunner().invoke(main, ["audit", *map(str, words)], prog_name="vtacsp")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    bundle = programs()[0]
    bundle.save(tmp_path / "b")
    page = tmp_path / "page.html"
    assert invoke(tmp_path / "b")[0] == 0  # what says that it compiles has said it
    code, out, err = invoke(tmp_path / "b", "--html", page, "--list")
    assert (code, err) == (0, f"wrote {page}\n")
    assert "clean" in out
    assert "GEMM" in out
    text = page.read_text()
    assert text.count('class="timeline"') == 2
    assert "http" not in text.replace("http://www.w3.org", "")
    code, out, _ = invoke(tmp_path / "b", "--format", "json")
    data = json.loads(out)
    assert (code, data["clean"], data["doubtful_bytes"]) == (0, True, 0)
    assert data["cycles"] == bundle.manifest.cycles

    target = of_bundle(bundle, "x")
    broken = target.instructions.copy()
    broken["pop_prev_dep"][broken["opcode"] == Opcode.STORE] = 0
    write_raw(tmp_path / "r", replace(target, words=encode(broken, MACHINE)))
    (tmp_path / "vta.json").write_text(json.dumps(MACHINE.to_dict()))
    machine = ("--hardware", tmp_path / "vta.json")
    code, out, _ = invoke(tmp_path / "r", *machine, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 3
    assert {row["severity"] for row in rows} == {"error", "note"} or rows[0]["severity"] == "error"
    assert rows[0]["kind"] in KINDS
    code, out, _ = invoke(tmp_path / "r", *machine, "--html", page)
    assert code == 3
    assert max(map(len, out.splitlines()[-5:])) <= 80
    assert "depends on what nothing has written" in page.read_text()


BAD = {
    "empty": (b"", "no whole number"),
    "odd": (b"\0" * 17, "no whole number"),
    "giant": (b"\3" + b"\0" * (16 * (1 << 20)), "more than"),
    "text": (b"INSTRUCTION 0: LOAD XYZ\n", "no instruction"),
    "cut": (b"There are 2 instructions\nINSTRUCTION 0: FINISH\n", "says 2 instructions"),
    "order": (b"INSTRUCTION 0: FINISH\nINSTRUCTION 2: FINISH\n", "instruction 2 follows 0"),
    "no-uop": (b"INSTRUCTION 0: FINISH\n", "no micro-ops"),
    "wide": (b"[0000]\t acc=0, inp=0, wgt=0\nINSTRUCTION 0: GEMM\n\trange (0, 999999999)\n",
             "uop_end"),
    "wide-uop": (b"[0000]\t acc=99999, inp=0, wgt=0\nINSTRUCTION 0: GEMM\n", "dst_idx"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_stream_is_one_line(tmp_path, name):
    content, words = BAD[name]
    (tmp_path / "instructions.bin").write_bytes(content)
    (tmp_path / "uop.bin").write_bytes(b"\0" * 4)
    for path in (tmp_path, tmp_path / "instructions.bin"):
        code, out, err = invoke(path)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("error: ")
        assert words in err
        assert len(err) < 400


def test_files_that_are_not_there_or_do_not_fit_are_one_line(tmp_path):
    target = of_bundle(programs()[0], "x")
    raw = write_raw(tmp_path / "r", target)
    programs()[0].save(tmp_path / "b")
    stream = raw / "instructions.bin"
    (tmp_path / "none").mkdir()
    (tmp_path / "default.json").write_text(json.dumps(DEFAULT.to_dict()))
    (tmp_path / "odd.bin").write_bytes(b"\0" * 5)
    (tmp_path / "lone.bin").write_bytes(stream.read_bytes())
    for words, part in (
        ((tmp_path / "absent",), "absent"),
        (("",), "FILE is empty"),
        (("a\0b",), "null byte"),
        (("/dev/zero",), "device"),
        ((tmp_path / "none",), "no instructions.bin"),
        ((tmp_path / "lone.bin",), "--micro-ops"),
        ((stream, "--micro-ops", tmp_path / "odd.bin"), "no whole number of micro-ops"),
        ((stream, "--micro-ops", "/dev/zero"), "device"),
        ((stream, "--micro-ops", tmp_path / "absent"), "absent"),
        ((tmp_path / "b", "--micro-ops", raw / "uop.bin"), "leave the others out"),
        ((tmp_path / "b", "--hardware", tmp_path / "default.json"), "its own machine"),
        ((stream, "--hardware", tmp_path / "absent"), "absent"),
        ((stream, "--output", tmp_path), "folder"),
        ((stream, "--html", tmp_path / "a" / "b"), "no folder"),
        ((stream, "--list", "--format", "csv"), "--list"),
        ((stream, "--held", "999"), "--held"),
        ((stream, "--timing", "bus_bytes=3"), "bus_bytes"),
    ):
        code, out, err = invoke(*words)
        assert (code, out, err.count("\n")) == (2, "", 1), (words, err)
        assert part in err, err
    for line in ("INP", "INP,zz", "INP,-1", f"INP,{'f' * 99}"):
        (raw / "memory_addresses.csv").write_text(line)
        with pytest.raises(AuditError, match=r"memory_addresses\.csv:1"):
            load(raw)
    (tmp_path / "b" / "instructions.bin").write_bytes(b"")
    with pytest.raises(BundleError):
        load(tmp_path / "b")


def test_noise_is_audited_or_refused_and_nothing_else(tmp_path):
    noise = np.random.default_rng(0)
    ended = Counter()
    for size in (1, 2, 7, 40, 200):
        for _ in range(6):
            data = noise.integers(0, 256, size * 16, dtype=np.uint8)
            data[::16] &= 0xFC if size > 7 else 0xFF  # opcodes that exist, more often
            (tmp_path / "instructions.bin").write_bytes(data.tobytes())
            (tmp_path / "uop.bin").write_bytes(noise.bytes(64))
            code, out, err = invoke(tmp_path, "--format", "json")
            ended[code] += 1
            if code == 2:
                assert err.startswith("error: ")
            else:
                assert code == 3
                assert json.loads(out)["findings"]
    assert ended[3] >= 3


def test_what_would_take_hours_is_refused(tmp_path):
    line = Line()
    line.rows[4].update(iter_out=16383, iter_in=16383, uop_end=2)
    line.rows[5].update(iter_out=16383, iter_in=16383, uop_end=8192)
    with pytest.raises(AuditError, match="accesses, at most"):
        audit(line.target())
    line = Line()
    line.rows[2].update(x_stride=65535, y_size=65535)
    with pytest.raises(AuditError, match="bytes of DRAM, at most"):
        audit(line.target())
