"""The README, with the part that needs this environment."""

from __future__ import annotations

from tests.snippets import ROOT, run


def test_the_readme_runs_as_printed(tmp_path):
    assert run(ROOT / "README.md", tmp_path, "autotvm") > 3
