"""The report page and the figure: what is drawn is what the space says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations
from math import prod

import numpy as np
import pytest

import vtacsp
from tests.support import ROOT
from tests.support.layers import (
    ALL,
    BATCHED,
    CONV,
    DEFAULT,
    DENSE,
    FIRST_LAYER,
    GROUPED,
    RACING,
    TRANSPOSED,
    outcome,
)
from vtacsp.machine.configuration import BUFFER_FIELDS
from vtacsp.report.fastest import Fastest
from vtacsp.report.feasibility import FeasibilityMap
from vtacsp.report.figures import feasibility_figure
from vtacsp.report.html import render, write_html
from vtacsp.report.layer_facts import shape_text
from vtacsp.report.outlook import best_change
from vtacsp.report.palette import COLOURS, colours
from vtacsp.rules.symbols import h_nthread, oc_nthread, tile_b, tile_h
from vtacsp.space.occupancy import occupancy

SMALL = vtacsp.VTAConfig(
    log_uop_buff_size=12, log_inp_buff_size=12, log_wgt_buff_size=14, log_acc_buff_size=13
)


class Page(HTMLParser):
    """What a browser would find: sections, tables, map panels, legend."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.keys: dict[str, str] = {}
        self.rows: list[tuple[str, list[str]]] = []  # (section, texts of cells)
        self.panels: dict[str, list[Panel]] = {}
        self.json: dict[str, dict] = {}
        self.section = ""
        self._cell = self._caption = self._script = False
        self._captions: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        a = {k: v or "" for k, v in attrs}
        self.tags.append((tag, a))
        if tag == "section":
            self.section = a.get("id", "")
        elif tag == "tr":
            self.rows.append((self.section, []))
        elif tag in ("td", "th"):
            self.rows[-1][1].append("")
            self._cell = True
        elif tag == "figcaption":
            self._captions.append("")
            self._caption = True
        elif tag == "svg" and a["class"] == "map":
            self.panels.setdefault(self.section, []).append(Panel(self._captions[-1], a))
        elif tag == "path" and "data-cause" in a:
            self.panels[self.section][-1].paint(a["data-cause"], a["fill"], a["d"])
        elif tag == "span" and a.get("class") == "key":
            self.keys[a["data-cause"]] = a["data-colour"]
        elif tag == "script" and a.get("type") == "application/json":
            self._script = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = False
        elif tag == "figcaption":
            self._caption = False
        elif tag == "script":
            self._script = False

    def handle_data(self, data):
        if self._cell:
            self.rows[-1][1][-1] += data
        if self._caption:
            self._captions[-1] += data
        if self._script:
            self.json[self.section] = json.loads(data)

    def summary(self) -> dict[str, list[str]]:
        return {cells[0]: cells for section, cells in self.rows if section == "" and cells}


class Panel:
    """A drawn panel: which cause covers which pixel."""

    def __init__(self, caption: str, attributes: dict[str, str]) -> None:
        self.caption = caption
        self.cell, self.gap, self.left, self.top = (
            int(attributes[f"data-{key}"]) for key in ("cell", "gap", "left", "top")
        )
        self.size = int(attributes["width"]), int(attributes["height"])
        self.cover: dict[tuple[int, int], tuple[str, str]] = {}
        self.codes = attributes["data-codes"]

    def paint(self, cause: str, fill: str, path: str) -> None:
        runs = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z", path)
        assert "".join(f"M{a} {b}h{c}v{d}h-{e}z" for a, b, c, d, e in runs) == path
        for x, y, w, h, back in (map(int, run) for run in runs):
            assert (h, back) == (self.cell, w)
            assert x + w <= self.size[0]
            assert y + h <= self.size[1]
            for left in range(x, x + w, self.cell):
                assert (left, y) not in self.cover, "two cells in one place"
                self.cover[left, y] = (cause, fill)

    def at(self, facet: tuple[int, int], within: tuple[int, int], cells: tuple[int, int]):
        (row, column), (y, x), (height, width) = facet, within, cells
        left = self.left + column * (width * self.cell + self.gap) + x * self.cell
        top = self.top + row * (height * self.cell + self.gap) + y * self.cell
        return self.cover[left, top]


