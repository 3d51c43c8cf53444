"""The words that users meet: explained in the glossary, and none that only the authors know."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from tests.support import ROOT
from vtacsp.cli import main
from vtacsp.glossary import CAUSES, SECTIONS, TERMS, glossary_page, look_up
from vtacsp.machine.legality import LEGALITY
from vtacsp.operators.catalogue import all_catalogues
from vtacsp.report.palette import COLOURS
from vtacsp.timing.model import PRESETS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

AUTHORS = {
    r"\bnotes\b": "there are no notes in the repository",
    r"\brtl_cycles\b": "a column of the authors' files",
    r"memory of (its|the) measurements": "which measurements?",
    r"[0-9]\u00a0? %(?! [0-9])": "percentages are written 7.9%",
}


def helps(command: click.Command, path: tuple[str, ...] = ()) -> dict[str, str]:
    """The help of a command and of all below it."""
    context = click.Context(command, info_name=" ".join(path) or "vtacsp")
    found = {context.info_name or "": command.get_help(context)}
    for name, below in getattr(command, "commands", {}).items():
        found |= helps(below, (*path, name))
    return found


def texts() -> dict[str, str]:
    """Everything that a user reads without running much."""
    return {
        **{page.name: page.read_text(encoding="utf-8") for page in PAGES},
        **{f"help of {name}": text for name, text in helps(main).items()},
        **{
            f"rule {op} {rule.name}": f"{rule.title} {rule.mechanism} {rule.message}"
            for op, rules in {**all_catalogues(), "machine": LEGALITY}.items()
            for rule in rules
        },
        **{f"preset {name}": timing.note for name, timing in PRESETS.items()},
    }


@pytest.mark.parametrize("pattern", AUTHORS)
def test_words_of_the_authors_do_not_reach_users(pattern):
    everything = texts()
    assert len(everything) > 80
    found = {where for where, text in everything.items() if re.search(pattern, text)}
    assert not found, f"{AUTHORS[pattern]}: {pattern}"


def test_the_glossary_page_is_current(request):
    page = ROOT / "docs" / "glossary.md"
    if request.config.getoption("--update-golden"):
        page.write_text(glossary_page(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == glossary_page()


def test_every_cause_is_explained_in_one_sentence():
    causes = {rule.cause for rules in all_catalogues().values() for rule in rules}
    assert causes | set(COLOURS) <= set(CAUSES)
    for cause, meaning in CAUSES.items():
        assert re.fullmatch(r"[A-Z0-9].{20,200}\.", meaning), cause
        assert ". " not in meaning, f"{cause}: more than a sentence"


def test_the_glossary_has_the_words_that_newcomers_ask_for():
    asked = ["knob", "split", "virtual thread", "micro-op", "token", "cause", "upstream", "tile",
             "block", "scratchpad", "DMA", "GEMM", "ALU", "epilogue", "candidate", "index",
             "feasible", "lower bound"]  # fmt: skip
    assert set(asked) <= set(TERMS)
    assert sum(map(len, SECTIONS.values())) + len(CAUSES) - 1 == len(TERMS)  # race is both


@pytest.mark.parametrize("name", ["README.md", "reports.md", "rules.md", "code.md", "formats.md",
                                  "tuning.md", "timing.md"])  # fmt: skip
def test_pages_lead_to_the_glossary(name):
    (page,) = [page for page in PAGES if page.name == name]
    assert "glossary.md)" in page.read_text(encoding="utf-8")


def test_explain_leads_to_the_glossary_and_the_command_answers():
    run = CliRunner().invoke
    explained = run(main, ["explain", "resnet18.C8", "--index", "700"]).output
    assert "vtacsp glossary" in explained.splitlines()[-1]
    assert look_up("TOKEN") == {"token": TERMS["token"]}
    answer = run(main, ["glossary", "dma_pad"]).output
    assert " ".join(answer.split()) == f"dma_pad: {CAUSES['dma_pad']}"
    whole = run(main, ["glossary"]).output
    assert all(f"{word}:" in whole for word in TERMS)
    unknown = run(main, ["glossary", "nonsense"])
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("error: no 'nonsense' in the glossary")
