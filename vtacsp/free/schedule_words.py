"""Rules and values of free schedules from text, as people write them on a command line."""

from __future__ import annotations

import re
from typing import Any

from vtacsp.errors import RuleError, ScheduleError, shortened
from vtacsp.expr import Int, parse
from vtacsp.free import schedule_fields as words
from vtacsp.free.schedule import Schedule
from vtacsp.free.schedule_fields import FIELDS, FREE_SYMBOLS, PARTITIONS, WORDS, number
from vtacsp.rules.rule import Rule
from vtacsp.rules.symbols import ALL_SYMBOLS
from vtacsp.rules.written import rule_of

__all__ = ["FUNCTIONS", "WORDS_OF_RULES", "field_value", "schedule_rule"]

FUNCTIONS = {
    "parts": words.parts, "largest": words.largest, "smallest": words.smallest,
    "opening": words.opening, "closing": words.closing, "total": words.total,
}  # fmt: skip
"""What is known of a partition: how many parts, the largest, smallest, first, last, and all."""

_CHUNKS = ("inp_chunk", "wgt_chunk", "acc_tile")
_LAYER = ("N", "CI", "CO", "G", "OH", "OW", "KH", "KW")
WORDS_OF_RULES: dict[str, Int] = {
    **{name: FREE_SYMBOLS[name] for name in FIELDS},
    **{name: words.chunk_size(name) for name in _CHUNKS},
    **{name: words.demanded(name) for name in ("micro_ops", "tokens")},
    **{name: ALL_SYMBOLS[name] for name in _LAYER},
}
"""The words of such rules: fields, sizes of chunks and tiles, micro-ops, tokens, the layer."""


def schedule_rule(text: str) -> Rule:
    """The rule about free schedules that a text says; its name is the text.

    Raises :class:`~vtacsp.errors.RuleError`.

    >>> from vtacsp.free.schedule_words import schedule_rule
    >>> few = schedule_rule("inp <= 2 and parts(channels) == 2 and form != 'all'")
    >>> space = FreeSpace(Dense(in_features=32, out_features=32), rules=[few])
    >>> all(s.inp <= 2 and len(s.channels) == 2 and s.form != "all" for s in space.sample(3))
    True
    """
    condition = parse(text, WORDS_OF_RULES, FUNCTIONS, _coded, PARTITIONS)
    return rule_of(text, condition, frozenset((*PARTITIONS, *WORDS)))


def _coded(name: str, value: str | tuple[int, ...]) -> int:
    """What a word in quotes, or a list of sizes, is as a number."""
    if name in PARTITIONS and not isinstance(value, str):
        if any(size < 1 for size in value):
            raise RuleError(f"the sizes of {name} are at least 1")
        return number(value)
    if name in WORDS and isinstance(value, str):
        known = [str(word).lower() for word in WORDS[name]]
        if value not in known:
            raise RuleError(f"{name} is one of {', '.join(known)}, not {shortened(value)}")
        return known.index(value)
    raise RuleError(f"{name} is not compared with {shortened(value)}")


_SIZE = re.compile(r"([0-9]{1,9})(?:x([0-9]{1,4}))?")
_TRUTH = {"false": False, "0": False, "true": True, "1": True}
_NEEDED = ("channels", "rows", "columns", "reduction")


def field_value(text: str) -> tuple[str, Any]:
    """A field of a schedule and its value, from ``NAME=VALUE``.

    Sizes are separated by ``,`` or ``+``, ``7x2`` is twice 7, nothing is the empty partition.
    Raises :class:`~vtacsp.errors.ScheduleError`.

    >>> from vtacsp.free.schedule_words import field_value
    >>> field_value("rows=7x2+1"), field_value("begin="), field_value("form=row")
    (('rows', (7, 7, 1)), ('begin', ()), ('form', 'row'))
    """
    name, found, value = text.partition("=")
    if not found or name not in FIELDS:
        raise ScheduleError(
            f"{shortened(text)} is not NAME=VALUE with a field of a schedule: {', '.join(FIELDS)}"
        )
    plain: dict[str, Any] = dict.fromkeys(_NEEDED, (1,))
    return name, getattr(Schedule(**{**plain, name: _read(name, value)}), name)


def _read(name: str, value: str) -> Any:
    if name in PARTITIONS:
        sizes: list[int] = []
        for word in re.split("[,+]", value) if value else ():
            size = _SIZE.fullmatch(word.strip())
            if size is None:
                raise ScheduleError(
                    f"{name} is {shortened(value)}, allowed are sizes as 7,7 or 7x2"
                )
            sizes += [int(size[1])] * int(size[2] or 1)
        return tuple(sizes)
    if name == "snake":
        return _TRUTH.get(value.lower(), value)
    if name in WORDS:
        return value
    return int(value) if re.fullmatch("[0-9]{1,9}", value) else value
