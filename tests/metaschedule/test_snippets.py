"""The README, with the part that needs this environment."""

from __future__ import annotations

import pytest

from tests.snippets import ROOT, run

pytest.importorskip(
    "tvm.s_tir.meta_schedule", reason="needs the extra tvm: pip install 'vtacsp[tvm]'"
)


def test_the_readme_runs_as_printed(tmp_path):
    assert run(ROOT / "README.md", tmp_path, "metaschedule") > 3
