"""What each freedom gains: the fastest known schedules without one of them, without retuning."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

from tests.support import DATA, ROOT
from tests.support.golden import names
from vtacsp import VTAConfig
from vtacsp.errors import ProgramError
from vtacsp.files import between_marks
from vtacsp.free import Schedule, emit, limit
from vtacsp.network.find import find_workloads
from vtacsp.timing import simulate_timing

MACHINE = VTAConfig()
WITHOUT = {
    "one INP slot": {"inp": 1},
    "one WGT slot": {"wgt": 1},
    "one ACC slot": {"acc": 1},
    "no ramp at the begin": {
        "lead": (), "first": (), "begin": (), "begin_rows": (), "clear_ahead": 0,
    },
    "none at the end": {"last": (), "finish": (), "finish_rows": ()},
    "an instruction per tap": {"form": "tap", "join": False},
    "kernel parts apart": {"join": False},
    "nothing left out of loads": {"gather": "none"},
}  # fmt: skip
PAGE, MARK = ROOT / "docs" / "beyond_the_template.md", "<!-- freedoms -->"


@cache
def lost(name: str) -> dict[str, int | None]:
    """Cycles that each freedom saves; None when the program does not fit without it."""
    known = json.loads((DATA / "free_best.json").read_text(encoding="utf-8"))[name]
    (layer,) = find_workloads(name)
    least = limit(layer, MACHINE)
    found: dict[str, int | None] = {"padding multiplied": least.gemm_all - least.gemm}
    for words, change in WITHOUT.items():
        schedule = replace(Schedule.from_dict(known["schedule"]), **change)
        try:
            cycles = simulate_timing(emit(schedule, layer, MACHINE)).cycles
        except ProgramError:
            found[words] = None
        else:
            found[words] = cycles - known["cycles"]
    return found


def table() -> str:
    """The table of the page."""
    heads = ["layer", "padding multiplied", *WITHOUT]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for name in names("free"):
        cells = ["does not fit" if n is None else f"{n:,}" for n in lost(name).values()]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table between its two marks made anew."""
    return between_marks(page, MARK, table())


def test_the_page_has_this_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(MARK) == 2
    assert page == with_table(page)


def test_each_freedom_gains_somewhere() -> None:
    """What is not used by a layer costs it nothing to lose."""
    for words in ("padding multiplied", *WITHOUT):
        gained = [lost(name)[words] for name in names("free")]
        assert any(n is None or n > 1000 for n in gained)  # None: nothing fits without it
        assert min(n for n in gained if n is not None) >= 0


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
