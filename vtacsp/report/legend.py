"""The legend of a page: which causes it has, their colours and what they mean."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from vtacsp.report.palette import colours
from vtacsp.rules import Rule
from vtacsp.space.problem import OK
from vtacsp.space.statistics import SpaceStatistics

__all__ = ["Legend"]


class Legend:
    """Colours and meanings of the causes of some layers."""

    def __init__(self, layers: Iterable[tuple[Iterable[Rule], SpaceStatistics]]) -> None:
        needs: dict[str, dict[str, None]] = {}
        self.cause_of: dict[str, str] = {}
        present = {OK}
        for rules, counts in layers:
            for rule in rules:
                self.cause_of[rule.name] = rule.cause
                needs.setdefault(rule.cause, {})[rule.title or rule.name] = None
            present.update(self.cause_of[name] for name in counts.any)
        self.colours = colours(present)
        self.meanings = {cause: "needs: " + "; ".join(titles) for cause, titles in needs.items()}
        self.meanings[OK] = "builds, runs and computes right"

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


def label(cause: str) -> str:
    """How a page calls a cause."""
    return "feasible" if cause == OK else cause