@pytest.fixture(scope="module")
def page() -> Page:
    layers = [outcome(work, DEFAULT) for work in [*ALL, FIRST_LAYER]]
    return Page(render("a <suite>", layers, DEFAULT))


@pytest.mark.parametrize("work", ALL, ids=lambda work: work.name)
def test_every_cell_of_a_map_has_the_cause_of_its_configuration(page, work):
    space = vtacsp.compile(work, DEFAULT)
    section = f"layer-{ALL.index(work)}"
    panels, data = page.panels[section], page.json[section]
    knobs = {knob.name: knob.values for knob in space.knob_space.knobs}
    dense = work is DENSE
    y, x = ("tile_ci", "tile_co") if dense else ("tile_h", "tile_w")
    row, column = ("tile_b", None) if dense else ("tile_ci", "tile_co")
    causes = space.problem.causes(np.arange(len(space.knob_space)))
    seen = set()
    for index, cause in enumerate(causes):
        config = space.knob_space.config(index)
        threads = [f"{name} {config[name]}" for name in knobs if name.endswith("nthread")]
        (number,) = [
            i
            for i, panel in enumerate(panels)
            if all(thread in panel.caption for thread in threads)
        ]
        digit = {name: values.index(config[name]) for name, values in knobs.items()}
        facet = digit[row], digit[column] if column else 0
        place = panels[number].at(facet, (digit[y], digit[x]), (len(knobs[y]), len(knobs[x])))
        assert place == (cause, COLOURS[cause])
        seen.add((number, facet, digit[y], digit[x]))
        # the tooltip's sum over the axes
        idle = {k.name: k.values[0] for k in space.knob_space.knobs if k.inert}
        shown = space.knob_space.index({**config, **idle})
        at = (number, *facet, digit[y], digit[x])
        assert sum(s[i] for s, i in zip(data["strides"], at, strict=True)) == shown
        assert data["y"][digit[y]][y] == config[y]
        assert data["panels"][number].items() <= config.items()
    cells = prod(len(k.values) for k in space.knob_space.knobs if not k.inert)
    assert len(seen) == sum(len(panel.cover) for panel in panels) == cells
    assert sum(len(panel.codes) for panel in panels) == len(seen)


@pytest.mark.parametrize("work", ALL, ids=lambda work: work.name)
def test_shown_counts_equal_the_statistics(page, work):
    counts = vtacsp.statistics(vtacsp.compile(work, DEFAULT))
    row = page.summary()[work.name]
    expected = [counts.size, counts.programs, counts.feasible, counts.feasible_programs]
    assert row[2:6] == [f"{n:,}" for n in expected]
    assert float(row[6].rstrip(" %")) == pytest.approx(100 * counts.share, abs=0.06)
    assert row[1].startswith(shape_text(work))
    section = f"layer-{ALL.index(work)}"
    bars = {c[0].split()[0]: c[2:] for s, c in page.rows if s == section and c[0] != "Rule"}
    assert bars.pop("feasible")[0] == f"{counts.feasible:,}"
    shown = {name: tuple(cells) for name, cells in bars.items()}
    assert shown == {
        name: (f"{counts.first.get(name, 0):,}", f"{n:,}") for name, n in counts.any.items()
    }


def test_the_total_is_the_sum(page):
    total = [vtacsp.statistics(vtacsp.compile(work, DEFAULT)) for work in ALL]
    row = page.summary()["Total"]
    assert row[1:3] == [f"{sum(c.size for c in total):,}", f"{sum(c.programs for c in total):,}"]
    assert row[3] == f"{sum(c.feasible for c in total):,}"


