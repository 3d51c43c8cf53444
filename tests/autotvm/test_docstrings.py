"""Every public name of ``vtacsp.autotvm`` has an example, and every example is run."""

from __future__ import annotations

import pytest

from tests.support.api import names, where
from tests.support.examples import run_examples, without_example

PACKAGE = "vtacsp.autotvm"
MODULES = sorted({where(name, PACKAGE) for name in names(PACKAGE)})


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_true(module):
    assert run_examples(module, (PACKAGE,)) > 0


def test_every_public_name_has_an_example():
    assert not without_example(PACKAGE)
