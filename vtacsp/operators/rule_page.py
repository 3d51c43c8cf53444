"""The catalogue of rules as a page, generated from the rules themselves.

``python -m vtacsp.operators.rule_page docs/rules.md`` writes it; a test keeps it current.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vtacsp.expr import Symbol, definitions, to_text
from vtacsp.expr.nodes import Expression
from vtacsp.machine.design import BUILDABLE, UNCHANGED, WHOLE
from vtacsp.machine.legality import LEGALITY
from vtacsp.operators.catalogue import all_catalogues
from vtacsp.rules.rule import Rule
from vtacsp.rules.symbols import ALL_SYMBOLS

__all__ = ["catalogue_page"]

_INTRODUCTION = """\
# The catalogue of rules

Generated from `vtacsp/operators` and `vtacsp/rules` by
`python -m vtacsp.operators.rule_page docs/rules.md`; do not edit.

A configuration is feasible when every rule of its operator holds. Each rule is written once, as
the expression below; the CP-SAT model, the vectorised check and the explanation are made from
it. *Cause* is the label that the failure has in the ground truth. *Checked at* lists where the
stack meets the condition, in its order: the first check that fails is the cause it reports.
Conditions are Python-like: `//` rounds down, `[c]` is 1 where `c` holds and 0 elsewhere, names
that are no symbols are defined at the end of their section. Words and causes in plain language:
[the glossary](glossary.md).
"""


def catalogue_page() -> str:
    """The whole catalogue as Markdown."""
    parts = [_INTRODUCTION, _overview()]
    operators: dict[tuple[Rule, ...], list[str]] = {}
    for op, rules in all_catalogues().items():
        operators.setdefault(rules, []).append(op)
    for rules, ops in operators.items():
        parts.append(_section(" and ".join(ops), rules))
    parts.append(
        _section(
            "hardware",
            LEGALITY,
            "A description that breaks one of these is refused when it is read.",
        )
    )
    parts.append(
        _section(
            "the Chisel design",
            BUILDABLE,
            "The design cannot be built for a machine and a memory bus that break one of these; "
            "the stack does not know them, and nothing is refused. `LOG_BUS_BYTES` is log2 of the "
            "bytes of a beat. See [timing](timing.md).",
        )
    )
    parts.append(
        _section(
            "the Chisel design as it is",
            UNCHANGED,
            "Where one of these does not hold, the design needs its sources changed for the "
            "machine.",
        )
    )
    parts.append(
        _section(
            "programs that the Chisel design gets wrong",
            WHOLE,
            "Where one of these does not hold, a program with such a load may compute wrong "
            "numbers; most programs have none.",
        )
    )
    parts.append(_symbols())
    return "\n".join(parts)


def _overview() -> str:
    lines = ["| rule | cause | operators | holds when |", "| --- | --- | --- | --- |"]
    titles: dict[tuple[str, str, str], list[str]] = {}
    for op, rules in all_catalogues().items():
        for rule in rules:
            titles.setdefault((rule.name, rule.cause, rule.title), []).append(op)
    for (name, cause, title), ops in titles.items():
        lines.append(f"| `{name}` | `{cause}` | {', '.join(ops)} | {title} |")
    return "\n".join(lines) + "\n"


def _section(name: str, rules: Sequence[Rule], note: str = "") -> str:
    lines = [f"## {name}", ""]
    if note:
        lines += [note, ""]
    for rule in rules:
        lines += _rule(rule)
    roots = [check.holds for rule in rules for check in rule.checks]
    lines += ["### Definitions", ""]
    for label, node in sorted(definitions(*roots).items()):
        lines.append(f"- `{label}` = `{to_text(node, expand=True)}`")
    return "\n".join(lines) + "\n"


def _rule(rule: Rule) -> list[str]:
    lines = [f"### `{rule.name}`: {rule.title}", "", rule.mechanism, ""]
    facts = [f"Cause `{rule.cause}`."]
    if rule.grows:
        facts.append(f"A larger `{rule.grows}` can satisfy it.")
    lines += [" ".join(facts), "", "| checked at | condition |", "| --- | --- |"]
    for check in rule.checks:
        lines.append(f"| {check.stage.name} | `{_cell(check.holds)}` |")
    return [*lines, "", f"Explained as: *{rule.message}*", ""]


def _cell(node: Expression) -> str:
    return to_text(node, expand=True).replace("|", "\\|")


def _symbols() -> str:
    lines = ["## Symbols", "", "| symbol | meaning |", "| --- | --- |"]
    for symbol in ALL_SYMBOLS.values():
        assert isinstance(symbol, Symbol)
        lines.append(f"| `{symbol.name}` | {symbol.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(catalogue_page(), encoding="utf-8")
