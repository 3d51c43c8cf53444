"""What turns pages and docstrings into the site, and the page of the slowest tests."""

from __future__ import annotations

import importlib.util

import pytest

from tests.support import ROOT
from tests.support.durations import page


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_out_of_the_documentation_become_text():
    hook = load("hooks").on_page_markdown
    assert hook("see [it](../examples/x.py), [this](timing.md)") == "see it, [this](timing.md)"


def test_examples_are_fenced_and_roles_are_code():
    pytest.importorskip("griffe")
    text = "As :func:`~vtacsp.tune.tune`.\n\n>>> f()\n1\n\nMore.\n\n>>> g()"
    fenced = "As `tune`.\n\n```pycon\n>>> f()\n1\n```\n\nMore.\n\n```pycon\n>>> g()\n```"
    assert load("docstrings").markdown(text) == fenced


def test_the_page_of_the_slowest_tests():
    lines = ["....", "3.10s call     tests/a.py::b[1]", "12.00s setup    tests/a.py::c",
             "===== 4 passed, 1 skipped in 20.00s ====="]  # fmt: skip
    text = page(lines)
    assert "4 passed, 1 skipped in 20.00s." in text
    first, second = (line for line in text.splitlines() if "`tests/" in line)
    assert first == "| 12.0 | `tests/a.py::c` | setup |"
    assert second.startswith("| 3.1 |")
    with pytest.raises(ValueError, match="--durations"):
        page(["nothing"])
