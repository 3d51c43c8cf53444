"""What a rule is: a named condition, where the stack tests it, and how to say that it fails."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from vtacsp.errors import RuleError
from vtacsp.expr import Bool, Int, all_of

__all__ = ["Check", "Rule", "Stage", "refuse_unknown"]


class Stage(IntEnum):
    """Where the stack meets a check, in its order; the first one that fails is reported.

    >>> Stage.ALLOC_ACC < Stage.TOTAL_ACC
    True
    """

    TENSORIZE = 10
    ALLOC_ACC = 20
    ALLOC_INP = 21
    ALLOC_WGT = 22
    LEFT_GUARD = 28
    LEFT_2D = 29
    INP_GUARD = 30
    INP_CLIP = 31
    INP_PAD = 32
    INP_2D = 33
    WGT_GUARD = 40
    WGT_2D = 41
    OPERAND_GUARD = 45
    OPERAND_2D = 46
    STORE_GUARD = 50
    STORE_CAST = 51
    STORE_2D = 52
    TOTAL_ACC = 60
    TOTAL_INP = 61
    TOTAL_WGT = 62
    ALU = 70
    ALU_SUBTRACTION = 71
    ALU_AFTER = 72
    UOP_SIGNATURE = 80
    UOP_HAZARD = 81
    UOP_SIZE = 82
    RESULT = 90
    RACE = 95
    """Where upstream's simulator sees nothing and the hardware computes wrong numbers."""
    USER = 100


@dataclass(frozen=True)
class Check:
    """A condition at the point where the stack would stop when it does not hold.

    >>> from vtacsp.rules.symbols import tile_h
    >>> check = Check(Stage.USER, tile_h <= 7)
    >>> vtacsp.expr.to_text(check.holds)
    'tile_h <= 7'
    """

    stage: Stage
    holds: Bool


@dataclass(frozen=True)
class Rule:
    """A named condition that a feasible configuration meets.

    ``name`` identifies the rule, ``cause`` is the label that the stack's failure has in the
    ground truth (several rules may share one).  ``message`` is a format string over
    ``quantities``, expressions that are evaluated for the configuration that is explained.
    ``grows`` is the ``vta_config.json`` key whose growth can satisfy the rule, if any.

    Rules of your own take one condition::

        Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "virtual threads are used")

    >>> from vtacsp.rules.symbols import oc_nthread
    >>> rule = Rule.of("one_thread", oc_nthread == 1, "virtual threads are used")
    >>> layer = vtacsp.suite("resnet18")[9]
    >>> len(vtacsp.compile(layer)), len(vtacsp.compile(layer, rules=[rule]))
    (40, 22)
    """

    name: str
    checks: tuple[Check, ...]
    message: str
    title: str = ""
    mechanism: str = ""
    cause: str = ""
    quantities: Mapping[str, Int] = field(default_factory=dict)
    grows: str | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.checks:
            raise RuleError(f"a rule needs a name and a condition, got {self.name!r}")
        for check in self.checks:
            if not isinstance(check.holds, Bool):
                raise RuleError(
                    f"rule {self.name}: the condition must be a Bool expression, "
                    f"got {type(check.holds).__name__}"
                )
        object.__setattr__(self, "cause", self.cause or self.name)
        # built once: sub-expressions are shared between evaluations by identity
        object.__setattr__(self, "_holds", all_of(*(check.holds for check in self.checks)))

    @classmethod
    def of(
        cls, name: str, holds: Bool, message: str = "", *, title: str = "", **quantities: Int
    ) -> Rule:
        """A rule of your own, tested after all of the stack's."""
        return cls(
            name=name,
            checks=(Check(Stage.USER, holds),),
            message=message or f"the rule {name} does not hold",
            title=title,
            quantities=quantities,
        )

    @property
    def seen_by_stack(self) -> bool:
        """Whether upstream's compiler, runtime or functional simulator meets one of the checks."""
        return any(check.stage <= Stage.RESULT for check in self.checks)

    @property
    def holds(self) -> Bool:
        """The condition."""
        holds: Bool = getattr(self, "_holds")  # noqa: B009 - set on a frozen instance
        return holds

    def __hash__(self) -> int:
        return hash(self.name)


def refuse_unknown(rules: Iterable[Rule], known: Collection[str], of: str) -> None:
    """Refuse two rules of one name, and a symbol that there is not.

    ``known`` are the symbols of what the rules are about, ``of`` what that is called.  Raises
    :class:`~vtacsp.errors.RuleError`.
    """
    names: set[str] = set()
    for rule in rules:
        if rule.name in names:
            raise RuleError(f"two rules have the name {rule.name}")
        names.add(rule.name)
        unknown = sorted(rule.holds.symbols - set(known))
        if unknown:
            raise RuleError(
                f"rule {rule.name}: {unknown[0]} is no symbol of {of}; "
                f"known are {', '.join(sorted(known))}"
            )
