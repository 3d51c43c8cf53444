"""Rules of your own from text: ``tile_h <= 7 and oc_nthread == 1``."""

from __future__ import annotations

from vtacsp.expr import Bool, parse, to_text, told
from vtacsp.rules.rule import Rule
from vtacsp.rules.symbols import ALL_SYMBOLS

__all__ = ["rule_of", "written_rule"]


def written_rule(text: str) -> Rule:
    """The rule about configurations that a text says.

    Its words are those of :data:`vtacsp.rules.symbols.ALL_SYMBOLS`, its name is the text.  Raises
    :class:`~vtacsp.errors.RuleError`.

    >>> from vtacsp.rules.written import written_rule
    >>> space = vtacsp.compile(vtacsp.suite("resnet18")[9], rules=[written_rule("oc_nthread == 1")])
    >>> len(space), space.explain(219).violations[0].message
    (22, 'does not hold, oc_nthread is 2')
    """
    return rule_of(text, parse(text, ALL_SYMBOLS))


def rule_of(text: str, condition: Bool, hidden: frozenset[str] = frozenset()) -> Rule:
    """A rule named by its text, whose message has the numbers that it compares.

    Those of ``hidden`` symbols mean nothing to people.
    """
    name = " ".join(text.split())
    numbers = {t: node for t, node in told(condition).items() if t not in hidden}
    named = {f"value{place}": node for place, node in enumerate(numbers.values())}
    values = "".join(f", {t} is {{{key}:,}}" for t, key in zip(numbers, named, strict=True))
    message = f"does not hold{values}"
    return Rule.of(name, condition, message, title=to_text(condition), **named)
