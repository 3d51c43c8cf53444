"""Without TVM the package says what to install."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
sys.modules["tvm"] = None
import vtacsp
try:
    import vtacsp.metaschedule
except vtacsp.VtacspError as error:
    print(type(error).__name__, error)
"""


def test_the_error_names_the_extra():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout.startswith("MissingDependencyError vtacsp.metaschedule needs")
    assert "pip install '.[tvm]'" in done.stdout
