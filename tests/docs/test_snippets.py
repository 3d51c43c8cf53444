"""What README and docs tell people to type works, as printed, in order, in a clean folder."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.snippets import PAGES, ROOT, STAGES, run, snippets

HERE = [page for page in PAGES if any(not snippet.where for snippet in snippets(page))]


@pytest.mark.parametrize("page", HERE, ids=lambda page: page.name)
def test_snippets_run_as_printed(page, tmp_path):
    assert run(page, tmp_path) > 0


def test_what_does_not_run_here_says_where_and_why():
    assert ROOT / "README.md" in HERE
    elsewhere = [(page, snippet) for page in PAGES for snippet in snippets(page) if snippet.where]
    assert elsewhere
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for page, snippet in elsewhere:
        if snippet.where == "ci":
            assert snippet.reason in script.partition("for name in ")[2].partition(";")[0].split()
        else:
            assert snippet.where in STAGES, f"{page.name}: {snippet.where}"
            assert len(snippet.reason) > 10, f"{page.name}: no reason"


def test_the_command_of_the_readme_advises_a_change():
    """The example is there to show one: a number that is feasible already shows nothing."""
    (line,) = [
        line
        for snippet in snippets(ROOT / "README.md")
        for line in snippet.code.splitlines()
        if line.startswith("vtacsp advise")
    ]
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert " -> " in answer
