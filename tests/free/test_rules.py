"""The rules of free schedules: what they accept is what can be built, runs, and is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from tests.support import ROOT
from tests.support.imports import graph, reached
from tests.support.layers import ON_ALU, OPERATORS
from tests.support.schedules import PLAIN, conv, drawn, random_case, refused
from vtacsp import VTAConfig, workload_from_dict
from vtacsp.expr import Env
from vtacsp.free import Schedule, emit
from vtacsp.free.moves import mutate, sample
from vtacsp.free.rules import RULES
from vtacsp.free.rules_section import MARK, with_rules
from vtacsp.free.schedule_fields import columns_of, numbers, schedule_of, schedule_symbols
from vtacsp.free.window_rules import WINDOW_RULES
from vtacsp.functional import execute, random_operands, reference
from vtacsp.operators.geometry import geometry
from vtacsp.operators.workload import Workload

MACHINE = VTAConfig()
ONE = workload_from_dict({
    "op": "avg_pool", "name": "one", "batch": 1, "channels": 16, "height": 16, "width": 16,
    "kernel": [1, 1],
})  # fmt: skip
"""A window of one value: all is loaded in place, and an ALU operation has to store it."""

CAUSES = {rule.name: rule.cause for rule in (*RULES, *WINDOW_RULES)}


def broken(schedules: Sequence[Schedule], layer: Workload, machine: VTAConfig) -> list[list[str]]:
    """The rules that each schedule breaks, by the vectorised check of all of them."""
    env = Env({**schedule_symbols(layer, machine), **columns_of(schedules)})
    rules = WINDOW_RULES if geometry(layer, machine).on_alu else RULES
    holds = {r.name: np.broadcast_to(env.evaluate(r.holds), (len(schedules),)) for r in rules}
    return [[name for name in holds if not holds[name][i]] for i in range(len(schedules))]


def says(rule: str) -> str:
    """What the emitter calls that a rule is broken."""
    if rule.startswith(("cut:", "pieces", "groups", "fixed")):
        return "schedule"
    return {"isa": "isa:", "isa:instruction": "isa:instruction"}.get(rule, CAUSES[rule])


def agree(schedules: Sequence[Schedule], layer: Workload, machine: VTAConfig) -> Counter[str]:
    """Compare the rules with the emitter; how often each cause comes up."""
    found: Counter[str] = Counter()
    for schedule, rules in zip(schedules, broken(schedules, layer, machine), strict=True):
        cause = refused(schedule, layer, machine)
        what = f"{cause} {rules} {layer} {machine} {schedule}"
        assert bool(cause) == bool(rules), what
        assert not cause or any(cause.startswith(says(rule)) for rule in rules), what
        found[cause.partition(":")[0] if cause.startswith("isa") else cause] += 1
    return found


@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_the_rules_say_what_the_emitter_does_and_what_runs_is_right(operator: str) -> None:
    rng = Random(f"rules {operator}")
    found: Counter[str] = Counter()
    for seed in range(40):
        case = random_case(operator, rng)
        if case is None:
            continue
        layer, machine = case
        g = geometry(layer, machine)
        schedules = [drawn(g, layer, machine, rng) for _ in range(6)]
        found += agree(schedules, layer, machine)
        if seed % 4 == 0:
            operands = random_operands(layer, machine, seed)
            right = reference(layer, machine, operands)
            for schedule, rules in zip(schedules, broken(schedules, layer, machine), strict=True):
                if not rules:
                    result = execute(emit(schedule, layer, machine), operands)
                    assert np.array_equal(result.output, right)
                    assert set(result.tokens.values()) == {0}
    assert found[""] > 40
    assert len({cause for cause, number in found.items() if number > 2}) >= (
        3 if operator in ("dense", *ON_ALU) else 5
    ), found


@pytest.mark.parametrize(
    ("cause", "rule", "layer", "machine", "change"),
    [
        ("tokens", "tokens", conv(300, 1), {}, {"rows": (300,), "load_rows": 1, "inp": 299}),
        ("", "", conv(300, 1), {}, {"rows": (300,), "load_rows": 1, "inp": 255}),
        ("isa", "isa", conv(257, 256), {}, {"rows": (4,) * 64 + (1,), "columns": (256,)}),
        ("sram:inp", "whole_load:inp", conv(4, 4), {"LOG_INP_BUFF_SIZE": 8},
         {"rows": (4,), "columns": (4,), "inp": 1}),
        ("", "", conv(4, 4), {"LOG_INP_BUFF_SIZE": 8},
         {"rows": (4,), "columns": (3, 1), "inp": 1}),
        ("sram:wgt", "whole_load:wgt", conv(4, 4, 4), {"LOG_WGT_BUFF_SIZE": 12},
         {"channels": (4,), "rows": (4,), "columns": (4,), "reduction": (4,), "wgt": 1}),
        ("", "", conv(4, 4, 4), {"LOG_WGT_BUFF_SIZE": 12},
         {"channels": (4,), "rows": (4,), "columns": (4,), "reduction": (4,), "wgt": 1,
          "begin": (2, 2)}),
        # the source of a pass is an accumulator: its factor, 400, need not fit an INP index
        ("", "", conv(20, 20, 2), {"LOG_INP_BUFF_SIZE": 12},
         {"channels": (2,), "rows": (20,), "columns": (20,), "reduction": (1, 1), "inp": 1,
          "acc": 1, "load_rows": 5, "finish": (2,), "finish_rows": (2, 3)}),
        ("sram:acc", "whole_load:acc", ONE, {"LOG_ACC_BUFF_SIZE": 14},
         {"rows": (16,), "columns": (16,), "acc": 1}),
        ("", "", ONE, {"LOG_ACC_BUFF_SIZE": 14},
         {"rows": (16,), "columns": (16,), "acc": 1, "last": (15, 1)}),
        ("tokens", "tokens", replace(ONE, height=600, width=1), {},
         {"rows": (1,) * 600, "columns": (1,), "acc": 256}),
        ("schedule", "fixed", ONE, {}, {"rows": (16,), "columns": (16,), "acc": 1, "wgt": 1}),
        ("isa", "isa:instruction", conv(2, 2), {"LOG_ACC_BUFF_SIZE": 18, "LOG_WGT_BUFF_SIZE": 15},
         {"rows": (2,), "columns": (2,)}),
    ],
)  # fmt: skip
def test_rare_causes(cause, rule, layer, machine, change):
    machine = MACHINE.replace(**machine)
    schedule = replace(PLAIN, **change)
    found = agree([schedule], layer, machine)
    assert list(found) == [cause]
    assert broken([schedule], layer, machine) == [[rule] if rule else []]


def test_a_schedule_survives_being_numbered() -> None:
    rng = Random(5)
    g = geometry(conv(12, 12, 4), MACHINE)
    for _ in range(40):
        schedule = mutate(sample(g, rng), g, rng)
        assert schedule_of(numbers(schedule)) == schedule


def test_the_two_opinions_know_nothing_of_each_other() -> None:
    names = ("emit", "walk", "multiply", "micro_ops", "transfers", "dependences", "table", "tiles",
             "window_tiles", "window_walk")  # fmt: skip
    emitter = {f"vtacsp.free.{name}" for name in names}
    names = ("rules", "schedule_fields", "demand", "kernel_demand", "window_rules",
             "window_demand")  # fmt: skip
    rules = {f"vtacsp.free.{name}" for name in names}
    assert not reached(rules, graph()) & emitter
    assert not reached(emitter, graph()) & rules


PAGE = ROOT / "docs" / "beyond_the_template.md"


def test_the_page_has_the_rules(request) -> None:
    page = PAGE.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        PAGE.write_text(with_rules(page), encoding="utf-8")
    assert page.count(MARK) == 2
    assert page == with_rules(page)
    for rule in RULES:
        assert rule.title
        assert len(rule.mechanism) > 20
        assert rule.message
