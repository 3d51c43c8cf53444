"""Bundles: written, read strictly, and run on a driver by both runners."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

import vtacsp.bundle
from tests.support import DATA, ROOT
from tests.support.layers import random_layer
from vtacsp import Conv2DTranspose, Dense, GroupConv2D, VTAConfig, workload_from_dict
from vtacsp.bundle import Bundle, pack
from vtacsp.bundle.driver import Driver
from vtacsp.bundle.run import drive, run
from vtacsp.cli import main
from vtacsp.errors import BundleError, DriverError, ProgramError
from vtacsp.free import FreeSpace, emit, geometry
from vtacsp.free.moves import sample
from vtacsp.machine.instructions import log_depths
from vtacsp.operators.builder import build
from vtacsp.timing import Simulator

RUNNER = Path(vtacsp.bundle.__file__).parent / "runner.c"
SOURCE = Path(__file__).parents[1] / "support" / "driver.c"
MACHINE = VTAConfig()
LAYER = {"op": "conv2d", "name": "tiny", "batch": 1, "in_channels": 32, "height": 6, "width": 6,
         "out_channels": 32, "kernel": [3, 3], "padding": [1, 1], "bias": True}  # fmt: skip
SMALL = MACHINE.replace(LOG_BATCH=1, LOG_BLOCK=3, LOG_ACC_BUFF_SIZE=13, LOG_INP_BUFF_SIZE=12)

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def compile_driver(folder: Path, machine: VTAConfig = MACHINE, fails: int = 0, *more: str) -> Path:
    """The driver of ``driver.c`` for a machine."""
    library = folder / f"libdriver{machine.block}{fails}{''.join(more)}.so"
    logs = {f"LOG_{name.upper()}": log for name, log in log_depths(machine).items()}
    values = {**logs, "BATCH": machine.batch, "BLOCK": machine.block, "FAILS": fails}
    flags = [f"-D{name}={value}" for name, value in values.items()]
    cc = ["cc", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*cc, *flags, *more, "-o", library, SOURCE], check=True)
    return library


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return compile_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def packed():
    simulator = Simulator(workload_from_dict(LAYER), MACHINE)
    index = int(simulator.space.indices[-1])
    return pack(simulator.program(index), {"kind": "template", "index": index}, seed=3)


@pytest.fixture
def folder(packed, tmp_path):
    packed.save(tmp_path / "b")
    return tmp_path / "b"


def invoke(*words):
    result = CliRunner().invoke(main, [str(word) for word in words], prog_name="vtacsp")
    return result.exit_code, result.stdout, result.stderr


# ---------------------------------------------------------------- the folder


def test_a_bundle_is_read_as_it_was_written(packed, folder):
    again = Bundle.load(folder)
    assert again == packed
    assert again.manifest.to_dict() == json.loads((folder / "manifest.json").read_text())
    files = {path.name for path in folder.iterdir()}
    binary = {f"{name}.bin" for name in ("instructions", "uop", "inp", "wgt", "acc", "expected")}
    assert files == {"manifest.json", "buffers.txt", "runner.c", *binary}


def test_a_folder_that_holds_something_is_left_alone(packed, folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BundleError, match="not empty"):
        packed.save(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(BundleError, match="there is no folder"):
        packed.save(folder / "a" / "b")
    with pytest.raises(BundleError, match="no folder"):
        packed.save(folder / "uop.bin")
    assert [path.name for path in folder.parent.iterdir()] == ["b"]


def changed(data, path, value):
    """The data with another value at a path of keys; ``KeyError``: without it."""
    copy = json.loads(json.dumps(data))
    *parents, last = path
    place = copy
    for key in parents:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return copy


WRONG = [
    (("format",), "zip"), (("version",), 2), (("version",), True), (("seed",), -1),
    (("seed",), 1.0), (("cycles",), 0), (("cycles",), "9"), (("limit",), 0), (("timing",), "a\nb"),
    (("model",), "sim_1x16"), (("extra",), 1), (("hardware",), []), (("layer",), None),
    (("source",), {}), (("source",), {"kind": "other"}), (("launches",), []),
    (("launches", 0, "first"), 1), (("launches", 0, "count"), 1), (("launches", 0, "count"), "1"),
    (("launches", 0, "more"), 1), (("buffers", "uop", "file"), "../uop.bin"),
    (("buffers", "uop", "file"), "/etc/passwd"), (("buffers", "uop", "file"), ".."),
    (("buffers", "uop", "file"), "inp.bin"), (("buffers", "uop", "file"), "a/b.bin"),
    (("buffers", "uop", "bytes"), 3), (("buffers", "uop", "bytes"), 10**12),
    (("buffers", "uop", "sha256"), "0"), (("buffers", "uop", "address"), 0),
    (("buffers", "uop", "address"), 4097), (("buffers", "inp", "address"), 4096),
    (("buffers", "wgt", "element_bytes"), 16), (("buffers", "lut"), {}),
    (("instructions", "bytes"), 17), (("instructions", "file"), "..bin"), (("made_by",), []),
    (("made_by",), {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), WRONG, ids=lambda value: str(value)[:40])
def test_a_manifest_that_says_something_else_is_refused(folder, path, value):
    data = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(changed(data, path, value)))
    with pytest.raises(BundleError, match=r"manifest\.json") as error:
        Bundle.load(folder)
    assert len(str(error.value).splitlines()) == 1
    assert str(path[-1]) in str(error.value) or str(path[-2]) in str(error.value)


def test_every_key_of_the_manifest_is_needed(folder):
    data = json.loads((folder / "manifest.json").read_text())
    nested = [(name, key) for name in ("instructions",) for key in data[name]]
    nested += [("buffers", b, key) for b in data["buffers"] for key in data["buffers"][b]]
    nested += [("buffers", b) for b in data["buffers"] if b != "acc"]
    for path in [(key,) for key in data if key != "cut_short"] + nested:
        (folder / "manifest.json").write_text(json.dumps(changed(data, path, KeyError)))
        with pytest.raises(BundleError, match=path[-1]):
            Bundle.load(folder)


@pytest.mark.parametrize("name", ["instructions.bin", "uop.bin", "expected.bin"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d[:-1], "bytes, the manifest says"),
        (lambda d: d + b"\0", "has more bytes"),
        (lambda d: b"", "has 0 bytes"),
        (lambda d: d[:-1] + bytes([d[-1] ^ 1]), "SHA-256 differs"),
    ],
)
def test_a_file_that_was_changed_is_refused(folder, name, change, words):
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    code, out, err = invoke("run", folder, "--library", "none.so")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert name in err
    assert words in err


def test_a_file_that_is_not_there_or_never_ends_is_refused(folder):
    (folder / "uop.bin").unlink()
    with pytest.raises(BundleError, match=r"uop\.bin: No such file"):
        Bundle.load(folder)
    (folder / "uop.bin").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="it is a device"):
        Bundle.load(folder)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.load(folder / "absent")


# ---------------------------------------------------------------- runs


@needs_cc
def test_both_runners_say_right_and_wrong(folder, driver, tmp_path):
    runner = tmp_path / "runner"
    cc = ["cc", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", runner]
    subprocess.run([*cc, folder / "runner.c", driver, f"-Wl,-rpath,{driver.parent}"], check=True)
    done = subprocess.run([runner, folder], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "right: all 1152 bytes" in done.stdout
    code, out, err = invoke("run", folder, "--library", driver, "--format", "json")
    (row,) = json.loads(out)
    assert (code, row["result"], row["wrong"], row["bytes"]) == (0, "right", 0, 1152)
    assert row["simulated_cycles"] > row["limit"] if row["limit"] else row["simulated_cycles"] > 0
    assert "not checked" in err

    other = tmp_path / "other"
    bundle = Bundle.load(folder)
    content = dict(bundle.content)
    content["out"] = bytes([content["out"][0] ^ 1]) + content["out"][1:]

    out = replace(bundle.manifest.buffers["out"], sha256=sha256(content["out"]).hexdigest())
    manifest = replace(bundle.manifest, buffers={**bundle.manifest.buffers, "out": out})
    Bundle(manifest, content).save(other)
    done = subprocess.run([runner, other], capture_output=True, text=True)
    assert done.returncode == 3
    assert "wrong: 1 of 1152 bytes differ, the first is byte 0" in done.stdout
    code, _, err = invoke("run", other, "--library", driver)
    assert code == 3
    assert "wrong: 1 of 1,152 bytes differ, the first is byte 0" in err

    (folder / "uop.bin").write_bytes(b"\1" + (folder / "uop.bin").read_bytes()[1:])
    done = subprocess.run([runner, folder], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: uop.bin: is not the file that was written\n"


@needs_cc
def test_every_operator_template_and_free_runs_right(driver, tmp_path):
    """Also several launches, and operands that begin at several pages."""
    layers = [
        workload_from_dict({**LAYER, "bias": False, "epilogue": [
            {"op": "add", "operand": "channel"}, {"op": "add", "operand": "tensor"},
            {"op": "shift_right", "by": 9}, {"op": "clip", "min": -127, "max": 127},
            {"op": "cast", "dtype": "int8"}]}),
        GroupConv2D(name="g", in_channels=32, height=5, width=5, out_channels=32, kernel=(3, 3),
                    groups=2),
        Conv2DTranspose(name="t", in_channels=16, height=3, width=3, out_channels=16,
                        kernel=(4, 4), stride=(2, 2), padding=(1, 1), bias=True),
        Dense(name="d", in_features=64, out_features=32, bias=True),
    ]  # fmt: skip
    runs = 0
    device = Driver(driver)
    for layer in layers:
        space = Simulator(layer, MACHINE).space
        for most in (1 << 22, 512):
            program = build(layer, MACHINE, int(space.indices[-1]), max_transfer=most)
            bundle = pack(program, {"kind": "template"}, seed=1)
            assert drive(bundle, device).wrong == 0
            runs += len(bundle.manifest.launches)
    rng = Random(5)
    for operator in ("conv2d", "group", "depthwise", "transposed", "dense"):
        layer = random_layer(operator, rng)
        program = None
        while program is None:
            with suppress(ProgramError):  # not every schedule can run
                program = emit(sample(geometry(layer, MACHINE), rng), layer, MACHINE)
        bundle = pack(program, {"kind": "free"})
        assert drive(bundle, device).wrong == 0
    assert runs > 8


@needs_cc
def test_what_the_alu_runs_by_itself_needs_no_data_and_no_weights(driver, tmp_path):
    """All of it is loaded into the accumulators: a bundle has no inp.bin and no wgt.bin."""
    size = {"batch": 1, "channels": 32, "height": 4, "width": 4}
    pool = {"op": "max_pool", "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1]}
    runner = tmp_path / "runner"
    cc = ["cc", "-O1", RUNNER, driver, f"-Wl,-rpath,{driver.parent}"]
    subprocess.run([*cc, "-o", runner], check=True)
    for layer in ({"op": "add"}, pool, {**pool, "op": "avg_pool", "kernel": [2, 2]}):
        workload = workload_from_dict({**size, **layer, "name": layer["op"]})
        index = int(Simulator(workload, MACHINE).space.indices[-1])
        folder = tmp_path / layer["op"]
        pack(build(workload, MACHINE, index), {"kind": "template"}, seed=2).save(folder)
        assert not {"inp.bin", "wgt.bin"} & {path.name for path in folder.iterdir()}
        assert drive(Bundle.load(folder), Driver(driver)).wrong == 0
        done = subprocess.run([runner, folder], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((folder / "manifest.json").read_text())
    more = {**manifest["buffers"], "inp": manifest["buffers"]["uop"]}
    less = {name: buffer for name, buffer in manifest["buffers"].items() if name != "acc"}
    for buffers, words in (
        (more, "buffers has inp, which a layer without weights does not load"),
        (less, "acc is missing from buffers"),
    ):
        (folder / "manifest.json").write_text(json.dumps({**manifest, "buffers": buffers}))
        with pytest.raises(BundleError, match=words):
            Bundle.load(folder)


@needs_cc
def test_another_machine_a_missing_function_and_a_device_that_fails(folder, driver, tmp_path):
    beside = tmp_path / "lib"
    beside.mkdir()
    library = shutil.copy(driver, beside)
    (beside / "vta_config.json").write_text(json.dumps(MACHINE.to_dict()))
    code, _, err = invoke("run", folder, "--library", library)
    assert (code, err) == (0, "")
    (beside / "vta_config.json").write_text(json.dumps(SMALL.to_dict()))
    code, out, err = invoke("run", folder, "--library", library)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "LOG_BATCH is 1, the bundle is for a machine with 0" in err

    fails = compile_driver(tmp_path, fails=1)
    code, _, err = invoke("run", folder, "--library", fails)
    assert (code, "the device did not finish" in err) == (2, True)
    nothing = tmp_path / "nothing.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", nothing, "-"], input=b"int x;",
                   check=True)  # fmt: skip
    with pytest.raises(DriverError, match="has no function VTADeviceAlloc of VTA's driver"):
        run(folder, nothing)
    crash = tmp_path / "crash.so"
    text = SOURCE.read_text().replace("  if (FAILS || wait == 0) return 1;", "  abort();")
    flags = [f"-DLOG_{n.upper()}={v}" for n, v in log_depths(MACHINE).items()]
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", *flags, "-DBATCH=1", "-DBLOCK=16",
                    "-o", crash, "-"], input=text.encode(), check=True)  # fmt: skip
    with pytest.raises(DriverError, match="ended the process"):
        run(folder, crash)
    with pytest.raises(DriverError, match="no library here has vta\\.tsim\\.init"):
        run(folder, driver, tsim="libvta_hw.so")
    with pytest.raises(DriverError, match="cannot load"):
        run(folder, "absent.so")
    with pytest.raises(DriverError, match="cannot load"):
        run(folder, folder / "uop.bin")


@needs_cc
def test_cycles_are_those_that_a_profiler_counts(folder, tmp_path, monkeypatch):
    """The stand-in asks for what libvta_tsim asks for, and aborts when the process ends."""
    tsim = compile_driver(tmp_path, MACHINE, 0, "-DTSIM")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "libvta_hw.so").touch()
    found = run(folder, tsim, tsim="libvta_hw.so")
    assert (found.wrong, found.cycles, found.counters) == (0, 4711, {"cycle_count": 4711})
    code, out, _ = invoke("run", folder, "--library", tsim, "--tsim", "libvta_hw.so",
                          "--format", "csv")  # fmt: skip
    assert code == 0
    assert ",4711," in out
    with pytest.raises(DriverError, match=r"needs the hardware that it simulates"):
        run(folder, tsim)
    with pytest.raises(DriverError, match=r"cannot load other\.so as .*: no such library$"):
        run(folder, tsim, tsim="other.so")

    runner = tmp_path / "runner"
    cc = ["cc", "-O1", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DTVM", "-o", runner]
    subprocess.run([*cc, RUNNER, tsim, f"-Wl,-rpath,{tmp_path}"], check=True)
    done = subprocess.run([runner, folder, "libvta_hw.so"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "cycles 4711, that the device counted" in done.stdout
    for words, said in (
        ([folder], "libvta_hw.so: libvta_tsim simulates it, name it"),
        ([folder, "other.so"], "other.so: cannot be loaded as the hardware of libvta_tsim"),
    ):
        done = subprocess.run([runner, *words], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (2, f"error: {said}\n")


@needs_cc
def test_a_board_is_only_copied_to_and_its_cache_is_flushed(folder, tmp_path):
    """Physical addresses are none of the host's, and what was not flushed is not there."""
    board = compile_driver(tmp_path, MACHINE, 0, "-DBOARD")
    runner = tmp_path / "runner"
    cc = ["cc", "-O1", "-o", runner, RUNNER, board, f"-Wl,-rpath,{tmp_path}"]
    subprocess.run(cc, check=True)
    add = workload_from_dict(
        {"op": "add", "name": "add", "batch": 1, "channels": 32, "height": 4, "width": 4}
    )
    space = Simulator(add, MACHINE).space
    pack(build(add, MACHINE, int(space.indices[0])), {"kind": "template"}).save(tmp_path / "add")
    layer = workload_from_dict(LAYER)  # several launches
    program = build(layer, MACHINE, int(Simulator(layer, MACHINE).space.indices[0]),
                    max_transfer=512)  # fmt: skip
    pack(program, {"kind": "template"}).save(tmp_path / "launches")
    assert len(program.segments) > 1
    for path in (folder, tmp_path / "add", tmp_path / "launches"):
        assert run(path, board).wrong == 0
        done = subprocess.run([runner, path], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")

    driver = Driver(board)  # the driver does tell: without a flush the device reads nothing of it
    buffer = driver.allocate(64)
    driver._library.VTAMemCopyFromHost(buffer[0], bytes(64), 64)
    assert driver.download(buffer, 64) != bytes(64)
    driver.upload(buffer, bytes(64))
    assert driver.download(buffer, 64) == bytes(64)


@needs_cc
def test_the_example_runs_its_bundle(driver):
    example = ROOT / "examples" / "layer_to_bundle.py"
    done = subprocess.run([sys.executable, example, driver], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{driver}: 6272 of 6272 bytes right" in done.stdout


@needs_cc
def test_a_machine_with_other_fields_runs(tmp_path):
    layer = workload_from_dict({**LAYER, "batch": 2})
    space = Simulator(layer, SMALL).space
    bundle = pack(build(layer, SMALL, int(space.indices[0])), {"kind": "template"})
    bundle.save(tmp_path / "b")
    assert run(tmp_path / "b", compile_driver(tmp_path, SMALL)).wrong == 0


# ---------------------------------------------------------------- the command


def test_export_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layer.json").write_text(json.dumps(LAYER))
    code, _, err = invoke("export", "layer.json", "--index", 79, "--output", "b", "--seed", 7)
    assert code == 0, err
    bundle = Bundle.load("b")
    assert (bundle.manifest.seed, bundle.manifest.source["index"]) == (7, 79)
    layer, rng = bundle.manifest.layer, Random(0)
    drawn = (sample(geometry(layer, MACHINE), rng) for _ in range(99))
    schedule = next(s for s in drawn if FreeSpace(layer, MACHINE).feasible([s])[0])
    for name, data in (
        ("one.json", schedule.to_dict()),
        ("rows.json", [{"layer": "tiny", "schedule": schedule.to_dict()}]),
    ):
        (tmp_path / name).write_text(json.dumps(data))
        assert invoke("export", "layer.json", name, "--output", name[:-5])[0] == 0
        assert Bundle.load(name[:-5]).manifest.source["schedule"] == schedule.to_dict()
    known = json.loads((DATA / "free_best.json").read_text(encoding="utf-8"))["resnet18.C10"]
    several = [{"layer": f"resnet18.C{n}", "schedule": known["schedule"]} for n in (10, 9)]
    (tmp_path / "alone.json").write_text(json.dumps(several[:1]))
    assert invoke("export", "alone.json", "--output", "alone")[0] == 0  # the file says of what
    alone = Bundle.load("alone").manifest
    assert (alone.layer.name, alone.cycles) == ("resnet18.C10", known["cycles"])
    assert alone.source == {"kind": "free", "schedule": known["schedule"]}
    (tmp_path / "several.json").write_text(json.dumps(several))
    before = sorted(path.name for path in tmp_path.iterdir())
    space = Simulator(bundle.manifest.layer, MACHINE).space
    cannot = next(i for i in range(len(space.knob_space)) if i not in space.indices)
    for words, part in (
        (("layer.json", "--output", "c"), "choose the program"),
        (("one.json", "--output", "c"), "choose the program"),  # nobody says of what
        (("rows.json", "--output", "c"), "'tiny' is no suite"),
        (("several.json", "--output", "c"), "2 layers: say which one"),
        (("layer.json", "--index", 1, "--best", "--output", "c"), "choose the program"),
        (("layer.json", "--index", 1, "--output", "b"), "not empty"),
        (("layer.json", "--index", cannot, "--output", "c"), "vtacsp explain"),
        (("layer.json", "--index", 10**9, "--output", "c"), "index"),
        (("resnet18", "--best", "--output", "c"), "a bundle holds one"),
        (("layer.json", "layer.json", "--output", "c"), "layer.json"),
        (("layer.json", "absent.json", "--output", "c"), "absent.json"),
        (("layer.json", "--index", 79, "--output", "a/b/c"), "there is no folder"),
        (("layer.json", "--index", 79, "--output", ""), "without a name"),
    ):
        code, out, err = invoke("export", *words)
        assert (code, out, err.count("\n")) == (2, "", 1), (words, err)
        assert part in err, err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
