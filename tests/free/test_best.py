"""The best free schedules found so far: they run right, and are as fast as the prototypes."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from tests.support import DATA, ROOT
from tests.support.golden import free_schedules, names
from vtacsp import VTAConfig
from vtacsp.files import between_marks
from vtacsp.free import Schedule, emit, limit
from vtacsp.functional import execute, random_operands, reference
from vtacsp.network.find import find_workloads
from vtacsp.timing import simulate_timing

MACHINE = VTAConfig()
NAMES = names("free")


@cache
def best():
    return json.loads((DATA / "free_best.json").read_text(encoding="utf-8"))


def network():
    return [name for name in NAMES if name.startswith("resnet18")]


def test_there_is_one_for_every_layer_that_was_measured() -> None:
    assert list(best()) == list(free_schedules()) == NAMES
    assert len(best()) == 15


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_what_was_noted_and_no_longer_than_the_prototype(name: str) -> None:
    (layer,) = find_workloads(name)
    program = emit(Schedule.from_dict(best()[name]["schedule"]), layer, MACHINE)
    cycles = simulate_timing(program).cycles
    assert cycles == best()[name]["cycles"]
    assert limit(layer, MACHINE).cycles < cycles <= int(free_schedules()[name]["reached"]) * 1.002


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_the_layer(name: str) -> None:
    (layer,) = find_workloads(name)
    operands = random_operands(layer, MACHINE)
    program = emit(Schedule.from_dict(best()[name]["schedule"]), layer, MACHINE)
    result = execute(program, operands)
    assert np.array_equal(result.output, reference(layer, MACHINE, operands))
    assert set(result.tokens.values()) == {0}


def test_resnet18_as_a_whole() -> None:
    total = sum(
        int(free_schedules()[name]["times_in_network"]) * best()[name]["cycles"]
        for name in network()
    )
    assert total <= 6_582_111  # the prototypes


def table() -> str:
    """The table of the page on free schedules."""
    lines = [
        "| layer | times | template | prototype | free | faster than the template | limit | gap |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    sums = np.zeros(4, dtype=np.int64)
    for name, row in free_schedules().items():
        template, reached = (int(row[k]) for k in ("template_best", "reached"))
        (layer,) = find_workloads(name)
        least = limit(layer, MACHINE).cycles
        cycles, times = best()[name]["cycles"], int(row["times_in_network"])
        if name in network():
            sums += times * np.array([template, reached, cycles, least])
        lines.append(_line(name, times, template, reached, cycles, least))
    count = sum(
        int(row["times_in_network"]) for name, row in free_schedules().items() if name in network()
    )
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
    return between_marks(page, MARK, table())


def test_the_page_has_this_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count(MARK) == 2
    assert page == with_table(page)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
