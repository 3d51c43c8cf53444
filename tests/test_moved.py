"""Old names work, say where to go, and are the modules, classes and functions themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module

import pytest

from tests.support.api import defined
from tests.support.imports import modules
from vtacsp.moved import MOVED, RENAMED

PACKAGES = {"vtacsp.simulate": "vtacsp.timing"}
PLUGINS = ("vtacsp.autotvm.", "vtacsp.metaschedule.")
"""Packages that need a TVM when they are imported."""


def test_every_new_name_is_there_and_no_old_one():
    assert set(MOVED.values()) <= {*modules(), "vtacsp.moved"}
    assert not MOVED.keys() & modules().keys()


@pytest.mark.parametrize("old", [name for name in MOVED if not name.startswith(PLUGINS)])
def test_an_old_name_is_the_module_that_it_became(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"^{old} is "):
        module = import_module(old)
    if old in PACKAGES:
        assert module.RTL is import_module("vtacsp.timing").RTL
        with pytest.warns(DeprecationWarning, match="^vtacsp.functional.simulate is "):
            assert module.simulate is import_module("vtacsp.functional").execute
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = module.nothing
    else:
        assert sys.modules[old] is import_module(MOVED[old])


NAMES = [(module, name) for module, names in RENAMED.items() for name in names]


@pytest.mark.parametrize(
    ("module", "name"), [pair for pair in NAMES if not f"{pair[0]}.".startswith(PLUGINS)]
)
def test_an_old_name_is_what_it_became(module, name):
    place, _, new = RENAMED[module][name].partition(":")
    assert name not in defined(module)
    vars(import_module(module)).pop(name, None)  # a module of that name, imported by another test
    old = f"{module}.{name} is {place}.{new} now; the old name goes with the next release"
    with pytest.warns(DeprecationWarning, match=f"^{re.escape(old)}$") as told:
        assert getattr(import_module(module), name) is getattr(import_module(place), new)
    assert [warning.filename for warning in told] == [__file__]
    with pytest.raises(AttributeError, match="nothing"):
        _ = import_module(module).nothing


def test_modules_answer_to_their_old_names():
    keep = {
        module
        for module, path in modules().items()
        if "\nkeep_old_names(__name__)\n" in path.read_text(encoding="utf-8")
    }
    assert keep == set(RENAMED)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("vtacsp.rules", "catalogue"),
        ("vtacsp.rules", "quantity"),
        ("vtacsp.program", "build"),
        ("vtacsp.workload", "Conv2D"),
        ("vtacsp.workload", "load_workloads"),
    ],
)
def test_a_name_that_moved_is_still_there(package, name):
    code = f"import vtacsp; from {package} import {name}; print({name} is vtacsp.{name})"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
    assert "DeprecationWarning" in done.stderr