def test_a_refused_layer_is_a_row_with_its_reason(page):
    row = page.summary()["first<layer>"]
    with pytest.raises(vtacsp.WorkloadError) as refusal:
        vtacsp.compile(FIRST_LAYER, DEFAULT)
    assert row[2] == "refused: " + str(refusal.value).removeprefix("first<layer>: ")
    assert "in_channels is 3" in row[2]
    assert len(page.panels) == len(ALL)


def test_only_refused_layers_make_a_page():
    page = Page(render("page", [outcome(FIRST_LAYER)], DEFAULT))
    assert "refused" in page.summary()["first<layer>"][2]
    assert page.panels == {}


def test_the_hardware_is_complete(page):
    cells = [cell for _, row in page.rows for cell in row]
    for key, value in DEFAULT.to_dict().items():
        assert cells[cells.index(key) + 1] == str(value)
    rows = {row[0]: row[1:] for _, row in page.rows if row}
    assert rows["WGT weights"] == ["256 KiB", "256 B", "1,024"]
    assert rows["OUT output"] == ["32 KiB", "16 B", "2,048"]


def test_one_colour_per_cause_and_a_legend(page):
    drawn = {cover for panels in page.panels.values() for p in panels for cover in p.cover.values()}
    assert len({cause for cause, _ in drawn}) == len({fill for _, fill in drawn}) == len(drawn)
    assert drawn <= set(page.keys.items())


