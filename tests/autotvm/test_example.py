"""The example of the documentation page, on this AutoTVM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vtacsp.simulate

EXAMPLE = Path(__file__).parents[2] / "examples" / "autotvm_tune.py"


@pytest.mark.skipif(
    not hasattr(vtacsp.simulate, "Simulator"), reason="the timing simulator has not landed yet"
)
def test_example():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "132 of 480 configurations run" in done.stdout
    assert "96 measured, 0 failed" in done.stdout
