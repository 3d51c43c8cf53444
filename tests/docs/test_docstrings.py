"""Every public name has an example in its docstring, and every example is run."""

from __future__ import annotations

import ast
import doctest
from functools import cache
from importlib import import_module

import numpy as np
import pytest

import vtacsp
from tests.support import ROOT
from tests.support.api import PACKAGES, PLUGINS, is_data, pages, where
from tests.support.imports import modules, tree
from vtacsp import VtacspError

WITH_EXAMPLES = [
    name
    for name, path in modules().items()
    if ">>> " in path.read_text(encoding="utf-8") and not name.startswith(PLUGINS)
]


@cache
def public() -> dict[str, object]:
    """What the examples may use without saying where it comes from."""
    names = {n: getattr(import_module(p), n) for p in PACKAGES for n in import_module(p).__all__}
    return {**names, "vtacsp": vtacsp, "np": np}


def docstrings(module: str) -> dict[str, tuple[str, int]]:
    """Docstrings of what a module defines, data too: name -> text, line."""
    found = {}
    body = tree(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = (ast.get_docstring(node) or "", node.lineno)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(target, ast.Name):
                found[target.id] = (str(text.value), node.lineno)
    return found


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_are_true(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = 0
    for name, (text, line) in docstrings(module).items():
        path = str(modules()[module])
        test = doctest.DocTestParser().get_doctest(text, dict(public()), name, path, line)
        if test.examples:
            told: list[str] = []
            result = doctest.DocTestRunner().run(test, out=told.append)
            assert not result.failed, "".join(told)
            run += result.attempted
    assert run > 0, f"{module} has examples where nothing runs them"


def test_every_public_name_has_an_example():
    """An error has that of the root: they all are caught and read alike."""
    without = []
    for package in PACKAGES:
        for name in import_module(package).__all__:
            value = getattr(import_module(package), name)
            if isinstance(value, type) and issubclass(value, VtacspError):
                value = VtacspError
            if is_data(value):
                text, _ = docstrings(where(name, package)).get(name, ("", 0))
            else:
                text = value.__doc__  # an old name of something has its docstring
            if ">>> " not in (text or ""):
                without.append(f"{package}.{name}")
    assert not without


def test_the_reference_has_every_public_name():
    folder = ROOT / "docs" / "api"
    current = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert current == pages(), "run `python -m tests.support.api docs/api`"