def test_the_page_is_self_contained(tmp_path):
    path = tmp_path / "report.html"
    write_html(path, "a <suite>", [outcome(CONV), outcome(FIRST_LAYER)], DEFAULT)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|url\(|@import", text, re.I)
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    anchors = {a["href"][1:] for tag, a in page.tags if tag == "a"}
    sections = {a["id"] for tag, a in page.tags if tag == "section" and "id" in a}
    assert anchors | {"causes"} == sections
    assert "<suite>" not in text
    assert "first<layer>" not in text


def test_rules_of_users_are_on_the_page_like_built_in_ones():
    rule = vtacsp.Rule.of("</script>odd", (oc_nthread == 1) & (h_nthread == 1))
    page = Page(render("page", [outcome(CONV, DEFAULT, [rule])], DEFAULT))
    space = vtacsp.compile(CONV, DEFAULT, [rule])
    drawn = [cause for panel in page.panels["layer-0"] for cause, _ in panel.cover.values()]
    expected = space.problem.causes(np.arange(len(space.knob_space)))
    assert "</script>odd" in expected
    assert sorted(drawn) == sorted(expected)
    assert page.keys["</script>odd"] not in COLOURS.values()
    rows = [row for _, row in page.rows if row and row[0] == "as it is"]
    assert rows[0][2] == f"{len(space):,}"


def test_a_rule_on_an_inert_knob_brings_it_back_to_the_map():
    plain = FeasibilityMap.of(vtacsp.compile(BATCHED))
    rule = vtacsp.Rule.of("whole_batch", tile_b == 4)
    shown = FeasibilityMap.of(vtacsp.compile(BATCHED, rules=[rule]))
    assert [knob.name for knob in plain.rows] == ["tile_ci"]
    assert [knob.name for knob in shown.rows] == ["tile_b", "tile_ci"]
    assert shown.codes.size == 3 * plain.codes.size


def test_nothing_feasible_is_said():
    rule = vtacsp.Rule.of("never", tile_h > 1000)
    work, space = outcome(CONV, DEFAULT, [rule])
    assert occupancy(space) == []
    assert "Nothing is feasible." in render("page", [(work, space)], DEFAULT)


@pytest.mark.parametrize("work", ALL, ids=lambda work: work.name)
def test_occupancy_agrees_with_rules_about_it(work):
    space = vtacsp.compile(work, SMALL)
    for item in occupancy(space):
        need = vtacsp.quantity(work.op, f"sram:{item.buffer}", "need")
        assert item.depth == SMALL.depth(item.buffer)
        assert sum(item.histogram()) == len(space) == len(item.shares)
        assert item.shares.max() <= 1
        half = vtacsp.Rule.of("half", need * 2 <= item.depth)
        fewer = vtacsp.compile(work, SMALL, [half])
        assert set(space.indices[item.shares <= 0.5]) == set(fewer.indices)


@pytest.mark.parametrize("hardware", [DEFAULT, SMALL], ids=["default", "small"])
def test_the_outlook_is_exact_and_complete(hardware):
    layers = [CONV, TRANSPOSED, DENSE]
    outlook = best_change(layers, hardware)
    sizes = hardware.symbols
    legal = {}
    steps = [{}]
    for first in BUFFER_FIELDS.values():
        steps += [{first: sizes[first] + d} for d in (-2, -1, 1, 2)]
    for a, b in combinations(BUFFER_FIELDS.values(), 2):
        steps += [{a: sizes[a] + i, b: sizes[b] + j} for i in (-1, 1) for j in (-1, 1)]
    for step in steps:
        try:
            machine = hardware.replace(**step)
        except vtacsp.HardwareError:
            continue
        legal[tuple(sorted(step.items()))] = [exhaustive(layer, machine) for layer in layers]
    found = {
        tuple(sorted((key, then) for key, (_, then) in change.changes.items())): list(
            zip(change.counts, change.best, strict=True)
        )
        for change in (outlook.now, *outlook.changes)
    }
    assert found == legal
    score = {
        step: (sum(best is None for _, best in row), sum(best or 0 for _, best in row))
        for step, row in legal.items()
    }
    least = min(score.values())
    if least < score[()]:
        assert outlook.best is not None
        assert outlook.best.order[:2] == least
    else:
        assert outlook.best is None
    assert list(outlook.changes) == sorted(outlook.changes, key=lambda change: change.order)


def exhaustive(layer, machine):
    """Feasible configurations, and the cycles of the fastest when every one is simulated."""
    simulator = vtacsp.Simulator(layer, machine)
    indices = simulator.space.indices.tolist()
    return len(indices), int(simulator.cycles_many(indices).min()) if indices else None


def test_a_smaller_machine_that_is_as_fast_is_named():
    outlook = best_change([CONV, DENSE])
    rivals = [c for c in outlook.changes if c.order[:2] == outlook.now.order[:2]]
    assert outlook.smaller is not None
    assert outlook.smaller.bytes == min(c.bytes for c in rivals) < outlook.now.bytes
    assert f"{outlook.smaller.bytes >> 10} KiB instead of 480 KiB" in render(
        "page", [outcome(CONV), outcome(DENSE)], DEFAULT
    )


def test_the_outlook_counts_the_set_that_the_page_shows():
    right, stack = (best_change([RACING], stack_only=only).now for only in (False, True))
    assert 0 < right.feasible < stack.feasible
    for only, now in ((False, right), (True, stack)):
        space = vtacsp.compile(RACING, stack_only=only)
        assert now.feasible == len(space)
        row = f'<td class="n">{now.feasible:,}</td><td class="n">{now.cycles:,}</td>'
        assert row in render("page", [(RACING, space)], DEFAULT)


def test_the_outlook_simulates_few_programs(monkeypatch):
    made = []
    monkeypatch.setattr(
        "vtacsp.report.outlook.Fastest", lambda *args: made.append(Fastest(*args)) or made[-1]
    )
    best_change([CONV])
    assert 0 < made[0].simulated < len(vtacsp.compile(CONV)) / 2


def test_a_machine_on_which_nothing_runs_is_no_traceback():
    tiny = vtacsp.VTAConfig(log_inp_buff_size=5, log_wgt_buff_size=9, log_acc_buff_size=7)
    outlook = best_change([CONV], tiny)
    assert (outlook.now.idle, outlook.now.feasible) == (1, 0)
    assert "as it is" in render("page", [outcome(CONV, tiny)], tiny)


def test_the_best_change_is_on_the_page():
    layers = [outcome(work, SMALL) for work in (CONV, GROUPED)]
    outlook = best_change([CONV, GROUPED], SMALL)
    best, now = outlook.best, outlook.now
    assert best is not None
    assert best.cycles < now.cycles
    page = Page(render("page", layers, SMALL))
    faster = f"{best.cycles / now.cycles - 1:.2%}".replace("-", "−")
    rows = [row for _, row in page.rows if row and row[-1] == faster]
    assert rows[0][2:4] == [f"{best.feasible:,}", f"{best.cycles:,}"]


def test_the_page_says_when_no_change_makes_anything_faster():
    assert best_change([DENSE]).best is None
    assert "No change of up to two steps" in render("page", [outcome(DENSE)], DEFAULT)
    assert "No change of up to two steps" not in render("page", [outcome(CONV, SMALL)], SMALL)


def test_single_steps_that_are_no_machine_come_with_the_reason():
    blocked = best_change([DENSE]).blocked
    assert sorted(blocked) == ["LOG_ACC_BUFF_SIZE", "LOG_INP_BUFF_SIZE", "LOG_WGT_BUFF_SIZE"]
    assert "33 bits" in blocked["LOG_WGT_BUFF_SIZE"]
    assert best_change([DENSE], SMALL).blocked == {}


# -- colours

_VISION = {  # Machado, Oliveira, Fernandes 2009, severity 1
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041]]  # fmt: skip


