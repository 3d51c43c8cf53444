"""``--rule`` and ``--fix``: rules of one's own about configurations, or about free schedules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vtacsp.cli.options import pick_config
from vtacsp.errors import VtacspError, shortened

if TYPE_CHECKING:
    from vtacsp.free import FreeSpace
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.operators.workload import Workload
    from vtacsp.rules.rule import Rule

__all__ = ["OwnRules", "own_rules_options"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class OwnRules:
    """What the options say, as text: it goes to worker processes, and is made there."""

    rules: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rules or self.fixed)

    def refuse(self, where: str) -> None:
        """Raise :class:`~vtacsp.errors.VtacspError` where they do not belong."""
        for option, values in (("--rule", self.rules), ("--fix", self.fixed)):
            for value in values[:1]:
                raise VtacspError(f"{option} {shortened(value)} {where}")

    def of_template(self) -> list[Rule]:
        """Rules about configurations; raises :class:`~vtacsp.errors.VtacspError`."""
        from vtacsp.expr import any_of
        from vtacsp.rules.rule import Rule
        from vtacsp.rules.symbols import ALL_SYMBOLS
        from vtacsp.rules.written import written_rule

        found = [written_rule(text) for text in self.rules]
        given: dict[str, list[int]] = {}
        for word in self.fixed:
            ((name, value),) = pick_config([word], "--fix").items()
            if name not in ALL_SYMBOLS:
                raise VtacspError(f"--fix {shortened(word)}: {shortened(name)} is no knob")
            given.setdefault(name, []).append(value)
        for name, values in given.items():
            condition = any_of(*(ALL_SYMBOLS[name] == value for value in values))
            text = f"{name} is {' or '.join(map(str, values))}"
            found.append(Rule.of(text, condition, f"{name} is {{value}}", value=ALL_SYMBOLS[name]))
        return found

    def of_free(self) -> tuple[list[Rule], dict[str, list[Any]]]:
        """Rules about free schedules, and the given values of fields.

        Raises :class:`~vtacsp.errors.VtacspError`.
        """
        from vtacsp.free.schedule_words import field_value, schedule_rule

        values: dict[str, list[Any]] = {}
        for word in self.fixed:
            name, value = field_value(word)
            values.setdefault(name, []).append(value)
        return [schedule_rule(text) for text in self.rules], values

    def space(self, layer: Workload, machine: VTAConfig) -> FreeSpace:
        """The free schedules of a layer under them; raises as :meth:`of_free`, and the space's."""
        from vtacsp.free import FreeSpace

        rules, values = self.of_free()
        return FreeSpace(layer, machine, rules, **values)


def own_rules_options(function: F) -> F:
    """``--rule`` and ``--fix``, as one argument ``own``."""

    @functools.wraps(function)
    def command(*args: Any, rules: tuple[str, ...], fixed: tuple[str, ...], **others: Any) -> Any:
        return function(*args, own=OwnRules(rules, fixed), **others)

    command = click.option(
        "--fix",
        "fixed",
        metavar="NAME=VALUE",
        multiple=True,
        help="A knob, or with --free a field of the schedule, that has this value, as rows=7,7 "
        "(repeatable; several of one name: any of them).",
    )(command)
    return click.option(  # type: ignore[return-value]
        "--rule",
        "rules",
        metavar="CONDITION",
        multiple=True,
        help="A rule of your own, such as 'tile_h <= 7', with --free 'inp <= 2 and largest(rows) "
        "<= 7' (repeatable).",
    )(command)
