"""The knob grid of VTA's AutoTVM templates: candidates in order, index <-> configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.errors import ConfigError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload

__all__ = ["BLOCK", "Config", "ConfigLike", "Knob", "KnobSpace"]

Config = dict[str, int]
"""Knob name -> value: the inner factor of a split (``tile_*``), a number of virtual threads.

>>> config: Config = vtacsp.compile(vtacsp.suite("resnet18")[9])[7]
>>> config["tile_w"], config["tile_ci"]
(1, 1)
"""

ConfigLike = Mapping[str, int] | int
"""A configuration, or its AutoTVM index: what takes the one takes the other."""

THREAD_COUNTS = (1, 2)
SHOWN = 24  # candidates that a message lists

BLOCK = 1 << 17
"""Configurations that are looked at together."""


@dataclass(frozen=True)
class Knob:
    """One knob: its candidate values in AutoTVM's order.

    ``inert`` knobs are defined by the schedule and never applied: configurations that differ
    only there are one program.  ``inert_where`` names another knob and the value of it with
    which this one has no effect.

    >>> Knob("tile_h", (1, 7)).position(7)
    1
    """

    name: str
    values: tuple[int, ...]
    inert: bool = False
    inert_where: tuple[str, int] | None = None

    def position(self, value: int) -> int:
        """Position of a value among the candidates."""
        if value not in self.values or isinstance(value, bool):
            allowed = ", ".join(map(str, self.values[:SHOWN]))
            if len(self.values) > SHOWN:
                allowed += f" and {len(self.values) - SHOWN} more up to {self.values[-1]}"
            raise ConfigError(f"{self.name} is {shortened(value)}, allowed are {allowed}")
        return self.values.index(value)


class KnobSpace:
    """Cartesian grid of knobs; the first knob is the fastest digit of the AutoTVM index.

    The index of AutoTVM 0.17 (``ConfigSpace.get``) is the mixed-radix number whose digits are
    the candidate positions.

    >>> knobs = KnobSpace.of(vtacsp.suite("resnet18")[9], VTAConfig())
    >>> len(knobs), knobs.index(knobs.config(500))
    (576, 500)
    """

    def __init__(self, knobs: tuple[Knob, ...]) -> None:
        self.knobs = knobs
        self.shape = tuple(len(knob.values) for knob in knobs)
        self._strides = [prod(self.shape[:i]) for i in range(len(knobs))]

    @classmethod
    def of(cls, workload: Workload, hardware: VTAConfig) -> KnobSpace:
        """The grid that upstream's template defines for a workload.

        Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed.
        """
        splits = [Knob(name, _divisors(extent)) for name, extent in workload.axes(hardware).items()]
        inert, where = workload.inert_batch
        splits[0] = replace(splits[0], inert=inert, inert_where=where)
        return cls((*splits, *(Knob(name, THREAD_COUNTS) for name in workload.thread_knobs)))

    @property
    def names(self) -> tuple[str, ...]:
        """Knob names in order."""
        return tuple(knob.name for knob in self.knobs)

    def __len__(self) -> int:
        return prod(self.shape)

    def __iter__(self) -> Iterator[Config]:
        return (self.config(index) for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnobSpace) and self.knobs == other.knobs

    def __hash__(self) -> int:
        return hash(self.knobs)

    def config(self, index: int) -> Config:
        """Configuration of an AutoTVM index."""
        rest = self._check_index(index)
        config = {}
        for knob in self.knobs:
            rest, digit = divmod(rest, len(knob.values))
            config[knob.name] = knob.values[digit]
        return config

    def index(self, config: ConfigLike) -> int:
        """AutoTVM index of a configuration, or an index as it is, checked.

        Every knob must be given, and no other.  Raises :class:`~vtacsp.errors.ConfigError`.
        """
        if not isinstance(config, Mapping):
            return self._check_index(config)
        unknown = [name for name in config if name not in self.names]
        if unknown:
            raise ConfigError(
                f"unknown knob {shortened(unknown[0])}; knobs are {', '.join(self.names)}"
            )
        index = 0
        for knob in reversed(self.knobs):
            if knob.name not in config:
                raise ConfigError(f"knob {knob.name} is missing from the configuration")
            index = index * len(knob.values) + knob.position(config[knob.name])
        return index

    def digits(self, indices: IntArray) -> IntArray:
        """Candidate positions, shape (len(indices), number of knobs)."""
        rest = np.asarray(indices, dtype=np.int64)
        columns = []
        for size in self.shape:
            rest, digit = np.divmod(rest, size)
            columns.append(digit)
        return np.stack(columns, axis=-1)

    def columns(self, indices: IntArray) -> dict[str, IntArray]:
        """Knob values, one array per knob, aligned with ``indices``."""
        digits = self.digits(indices)
        return {
            knob.name: np.asarray(knob.values, dtype=np.int64)[digits[..., i]]
            for i, knob in enumerate(self.knobs)
        }

    def blocks(self, without: Collection[str] = ()) -> Iterator[IntArray]:
        """All indices, ascending, some at a time, so that what is computed of them stays small.

        ``without`` are knobs that stay at their first candidate.
        """
        walked = [i for i, knob in enumerate(self.knobs) if knob.name not in without]
        size = prod(self.shape[i] for i in walked)
        for begin in range(0, size, BLOCK):
            rest = np.arange(begin, min(begin + BLOCK, size), dtype=np.int64)
            indices = np.zeros_like(rest)
            for i in walked:
                rest, digit = np.divmod(rest, self.shape[i])
                indices += digit * self._strides[i]
            yield indices

    def program(self, indices: IntArray) -> IntArray:
        """Representative index of the program behind each index: idle knobs at digit 0."""
        result: IntArray = np.array(indices, dtype=np.int64)
        indices = result.copy()
        for i, knob in enumerate(self.knobs):
            if knob.inert:
                result -= self._digit(indices, i) * self._strides[i]
            elif knob.inert_where is not None:
                other, idle = self._idle(knob.inert_where)
                digits = np.where(self._digit(indices, other) == idle, self._digit(indices, i), 0)
                result -= digits * self._strides[i]
        return result

    def programs(self) -> int:
        """Number of distinct programs of the whole grid."""
        # few knobs depend on another one: the others are counted, not listed
        named = {
            name
            for knob in self.knobs
            if knob.inert_where is not None
            for name in (knob.name, knob.inert_where[0])
        }
        inert = {knob.name for knob in self.knobs if knob.inert}
        part = KnobSpace(tuple(knob for knob in self.knobs if knob.name in named))
        found = len(np.unique(part.program(np.arange(len(part), dtype=np.int64))))
        return found * prod(len(k.values) for k in self.knobs if k.name not in named | inert)

    def _idle(self, condition: tuple[str, int]) -> tuple[int, int]:
        """Which knob makes another one idle, and with which digit."""
        name, value = condition
        other = self.names.index(name)
        return other, self.knobs[other].position(value)

    def _digit(self, indices: IntArray, knob: int) -> IntArray:
        digit: IntArray = indices // self._strides[knob] % self.shape[knob]
        return digit

    def _check_index(self, index: int) -> int:
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise ConfigError(f"an index is an integer, got {shortened(index)}")
        if not 0 <= index < len(self):
            raise ConfigError(
                f"index {shortened(index)} is out of range, allowed are 0 to {len(self) - 1}"
            )
        return int(index)


def _divisors(extent: int) -> tuple[int, ...]:
    """Every divisor, ascending: AutoTVM's candidates of a two-way split."""
    small = [d for d in range(1, int(extent**0.5) + 1) if extent % d == 0]
    return tuple(sorted({*small, *(extent // d for d in small)}))
