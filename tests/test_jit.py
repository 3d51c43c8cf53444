"""Compiled functions: kept where something can be written, made again when damaged."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vtacsp.free.walk
import vtacsp.functional.interpreter
import vtacsp.timing.engine
from tests.support.imports import modules, tree
from vtacsp.jit import _what

PACKAGE = Path(vtacsp.__file__).parent

LONG = 70
"""Lines of a compiled function from which on its steps are numbered."""

# a small function compiled the way that all are: the simulators would take 20 s each time
TIMES_SEVEN = "from vtacsp.jit import jit\n\n\n@jit\ndef times_seven(x):\n    return 7 * x\n"
CALL = "from vtacsp.program.small import times_seven; print(times_seven(6))"


class Installation:
    """A copy of the package, and processes that use it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / "tmp"
        self.temporary.mkdir()
        shutil.copytree(
            PACKAGE, root / "vtacsp", ignore=shutil.ignore_patterns("__pycache__", "data")
        )
        (root / "vtacsp/program/small.py").write_text(TIMES_SEVEN)
        self.set_up = ""

    @property
    def kept(self) -> list[Path]:
        return sorted(self.root.rglob("small.times_seven*.nb[ic]"))

    def run(self, code: str = CALL, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", self.set_up + code],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root / "home"),
                "TMPDIR": str(self.temporary),
                "PYTHONPATH": str(self.root),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            cwd=self.root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done

    def protect(self) -> None:
        """Package and home cannot be written (to root, permissions mean nothing: files do)."""
        for source in (self.root / "vtacsp").rglob("*.py"):
            cache = source.parent / "__pycache__"
            shutil.rmtree(cache, ignore_errors=True)
            cache.unlink(missing_ok=True)
            cache.write_text("in the way")
        (self.root / "home").write_text("in the way")


@pytest.fixture
def installation(tmp_path):
    return Installation(tmp_path)


@pytest.fixture(scope="module")
def used_installation(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("used"))
    installation.run()
    return installation


def test_says_once_that_it_compiles(installation):
    first, second = installation.run(), installation.run()
    assert first.stdout == second.stdout == "42\n"
    assert first.stderr.count("\n") == 1
    assert first.stderr.startswith("vtacsp: compiling the simulator")
    assert second.stderr == ""
    assert [path.parent.parent.name for path in installation.kept] == ["program", "program"]


def test_what_is_said_names_what_is_compiled():
    functions = (vtacsp.free.walk, vtacsp.functional.interpreter, vtacsp.timing.engine)
    said = [
        {_what(value.py_func) for value in vars(module).values() if hasattr(value, "py_func")}
        for module in functions
    ]
    assert [len(words) for words in said] == [1, 1, 1]
    assert "beyond the template, which takes 20 to 40 seconds" in said[0].pop()
    assert "functional simulator" in said[1].pop()
    assert said[2].pop().startswith("the simulator, ")


def test_nothing_is_left_to_compile_in_the_workers_of_a_search():
    code = """
import sys
from vtacsp import VTAConfig, find_workloads
from vtacsp.free.search import compile_search, search
def compiled():
    functions = [f for n, m in sys.modules.items() if n.startswith("vtacsp.")
                 for f in vars(m).values() if hasattr(f, "nopython_signatures")]
    return sum(len(f.nopython_signatures) for f in {id(f): f for f in functions}.values())
before = compiled()
compile_search()
first = compiled()
for name in ("resnet18.C8", "dcgan.CT1", "mobilenet.D2"):
    search(*find_workloads(name), VTAConfig(), simulations=40)
print(before, first > 5, compiled() - first)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "0 True 0\n", done.stderr


@pytest.mark.parametrize("setting", ["file", "file/below"])
def test_cache_folder_that_cannot_be_made(installation, setting):
    (installation.root / "file").write_text("")
    done = installation.run(NUMBA_CACHE_DIR=str(installation.root / setting))
    assert done.stdout == "42\n"
    assert len(installation.kept) == 2


def test_package_and_home_that_cannot_be_written(installation):
    installation.protect()
    first, second = installation.run(), installation.run()
    assert first.stdout == second.stdout == "42\n"
    assert first.stderr.count("\n") == 1
    assert str(installation.temporary) in first.stderr
    assert second.stderr == ""
    assert len(installation.kept) == 2
    assert all(installation.temporary in path.parents for path in installation.kept)


def test_folder_that_is_kept_in_is_said_once_for_all_modules(installation):
    installation.protect()
    (installation.root / "vtacsp/timing/small.py").write_text(TIMES_SEVEN)
    other = "; from vtacsp.timing import small; small.times_seven(6)"
    done = installation.run(CALL + other)
    assert len(installation.kept) == 4
    assert done.stderr.count("\n") == 1


def test_folder_of_somebody_else_is_not_used(installation):
    installation.protect()
    (installation.temporary / f"vtacsp-{os.getuid()}").mkdir(mode=0o777)
    (installation.temporary / f"vtacsp-{os.getuid()}").chmod(0o777)
    done = installation.run()
    assert done.stdout == "42\n"
    assert "in each process" in done.stderr
    assert installation.kept == []


def test_nothing_can_be_written(installation):
    installation.protect()
    installation.set_up = "import tempfile; tempfile.tempdir = '/dev/null/x'; "
    for done in (installation.run(), installation.run()):
        assert done.stdout == "42\n"
        assert done.stderr.count("\n") == 1
        assert "NUMBA_CACHE_DIR" in done.stderr


def test_read_only_mount(installation):
    """What a container has; needs the right to mount."""
    code = f"""
import ctypes, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
folder = {str(installation.root)!r}.encode()
def mount(*arguments):
    if libc.mount(*arguments):
        print("SKIP", os.strerror(ctypes.get_errno())); raise SystemExit
if not hasattr(os, "unshare") and libc.unshare(0x00020000):
    print("SKIP", os.strerror(ctypes.get_errno())); raise SystemExit
if hasattr(os, "unshare"):
    try:
        os.unshare(os.CLONE_NEWNS)
    except OSError as error:
        print("SKIP", error); raise SystemExit
mount(None, b"/", None, 0x44000, None)          # MS_REC | MS_PRIVATE
mount(folder, folder, None, 0x1000, None)       # MS_BIND
mount(None, folder, None, 0x1021, None)         # MS_REMOUNT | MS_BIND | MS_RDONLY
os.environ["TMPDIR"] = "/dev/shm"
from vtacsp.program.small import times_seven
print(times_seven(6))
"""
    done = installation.run(code)
    if done.stdout.startswith("SKIP"):
        pytest.skip(done.stdout.strip())
    assert done.stdout == "42\n"
    assert "package and home cannot be written" in done.stderr
    assert installation.kept == []


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="half"),
        pytest.param(lambda data: b"no pickle at all", id="text"),
        pytest.param(lambda data: bytes(b ^ 0xA5 for b in data), id="inverted"),
    ],
)
def test_damaged_cache_is_made_again(used_installation, ending, damage):
    installation = used_installation
    (path,) = (path for path in installation.kept if path.suffix == f".{ending}")
    path.write_bytes(damage(path.read_bytes()))
    again, third = installation.run(), installation.run()
    assert again.stdout == third.stdout == "42\n"
    assert "compiling" in again.stderr
    assert third.stderr == ""


def test_one_wrong_bit_of_machine_code_is_not_run(used_installation):
    installation = used_installation
    (path,) = (path for path in installation.kept if path.suffix == ".nbc")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    again = installation.run()
    assert again.stdout == "42\n"
    assert "compiling" in again.stderr


def test_compiled_again_when_a_constant_of_another_file_changes(installation):
    folder = installation.root / "vtacsp/program"
    (folder / "small.py").write_text(TIMES_SEVEN.replace("7", "FACTOR").replace(
        "from vtacsp.jit", "from vtacsp.program.factor import FACTOR\nfrom vtacsp.jit"
    ))  # fmt: skip
    (folder / "factor.py").write_text("FACTOR = 7\n")
    assert installation.run().stdout == "42\n"
    (folder / "factor.py").write_text("FACTOR = 8\n")
    assert installation.run().stdout == "48\n"


def test_full_disk(installation):
    installation.set_up = (
        "import errno, numba.core.caching as c\n"
        "def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "c.IndexDataCacheFile._save_data = full\n"
    )
    done = installation.run()
    assert done.stdout == "42\n"
    assert "No space left on device" in done.stderr


def test_every_compiled_function_is_compiled_here():
    users = [path for path in PACKAGE.rglob("*.py") if "import numba" in path.read_text()
             or "from numba" in path.read_text()]  # fmt: skip
    assert [path.relative_to(PACKAGE).as_posix() for path in users] == ["jit.py"]


def test_workers_find_what_is_compiled_already():
    code = (
        "import sys\n"
        "from concurrent.futures import Future, Executor\n"
        "from vtacsp import Simulator, find_workloads\n"
        "from vtacsp.timing import engine\n"
        "class Seen(Executor):\n"
        "    def map(self, function, *items):\n"
        "        print(len(engine._schedule.signatures))\n"
        "        return map(function, *items)\n"
        "s = Simulator(find_workloads('resnet18.C11')[0])\n"
        "s.cycles_many([int(s.space.indices[0])], Seen())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def long_functions():
    """Compiled functions that are long, with the numbers of their steps in comments."""
    for module, path in modules().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(module)):
            marks = getattr(node, "decorator_list", ())
            if any(ast.unparse(mark) == "jit" for mark in marks):
                own = lines[node.lineno : node.end_lineno]
                if len(own) > LONG:
                    yield node.name, re.findall(r"^ *# (\d)\. \w", "\n".join(own), re.M)


def test_long_compiled_functions_have_numbered_steps():
    found = dict(long_functions())
    assert {"_issue", "_schedule", "walk", "demand", "follow"} <= found.keys()
    for name, steps in found.items():
        assert len(steps) > 1, name
        assert steps == [str(number) for number in range(1, len(steps) + 1)], name