def _rgb(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def _lab(colours: list[str], vision) -> np.ndarray:
    rgb = np.array([_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    xyz = seen @ np.array(_XYZ).T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


@pytest.mark.parametrize("vision", list(_VISION))
def test_colours_stay_apart_for_every_kind_of_vision(vision):
    lab = _lab(list(COLOURS.values()), _VISION[vision])
    distance = np.sqrt(((lab[:, None] - lab[None]) ** 2).sum(axis=-1))
    closest = distance[np.triu_indices(len(lab), 1)].min()
    assert closest >= 10
    feasible = np.delete(distance[list(COLOURS).index("ok")], list(COLOURS).index("ok"))
    assert feasible.min() >= 20


def test_every_cause_of_the_catalogues_has_a_colour():
    for op in ("conv2d", "group_conv2d", "conv2d_transpose", "dense"):
        assert {rule.cause for rule in vtacsp.catalogue(op)} <= set(COLOURS)


def test_many_rules_of_users_have_different_colours():
    causes = [*COLOURS, *(f"mine{i}" for i in range(40))]
    assert len(set(colours(causes).values())) == len(causes)


# -- the figure


def test_the_figure_has_the_colours_of_the_causes_in_proportion(tmp_path):
    from matplotlib.image import imread

    space = vtacsp.compile(CONV)
    path = tmp_path / "figure.png"
    feasibility_figure(space, path)
    image = np.rint(imread(path)[..., :3] * 255).astype(int)
    pixels = {
        cause: int((image == np.rint(np.array(_rgb(c)) * 255)).all(axis=-1).sum())
        for cause, c in COLOURS.items()
    }
    counts = dict.fromkeys(COLOURS, 0)
    for cause in space.problem.causes(np.arange(len(space.knob_space))):
        counts[cause] += 1
    present = {cause for cause, n in counts.items() if n}
    assert all(pixels[cause] == 0 for cause in set(COLOURS) - present)
    total = sum(pixels.values())
    for cause in present:  # the legend takes a little of each
        assert pixels[cause] / total == pytest.approx(
            counts[cause] / len(space.knob_space), abs=0.02
        )


@pytest.mark.parametrize("work", [BATCHED, DENSE], ids=lambda work: work.name)
def test_the_figure_works_for_every_shape_of_grid(tmp_path, work):
    path = tmp_path / "figure.png"
    feasibility_figure(vtacsp.compile(work), path)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_the_picture_of_the_readme_is_light():
    picture = ROOT / "docs" / "feasible_space.png"
    assert 10_000 < picture.stat().st_size < 200_000


def test_a_page_needs_no_plotting_library():
    modules = "vtacsp.report.html, vtacsp.report.figures"
    code = f"import sys, {modules}; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
