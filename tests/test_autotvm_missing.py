"""``vtacsp.autotvm`` without an AutoTVM says what is wrong, in one error."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT = """
import sys
sys.path.insert(0, sys.argv[1])
if sys.argv[2] == "hidden":
    sys.modules["tvm"] = None
try:
    import vtacsp.autotvm
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("package", "says"),
    [
        (None, "needs TVM 0.19 or older, and no TVM is installed"),
        ("__version__ = '0.27.0'", "installed is 0.27.0, for which there is vtacsp.metaschedule"),
        ("raise OSError('libtvm.so: cannot open')", "imported: OSError: libtvm.so: cannot open"),
    ],
    ids=["missing", "too new", "broken"],
)
def test_one_error(package, says, tmp_path):
    if package is not None:
        (tmp_path / "tvm").mkdir()
        (tmp_path / "tvm" / "__init__.py").write_text(package)
    hidden = "hidden" if package is None else "shown"
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(tmp_path), hidden], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MissingDependencyError vtacsp.autotvm needs TVM")
    assert says in done.stdout
