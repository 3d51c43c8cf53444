"""Every public name has an example in its docstring, and every example is run."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.support import ROOT
from tests.support.api import PACKAGES, PLUGINS, is_data, pages, where
from tests.support.examples import docstrings, run_examples
from tests.support.imports import modules
from vtacsp import VtacspError

WITH_EXAMPLES = [
    name
    for name, path in modules().items()
    if ">>> " in path.read_text(encoding="utf-8") and not name.startswith(PLUGINS)
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_are_true(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_examples(module) > 0, f"{module} has examples where nothing runs them"


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


def test_the_navigation_has_every_page():
    listed = re.findall(r"- (\S+\.md)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert sorted(listed) == sorted(there)


def test_the_first_page_leads_to_every_page():
    linked = re.findall(r"\]\((\S+\.md)\)", (ROOT / "docs/index.md").read_text(encoding="utf-8"))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert {*linked, "index.md"} == there
