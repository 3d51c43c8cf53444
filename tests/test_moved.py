"""Old names of modules work, say where to go, and are the modules themselves."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from tests.support.imports import modules
from vtacsp.moved import MOVED

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
        assert module.simulate is import_module("vtacsp.functional").simulate
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = module.nothing
    else:
        assert sys.modules[old] is import_module(MOVED[old])


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
