"""The README, with the part that needs this environment."""

from __future__ import annotations

import json

from tests.support.snippets import ROOT, run
from vtacsp import VTAConfig


def test_the_readme_runs_as_printed(tmp_path):
    machine = json.dumps(VTAConfig().to_dict())  # as `vtacsp hardware --write` writes it
    (tmp_path / "vta_config.json").write_text(machine)
    assert run(ROOT / "README.md", tmp_path, "autotvm") == 3
