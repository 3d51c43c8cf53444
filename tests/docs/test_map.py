"""The map of the code and the recipes name files that are there."""

from __future__ import annotations

import re

import pytest

from tests.support import ROOT
from tests.support.imports import PACKAGE, SPLIT

MAP = (ROOT / "docs" / "code.md").read_text(encoding="utf-8")


def test_every_folder_and_module_at_the_top_has_a_row():
    cells = " ".join(line.split(" | ")[0] for line in MAP.splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([\w.]+?)/?`", cells))
    there = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    there |= {p.name for p in PACKAGE.glob("*.py") if not p.name.startswith("__")}
    assert named == there


@pytest.mark.parametrize("page", ["docs/code.md", "CONTRIBUTING.md"])
def test_files_that_are_named_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    folder, missing, seen = "", [], 0
    for name in re.findall(r"`([\w/]+\.(?:py|md|svg))`", text):
        places = [ROOT / name, PACKAGE / name, PACKAGE / folder / name, ROOT / "docs" / name]
        places += [PACKAGE / "operators" / "conv2d" / name]
        seen += 1
        if not any(place.exists() for place in places):
            missing.append(name)
        folder = name.rpartition("/")[0].removeprefix("vtacsp/") or folder
    assert not missing
    assert seen > 20


def test_folders_in_several_layers_are_on_the_map():
    listed = re.findall(r"^\* `(\w+)/`:", MAP, re.M)
    assert sorted(listed) == sorted(SPLIT)
