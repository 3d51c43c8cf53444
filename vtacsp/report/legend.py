"""The legend of a page: which causes it has, their colours and what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from vtacsp.causes import OK
from vtacsp.glossary import CAUSES
from vtacsp.report.palette import colours
from vtacsp.rules import Rule, Stage
from vtacsp.space.statistics import SpaceStatistics

__all__ = ["Legend"]


class Legend:
    """Colours and meanings of the causes of some layers."""

    def __init__(self, layers: Iterable[tuple[Iterable[Rule], SpaceStatistics]]) -> None:
        self.cause_of: dict[str, str] = {}
        self.rules: dict[str, dict[str, str]] = {}  # cause -> rule -> what it asks for
        self.meanings = dict(CAUSES)
        present = {OK}
        for rules, counts in layers:
            for rule in rules:
                self.cause_of[rule.name] = rule.cause
                self.rules.setdefault(rule.cause, {})[rule.name] = rule.title
                self.meanings.setdefault(rule.cause, _own_words(rule))
            present.update(self.cause_of[name] for name in counts.any)
        self.colours = colours(present)

    def first_causes(self, counts: SpaceStatistics) -> dict[str, int]:
        """Configurations by cause, feasible ones first, then in legend order."""
        sums = {OK: counts.feasible}
        for rule, n in counts.first.items():
            sums[self.cause_of[rule]] = sums.get(self.cause_of[rule], 0) + n
        return {cause: sums[cause] for cause in self.colours if sums.get(cause)}

    def html(self) -> str:
        """The keys in legend order."""
        return "".join(
            f'<span class="key" data-cause="{escape(cause)}" data-colour="{colour}" '
            f'title="{escape(self.meanings[cause])}"><i style="background:{colour}"></i>'
            f"{escape(label(cause))}</span>"
            for cause, colour in self.colours.items()
        )

    def table(self) -> str:
        """Section with what each cause means, in words, and the rules behind it."""
        rows = "".join(
            f'<tr><td><i class="swatch" style="background:{colour}"></i><b>'
            f"{escape(label(cause))}</b></td><td>{escape(self.meanings[cause])}"
            f"{self._asked(cause)}</td></tr>"
            for cause, colour in self.colours.items()
        )
        return (
            '<section id="causes"><h2>What the causes mean</h2><table class="meanings"><tbody>'
            f'{rows}</tbody></table><p class="note">Words such as micro-op or virtual thread: '
            '<a href="#glossary">the glossary</a>. The numbers of one configuration: '
            "<code>vtacsp explain LAYER --index N</code>. Every rule with its condition: "
            "docs/rules.md of the repository.</p></section>"
        )

    def _asked(self, cause: str) -> str:
        """The rules of a cause, with what they ask for."""
        asked = "; ".join(
            f"{escape(rule)}: {escape(title)}" if title else escape(rule)
            for rule, title in self.rules.get(cause, {}).items()
        )
        return f'<div class="soft">Rule {asked}</div>' if asked else ""


def label(cause: str) -> str:
    """How a page calls a cause."""
    return "feasible" if cause == OK else cause


def _own_words(rule: Rule) -> str:
    """What a cause that the glossary does not have means."""
    whose = "A rule of your own" if rule.checks[0].stage is Stage.USER else "A rule of the stack"
    return f"{whose}: {rule.title or rule.name}."
