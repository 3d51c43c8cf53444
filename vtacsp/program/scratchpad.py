"""Scratchpad ranges: what a program reserves in each on-chip buffer.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from vtacsp.causes import too_large
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import depths
from vtacsp.moved import keep_old_names

__all__ = ["ScratchpadAllocator"]

keep_old_names(__name__)

_ORDER = ("acc", "inp", "wgt")  # in which the compiler meets them


class ScratchpadAllocator:
    """Bump allocation of buffers, in elements, as ``StorageRewrite`` lays them out."""

    def __init__(self, hardware: VTAConfig) -> None:
        self._depth = depths(hardware)
        self._used = dict.fromkeys(_ORDER, 0)

    def fits_alone(self, **elements: int) -> None:
        """Each buffer by itself, before it is replicated (``StorageFlatten``)."""
        for name in _ORDER:
            if elements.get(name, 0) > self._depth[name]:
                self._refuse(name, elements[name])

    def allocate(self, scratchpad: str, elements: int) -> int:
        """Reserve a range and return its first element; :meth:`check` says whether all fit."""
        base = self._used[scratchpad]
        self._used[scratchpad] += elements
        return base

    def check(self) -> None:
        """Raise for the first scratchpad whose ranges reach past its end."""
        for name in _ORDER:
            if self._used[name] > self._depth[name]:
                self._refuse(name, self._used[name])

    def _refuse(self, name: str, elements: int) -> None:
        raise ProgramError(
            too_large(name), f"{elements} elements, {name.upper()} holds {self._depth[name]}"
        )
