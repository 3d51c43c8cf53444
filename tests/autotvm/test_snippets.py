"""What README and docs tell people to type, the parts that need this environment."""

from __future__ import annotations

import pytest

from tests.snippets import PAGES, run, snippets

STAGE = "autotvm"
MINE = [page for page in PAGES if any(snippet.where == STAGE for snippet in snippets(page))]


@pytest.mark.parametrize("page", MINE, ids=lambda page: page.name)
def test_snippets_run_as_printed(page, tmp_path):
    assert run(page, tmp_path, STAGE) > 0
