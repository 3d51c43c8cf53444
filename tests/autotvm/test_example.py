"""The example of the documentation page, on this AutoTVM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "autotvm_tune.py"


def test_example():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "132 of 480 configurations run" in done.stdout
    assert "96 measured, 0 failed" in done.stdout
