"""The rules of free schedules as a part of a page, generated from the rules themselves.

``python -m vtacsp.free.rules_section docs/beyond_the_template.md`` writes it; a test keeps
it current.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vtacsp.expr import to_text
from vtacsp.expr.nodes import Expression
from vtacsp.files import between_marks
from vtacsp.free.rules import RULES
from vtacsp.free.schedule_fields import FREE_SYMBOLS, PROCEDURES
from vtacsp.free.window_rules import WINDOW_RULES
from vtacsp.rules.rule import Rule

__all__ = ["MARK", "with_rules"]

MARK = "<!-- rules of free schedules -->"


def _cell(node: Expression) -> str:
    return f"`{to_text(node, expand=True)}`".replace("|", "\\|")


def _only(rule: Rule) -> str:
    """Of which layers a rule is, where it is not of all."""
    if rule in RULES:
        return "" if rule in WINDOW_RULES else " (products)"
    return " (the ALU by itself)"


def rules_text() -> str:
    """A table of the rules, and one of their words."""
    lines = [
        "| rule | cause | holds when | condition | reason |",
        "| --- | --- | --- | --- | --- |",
    ]
    for rule in (*RULES, *(rule for rule in WINDOW_RULES if rule not in RULES)):
        conditions = " and ".join(_cell(check.holds) for check in rule.checks)
        name = f"`{rule.name}`{_only(rule)}"
        lines.append(
            f"| {name} | `{rule.cause}` | {rule.title} | {conditions} | {rule.mechanism} |"
        )
    lines += ["", "| word | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {symbol.meaning} |" for name, symbol in FREE_SYMBOLS.items()]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in PROCEDURES.items()]
    return "\n".join(lines) + "\n"


def with_rules(page: str) -> str:
    """A page with the part between its two marks made anew."""
    return between_marks(page, MARK, rules_text())


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_rules(path.read_text(encoding="utf-8")), encoding="utf-8")
