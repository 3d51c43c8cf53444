"""The best free schedules found so far: they run right, and are as fast as the prototypes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from tests.support import DATA, ROOT
from vtacsp import VTAConfig
from vtacsp.free import Schedule, emit, limit
from vtacsp.functional import random_operands, reference, simulate
from vtacsp.operators.suites import find_workloads
from vtacsp.timing import simulate_timing

MACHINE = VTAConfig()
BEST = json.loads((DATA / "free_best.json").read_text(encoding="utf-8"))
ROWS = {
    row["layer"]: row
    for row in csv.DictReader((DATA / "free_schedules.csv").read_text().splitlines())
}

NETWORK = [name for name in ROWS if name.startswith("resnet18")]


def test_there_is_one_for_every_layer_that_was_measured() -> None:
    assert list(BEST) == list(ROWS)
    assert len(BEST) == 15


@pytest.mark.parametrize("name", BEST)
def test_it_takes_what_was_noted_and_no_longer_than_the_prototype(name: str) -> None:
    (layer,) = find_workloads(name)
    program = emit(Schedule.from_dict(BEST[name]["schedule"]), layer, MACHINE)
    cycles = simulate_timing(program).cycles
    assert cycles == BEST[name]["cycles"]
    assert limit(layer, MACHINE).cycles < cycles <= int(ROWS[name]["reached"]) * 1.002


@pytest.mark.parametrize("name", BEST)
def test_it_computes_the_layer(name: str) -> None:
    (layer,) = find_workloads(name)
    operands = random_operands(layer, MACHINE)
    program = emit(Schedule.from_dict(BEST[name]["schedule"]), layer, MACHINE)
    result = simulate(program, operands)
    assert np.array_equal(result.output, reference(layer, MACHINE, operands))
    assert set(result.tokens.values()) == {0}


def test_resnet18_as_a_whole() -> None:
    total = sum(int(ROWS[name]["times_in_network"]) * BEST[name]["cycles"] for name in NETWORK)
    assert total <= 6_582_111  # the prototypes


def table() -> str:
    """The table of the page on free schedules."""
    lines = [
        "| layer | times | template | prototype | free | faster than the template | limit | gap |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    sums = np.zeros(4, dtype=np.int64)
    for name, row in ROWS.items():
        template, reached, least = (int(row[k]) for k in ("template_best", "reached", "limit"))
        cycles, times = BEST[name]["cycles"], int(row["times_in_network"])
        if name in NETWORK:
            sums += times * np.array([template, reached, cycles, least])
        lines.append(_line(name, times, template, reached, cycles, least))
    count = sum(int(row["times_in_network"]) for name, row in ROWS.items() if name in NETWORK)
    lines.append(_line("ResNet-18", count, *sums.tolist()))
    return "\n".join(lines) + "\n"


def _line(name: str, times: int, template: int, reached: int, cycles: int, least: int) -> str:
    return (
        f"| {name} | {times} | {template:,} | {reached:,} | {cycles:,} | "
        f"{template / cycles - 1:.1%} | {least:,} | {cycles / least - 1:.2%} |"
    )


PAGE, MARK = ROOT / "docs" / "beyond_the_template.md", "<!-- layers -->"


def with_table(page: str) -> str:
    """The page with the table between its two marks made anew."""
    before, _, rest = page.partition(MARK)
    return f"{before}{MARK}\n{table()}{MARK}{rest.partition(MARK)[2]}"


def test_the_page_has_this_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(MARK) == 2
    assert page == with_table(page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
