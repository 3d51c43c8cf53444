"""The package as a whole: what importing it costs, and that its exports are real."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import vtacsp


def test_importing_the_package_imports_no_solver_and_no_plotting():
    code = (
        "import sys, vtacsp; heavy = ('ortools', 'matplotlib', 'tvm', 'xgboost', 'numpy'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_compiling_a_space_imports_no_solver():
    code = (
        "import sys, vtacsp; vtacsp.compile(vtacsp.suite('resnet18')[9]); "
        "print('ortools' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_every_export_exists():
    for name in vtacsp.__all__:
        assert getattr(vtacsp, name) is not None
    assert set(vtacsp.__all__) <= set(dir(vtacsp))


def test_errors_share_one_root():
    for name in ("HardwareError", "WorkloadError", "ConfigError", "RuleError", "SpaceError"):
        assert issubclass(getattr(vtacsp, name), vtacsp.VtacspError)


def test_the_version_is_said_in_one_place_and_is_that_of_the_changelog():
    root = Path(__file__).parent.parent
    project = (root / "pyproject.toml").read_text().partition("[project]")[2].partition("\n[")[0]
    assert 'dynamic = ["version"]' in project
    assert not re.search(r"^version\b", project, re.MULTILINE)
    newest = re.search(r"^## (\S+) ?(.*)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = newest[2] != "(unreleased)"
    assert vtacsp.__version__ == newest[1] + ("" if released else ".dev0")
    said = [
        path.name for path in root.glob("vtacsp/**/*.py") if "__version__ =" in path.read_text()
    ]
    assert said == ["version.py"]
