"""What both pages have in common: words in sight, small screens, dark rooms, their origin."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from html import escape
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest

import vtacsp
from tests.support.commands import run
from tests.support.layers import ALL, CONV, DENSE, FIRST_LAYER, TRANSPOSED, outcome
from vtacsp.glossary import CAUSES, SECTIONS
from vtacsp.report import html
from vtacsp.report import tuning_page as tuning
from vtacsp.report.origin import Origin
from vtacsp.report.tuned import TunedLayer
from vtacsp.rules.symbols import h_nthread
from vtacsp.timing import RTL
from vtacsp.tune import RandomSearcher, SimulatorMeasurer, search_space, tune

CSS = (files("vtacsp.report") / "assets" / "report.css").read_text(encoding="utf-8")
LEAST = 11  # pixels of the smallest letters
MADE = Origin(datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc), "vtacsp x '<b>&' --seed 7", 7)


class Page(HTMLParser):
    """What is in sight: the text outside of attributes, scripts and tooltips; cells; labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source, self.words = text, ""
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.keys: set[str] = set()
        self.heads: dict[str, str] = {}  # column of the table of layers -> its classes
        self.cells: list[list[str]] = []  # classes of the cells of that table, by row
        self.ticks: list[list[dict[str, str]]] = []  # labels of each map
        self._open: list[str] = []
        self._head = self._name = ""
        self._layers = self._map = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        a = {key: value or "" for key, value in attrs}
        if tag not in ("meta", "br"):
            self._open.append(tag)
        if "id" in a:
            self.ids.add(a["id"])
        if tag == "a":
            self.links.append(a["href"])
        if "data-cause" in a and tag == "span":
            self.keys.add(a["data-cause"])
        kind = a.get("class", "")
        if tag == "table":
            self._layers = kind == "layers"
        if tag == "tr" and self._layers:
            self.cells.append([])
        if tag in ("th", "td") and self._layers:
            self.cells[-1].append(kind)
            self._head = kind or "always"
            self._name = ""
        if tag == "svg":
            self._map = kind == "map"
            if self._map:
                self.ticks.append([])
        if tag == "text" and kind == "tick" and self._map:
            self.ticks[-1].append(a)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass
        if tag == "th" and self._head:
            self.heads[self._name] = self._head
            self._head = ""

    def handle_data(self, data):
        if set(self._open) & {"style", "script", "title"}:
            return
        self.words += data
        if self._head:
            self._name += data


@pytest.fixture(scope="module")
def report() -> Page:
    layers = [outcome(work) for work in [*ALL, FIRST_LAYER]]
    return Page(html.render("a <suite>", layers, vtacsp.VTAConfig(), MADE))


@pytest.fixture(scope="module")
def search() -> Page:
    device = vtacsp.Simulator(CONV)
    grid = search_space(CONV, feasible=False)
    result = tune(RandomSearcher(grid, seed=1), SimulatorMeasurer(CONV), trials=40)
    layers = [TunedLayer(device, result)]
    return Page(tuning.render("a <suite>", layers, device.hardware, RTL, MADE))


@pytest.fixture(params=["report", "search"])
def page(request) -> Page:
    return request.getfixturevalue(request.param)


def test_the_meaning_of_every_cause_is_in_sight(page):
    assert len(page.keys) > 5
    for cause in page.keys:
        assert CAUSES[cause] in page.words, cause


def test_the_words_are_in_sight_and_links_lead_to_them(page):
    assert "#glossary" in page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    for words in SECTIONS.values():
        for word, meaning in words.items():
            assert word in page.words
            assert meaning in page.words
    assert "docs/rules.md" in page.words
    assert "docs/glossary.md" in page.words


def test_rules_of_users_are_explained_as_theirs():
    rule = vtacsp.Rule.of("half", h_nthread == 1, title="one thread over <rows>")
    page = Page(html.render("x", [outcome(CONV, rules=[rule])], vtacsp.VTAConfig()))
    assert "A rule of your own: one thread over <rows>." in page.words
    assert "<rows>" not in page.source


def test_the_footer_says_where_a_page_comes_from(page):
    footer = page.source.rpartition("<footer>")[2].partition("</footer>")[0]
    assert f"vtacsp {vtacsp.__version__}" in footer
    assert "2026-01-02 03:04 UTC" in footer
    assert f"<code>{escape(MADE.command)}</code>" in footer
    assert "seed 7" in footer
    assert "<b>" not in footer


