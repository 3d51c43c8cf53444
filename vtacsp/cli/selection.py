"""Which records of tuning logs a command takes: by machine, device and layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vtacsp.errors import LogError

if TYPE_CHECKING:
    from vtacsp.tune import Record

__all__ = ["Selection", "selection_options"]

F = TypeVar("F", bound=Callable[..., Any])

UNKNOWN = "unknown"  # the device of records that do not say


@dataclass(frozen=True)
class Selection:
    """The values of :func:`selection_options`; an option that is not given takes everything."""

    machines: tuple[str, ...]
    devices: tuple[str, ...]
    layers: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.machines or self.devices or self.layers)

    def of(self, records: Sequence[Record]) -> list[Record]:
        """The records of these machines, devices and layers.

        Raises :class:`~vtacsp.errors.LogError` for a value that no record has, and when no record
        has all of them.
        """
        chosen = list(records)
        for option, wanted, value in (
            ("--machine", self.machines, _machine),
            ("--device", self.devices, _device),
            ("--layer", self.layers, _layer),
        ):
            known = list(dict.fromkeys(map(value, records)))
            for word in wanted:
                if word not in known:
                    there = ", ".join(known[:20]) or "none"
                    raise LogError(f"{option} {word[:80]}: no record is of it; there are {there}")
            if wanted:
                chosen = [record for record in chosen if value(record) in wanted]
        if self and not chosen:
            raise LogError("no record is of this machine, device and layer together")
        return chosen


def selection_options(function: F) -> F:
    """``--machine``, ``--device`` and ``--layer``, each repeatable."""
    for name, metavar, text in (
        ("layers", "NAME", "Only records of this layer, by the name in the log (repeatable)."),
        ("devices", "NAME", f"Only what this device measured; {UNKNOWN}: what does not say."),
        ("machines", "NAME", "Only records of this machine, as sim_1x16_i8w8a32_15_15_18_17."),
    ):
        option = f"--{name[:-1]}"
        function = click.option(option, name, metavar=metavar, multiple=True, help=text)(function)
    return function


def _machine(record: Record) -> str:
    return record.task.model


def _device(record: Record) -> str:
    return record.device or UNKNOWN


def _layer(record: Record) -> str:
    return record.workload
