"""What a space leaves of a search: fields that have given values, and rules of one's own."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from vtacsp.expr import Env
from vtacsp.free.moves import fitted
from vtacsp.free.schedule import Schedule
from vtacsp.free.schedule_fields import numbers

if TYPE_CHECKING:
    from vtacsp.free.space import FreeSpace

__all__ = ["Narrowed"]


class Narrowed:
    """A space as the search asks for it: one schedule at a time.

    >>> from random import Random
    >>> from vtacsp.free.narrowed import Narrowed
    >>> space = FreeSpace(vtacsp.suite("resnet18")[9], inp=[2])
    >>> plain = Schedule(channels=(32,), rows=(7,), columns=(7,), reduction=(1,) * 16, inp=3)
    >>> found = Narrowed(space)
    >>> found.pulled(plain, Random(0)).inp, found.holds(plain)
    (2, False)
    """

    def __init__(self, space: FreeSpace) -> None:
        self._space = space
        self._given = {name: frozenset(values) for name, values in space.points.given.items()}

    def pulled(self, schedule: Schedule, rng: Random) -> Schedule:
        """The schedule with one of the given values, where it has another.

        A ramp that does not fit its tile is left out, as everywhere.
        """
        changes: dict[str, Any] = {}
        for name, values in self._space.points.given.items():
            if getattr(schedule, name) not in self._given[name]:
                changes[name] = rng.choice(values)
        if not changes:
            return schedule
        return fitted(schedule.changed(**changes), self._space.geometry)

    def holds(self, schedule: Schedule) -> bool:
        """Whether it has given values only, and keeps the rules of one's own."""
        if any(getattr(schedule, name) not in values for name, values in self._given.items()):
            return False
        env = Env({**self._space.constants, **numbers(schedule)})
        return all(env.evaluate(rule.holds) for rule in self._space.user_rules)
