"""The list of names is that of the golden files; nothing reads them when tests are collected."""

from __future__ import annotations

import ast
import json

import pytest

from tests.support import DATA, ROOT
from tests.support.golden import case_name, free_schedules, golden, machine_name, names
from tests.support.truth import epilogues, truth

TESTS = ROOT / "tests"


def found() -> dict[str, list[str]]:
    """What the files hold, in the order in which tests go through it."""
    return {
        "truth": sorted(truth()),
        "epilogue": sorted(epilogues()),
        "programs": [f"{p['workload']}.{p['index']}" for p in golden("programs")],
        "cycles": [case_name(case) for case in golden("cycles")["cases"]],
        "free": [*free_schedules()],
        "machines": [*map(machine_name, golden("machines")["machines"])],
        "rtl_programs": [*map(machine_name, golden("rtl_programs")["machines"])],
        "refused": [*map(machine_name, golden("machines")["refused"])],
    }


def test_names_are_those_of_the_files(request: pytest.FixtureRequest) -> None:
    path = DATA / "names.json"
    if request.config.getoption("--update-golden"):
        path.write_text(json.dumps(found(), indent=1) + "\n", encoding="utf-8")
    assert {data: names(data) for data in found()} == found()


READERS = {
    "truth",
    "epilogues",
    "measured",
    "golden",
    "cycle_case",
    "free_schedules",
    "machine_part",
}


def test_no_golden_file_is_read_when_tests_are_collected() -> None:
    """Every worker collects all tests: what that reads, it reads as often as there are workers."""
    early = []
    for path in TESTS.rglob("test_*.py"):
        early += [(path.name, c) for c in at_import(ast.parse(path.read_text(encoding="utf-8")))]
    assert not [(name, call) for name, call in early if call in READERS]
    assert ("test_truth.py", "names") in early  # calls in decorators are seen


def at_import(node: ast.AST) -> list[str]:
    """Functions that are called when a module is imported."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        inner = [*getattr(node, "decorator_list", []), *node.args.defaults]
    else:
        inner = [*ast.iter_child_nodes(node)]
    called = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        called = [node.func.id]
    return called + [name for part in inner for name in at_import(part)]


def test_no_test_imports_from_another_one() -> None:
    """What two test modules share is in ``tests/support``, fixtures in a ``conftest.py``."""
    wrong = []
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                target = [node.module or "", *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Import):
                target = [alias.name for alias in node.names]
            else:
                continue
            last = [part for name in target for part in name.split(".")]
            wrong += [(path.name, t) for t in last if t.startswith("test_") or t == "conftest"]
    assert not wrong
