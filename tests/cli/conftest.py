"""What several tests of the command line stand in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import CONV, DENSE, THIN


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a network of two layers, which is the current one."""
    (tmp_path / "net.json").write_text(json.dumps([CONV, DENSE]))
    (tmp_path / "conv.json").write_text(json.dumps([CONV]))
    (tmp_path / "thin.json").write_text(json.dumps([THIN, CONV]))
    monkeypatch.chdir(tmp_path)
    return tmp_path
