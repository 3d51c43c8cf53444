"""Malformed input is answered by one line and exit code 2, and nothing is written.

The cases are those of :mod:`tests.support.corpus`, run in this process; a sample runs in processes
of its own, where nothing catches what the command line does not.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.corpus import BASES, Case, corpus, prepare
from vtacsp.cli import main

CORPUS = corpus()
LEAST = 500
LONGEST = 500  # characters of a message
SAMPLE = CORPUS[:: len(CORPUS) // 16]


@pytest.fixture(autouse=True)
def _bounded_memory():
    """A device that is read without end shall fail a test, not the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + (4 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_the_corpus_is_large_and_holds_nothing_twice():
    distinct = {(c.arguments, tuple(sorted(c.files.items())), c.make) for c in CORPUS}
    assert len(distinct) == len(CORPUS) >= LEAST
    assert len({case.name for case in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_malformed_input_is_refused(case, tmp_path, monkeypatch):
    prepare(tmp_path, case)
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    result = CliRunner().invoke(main, case.arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert complaints(case, result.exit_code, result.stdout, result.stderr) == []
    assert contents(tmp_path) == before


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_malformed_input_is_refused_by_a_real_process(case, tmp_path):
    if any("\0" in word for word in case.arguments):
        pytest.skip("no argument of a process has a NUL")
    prepare(tmp_path, case)
    before = contents(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "from vtacsp.cli import main; main()", *case.arguments],
        cwd=tmp_path, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert complaints(case, done.returncode, done.stdout.decode(), done.stderr.decode()) == []
    assert contents(tmp_path) == before


_WITHOUT = ("study", "log", "calibrate")  # take no layer, or more than one record


@pytest.mark.parametrize("command", [name for name in BASES if name not in _WITHOUT])
def test_what_the_corpus_makes_malformed_is_fine_before(command, tmp_path, monkeypatch):
    case = Case("valid", (command, *BASES[command]), ("a word that is not there",))
    prepare(tmp_path, case)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, case.arguments)
    assert result.exit_code == 0, result.output
    assert complaints(case, result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("code", "out", "err"),
    [
        (0, "", "error: bad.json: height is 0\n"),
        (2, "a row\n", "error: bad.json: height is 0\n"),
        (2, "", ""),
        (2, "", "usage\nerror: bad.json: height is 0\n"),
        (2, "", "error: bad.json: width is 0\n"),
        (2, "", "error: bad.json: height is \x1b[31m\n"),
        (2, "", "error: bad.json: height is " + "0" * LONGEST),
        (2, "", "Traceback: bad.json: height\n"),
    ],
)
def test_the_test_would_tell(code, out, err):
    case = Case("", (), ("bad.json", "height"))
    assert complaints(case, code, out, err)
    assert not complaints(case, 2, "", "error: bad.json: height is 0, allowed are 1 to 9\n")


def complaints(case: Case, code: int, out: str, err: str) -> list[str]:
    """What is wrong with an answer."""
    found = [] if code == 2 else [f"exit code {code}"]
    found += [f"prints {out[:200]!r}"] if out else []
    lines = err.splitlines()
    if len(lines) != 1:
        return [*found, f"{len(lines)} lines: {err[-500:]!r}"]
    found += [] if lines[0].startswith("error: ") else [f"no error: {err[:200]!r}"]
    found += [] if len(lines[0]) <= LONGEST else [f"{len(lines[0])} characters: {err[:200]!r}"]
    found += [] if lines[0].isprintable() else [f"control characters: {err!r}"]
    missing = [word for word in case.words if word not in lines[0]]
    return found + ([f"{missing} is not in {lines[0]!r}"] if missing else [])


def contents(folder: Path) -> dict[str, str]:
    """Every entry below a folder, and what it holds."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            link = path.readlink() if path.is_symlink() else ""
            held = ""
            if not link and path.is_file() and path.stat().st_size < 1 << 20:
                held = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = f"{link} {path.lstat().st_size} {held}"
    return found
