"""What is generated is current, and every rule is documented."""

from __future__ import annotations

import re
from operator import attrgetter

import pytest

from tests.support import ROOT
from vtacsp.machine.design import BUILDABLE, UNCHANGED, WHOLE
from vtacsp.machine.legality import LEGALITY
from vtacsp.operators.catalogue import all_catalogues
from vtacsp.operators.rule_page import catalogue_page
from vtacsp.timing.document import MARK, with_table


def test_the_catalogue_page_is_current(request):
    page = ROOT / "docs" / "rules.md"
    if request.config.getoption("--update-golden"):
        page.write_text(catalogue_page(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == catalogue_page()


def test_the_table_of_timing_constants_is_current(request):
    page = ROOT / "docs" / "timing.md"
    text = page.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        page.write_text(with_table(text), encoding="utf-8")
    assert text.count(MARK) == 2
    assert with_table(text) == text


# no set, which is ordered by address: operators have rules of one name, and all workers one order
RULES = dict.fromkeys(
    rule
    for rules in [*all_catalogues().values(), LEGALITY, BUILDABLE, UNCHANGED, WHOLE]
    for rule in rules
)


@pytest.mark.parametrize("rule", sorted(RULES, key=attrgetter("name")), ids=attrgetter("name"))
def test_every_rule_says_what_why_and_how(rule):
    assert rule.title
    assert len(rule.mechanism) > 20
    assert rule.message


def test_links_in_the_documentation_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in [part.split(")")[0] for part in text.split("](")[1:]]:
            if not target.startswith(("http", "#")):
                assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


def test_links_to_a_heading_find_it():
    found = 0
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for file, anchor in re.findall(
            r"\]\(([^)#]*\.md)?#([^)]+)\)", page.read_text(encoding="utf-8")
        ):
            target = (page.parent / file if file else page).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.*)$", target, re.M)
            words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
            assert anchor in [heading.replace(" ", "-") for heading in words], (
                f"{page.name}: {anchor}"
            )
            found += 1
    assert found > 5