def test_the_footer_has_the_command_as_it_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("report", "resnet18.C11", "--html", "a page.html")
    text = (tmp_path / "a page.html").read_text(encoding="utf-8")
    assert escape("vtacsp report resnet18.C11 --html 'a page.html'") in text
    assert "no seed" in text
    options = ["resnet18.C11", "--trials", "2", "--seed", "5", "--html", "tuned.html"]
    run("tune", *options)
    text = (tmp_path / "tuned.html").read_text(encoding="utf-8")
    assert f"vtacsp tune {' '.join(options)}" in text
    assert "seed 5" in text.rpartition("<footer>")[2]


def test_a_page_from_python_says_so():
    text = html.render("x", [outcome(DENSE)], vtacsp.VTAConfig())
    assert "made from Python" in text.rpartition("<footer>")[2]


def test_percentages_are_written_one_way(page):
    assert re.search(r"\d%", page.words)
    assert not re.search(r"\d\s+%", page.source)


def test_a_narrow_screen_shows_the_columns_that_matter(report, search):
    assert {name for name, kind in report.heads.items() if "wide" not in kind} >= {
        "Layer", "Feasible", "Share",
    }  # fmt: skip
    assert {name for name, kind in search.heads.items() if "wide" not in kind} >= {
        "Layer", "Cycles", "Gap", "Bound by",
    }  # fmt: skip
    narrow = re.search(r"@media \(max-width: 640px\) \{(.*?)\n\}", CSS, re.S)[1]
    assert ".wide { display: none; }" in narrow
    # a line of the table has room for as many numbers as are left
    columns = re.search(r"\.layers tr \{[^}]*grid-template-columns: ([^;]+);", narrow)[1]
    widths = [int(width) for width in re.findall(r"(\d+)px", columns)]
    assert sum(widths) < 390 - 2 * (12 + 12 + 1) - 100
    for page in (report, search):
        for kinds in page.cells:
            shown = [kind for kind in kinds if not {"wide", "shape", "causes"} & set(kind.split())]
            assert len(shown) <= 1 + len(widths)


def test_dark_rooms_get_every_colour_anew():
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{(.*?)\n\}", CSS, re.S)[1]
    light = CSS.replace(dark, "")
    named = set(re.findall(r"(--[a-z]+):", light))
    on_page, on_paper = dark.split("svg {")
    assert len(named) > 8
    assert set(re.findall(r"(--[a-z]+):", on_page)) == named
    assert "color-scheme: light dark" in light
    # drawings stay on light paper, so everything that they take from the page is set there again
    used = "".join(re.findall(r"(?:svg[^{]*|\.rule|\.bound|\.best-so-far) \{([^}]*)\}", light))
    taken = set(re.findall(r"var\((--[a-z]+)\)", used))
    assert taken
    assert taken <= set(re.findall(r"(--[a-z]+):", on_paper))
    assert "background:" in on_paper
    # nothing of the page itself has a colour that does not follow
    body = re.sub(r"(header|#tip|\.tiles|svg|\.trial|\.measured|\.ring)[^{}]*\{[^}]*\}", "", light)
    for rule in re.findall(r"[^{}]+\{[^{}]*\}", body.partition("* { box-sizing")[2]):
        assert not re.search(r"(?<!-)(color|background): *#", rule), rule


def test_no_letters_are_too_small_to_read(page):
    sizes = re.findall(r"font(?:-size)?:\s*([\d.]+)px", CSS + page.source)
    assert len(sizes) > 10
    assert min(map(float, sizes)) >= LEAST
    assert re.search(r"svg text \{[^}]*font-size: 11px", CSS)


def test_ticks_of_maps_leave_each_other_room(page):
    assert page.ticks
    for labels in page.ticks:
        down = [float(a["y"]) for a in labels if "transform" not in a]
        across = [float(a["x"]) for a in labels if "transform" in a]
        assert down
        assert across
        for places in (down, across):
            assert all(b - a >= LEAST for a, b in pairwise(places)), places


def test_ticks_of_small_cells_leave_each_other_room_too():
    wide = vtacsp.Conv2D(
        name="wide", batch=8, in_channels=512, height=120, width=96, out_channels=512,
        kernel=(1, 1),
    )  # fmt: skip
    page = Page(html.render("x", [outcome(wide), outcome(TRANSPOSED)], vtacsp.VTAConfig()))
    assert 'data-cell="6"' in page.source
    test_ticks_of_maps_leave_each_other_room(page)


def test_every_scratchpad_is_counted(report):
    machine = vtacsp.VTAConfig()
    total = sum(machine.bytes(buffer) for buffer in ("uop", "inp", "wgt", "acc", "out"))
    assert total == 480 << 10
    assert report.words.count("480 KiB") >= 2  # on the card of the machine, and in the outlook
    assert "UOP + INP + WGT + ACC + OUT" in report.words
