"""The feasibility map: the knob grid of a layer arranged on a plane, a cause in every cell.

A cell is a program; cells are ``tile_h`` by ``tile_w`` (dense: ``tile_ci`` by ``tile_co``), facets
are laid out by the other tiles, panels by the virtual threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.causes import OK
from vtacsp.errors import SpaceError
from vtacsp.operators.knobs import Config, Knob
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.verdicts import verdicts

__all__ = ["MAX_CELLS", "FeasibilityMap"]

MAX_CELLS = 1 << 19
"""Programs that a map can show: a page is still opened by a browser then."""


@dataclass(frozen=True)
class FeasibilityMap:
    """First causes by (panel, facet row, facet column, cell row, cell column).

    ``codes`` holds positions in ``causes``, ``indices`` the AutoTVM index of each cell (of the
    first configuration of its program).  Inert knobs are left out.
    """

    y: Knob
    x: Knob
    rows: tuple[Knob, ...]
    columns: tuple[Knob, ...]
    panels: tuple[Knob, ...]
    codes: IntArray
    indices: IntArray
    causes: tuple[str, ...]

    @classmethod
    def of(cls, space: FeasibleSpace) -> FeasibilityMap:
        """The map of a compiled space.

        Raises :class:`~vtacsp.errors.SpaceError` for more than :data:`MAX_CELLS` programs.
        """
        problem, grid = space.problem, space.knob_space
        seen = problem.seen_knobs()
        # rules of users may mention a knob that the schedule ignores: then it is shown
        walked = [knob for knob in grid.knobs if not knob.inert or knob in seen]
        cells = prod(len(knob.values) for knob in walked)
        if cells > MAX_CELLS:
            raise SpaceError(
                f"{space.workload.name}: a map of {cells:,} programs cannot be drawn, "
                f"the most is {MAX_CELLS:,}"
            )
        causes = tuple(dict.fromkeys([OK, *(rule.cause for rule in problem.rules)]))
        position = np.array([causes.index(rule.cause) for rule in problem.rules] + [0])

        # one axis per knob, in knob order
        without = [knob.name for knob in grid.knobs if knob not in walked]
        everything = np.concatenate(list(grid.blocks(without)))
        shape = [len(knob.values) for knob in walked]
        indices = everything.reshape(shape[::-1]).T
        # the table has no axis for a knob that no rule looks at
        unseen = tuple(axis for axis, knob in enumerate(walked) if knob not in seen)
        first = np.expand_dims(verdicts(space).first, unseen)
        codes = np.broadcast_to(position[first], shape)
        left_out = {
            knob.name
            for axis, knob in enumerate(walked)
            if knob.inert and bool((codes == codes.take([0], axis=axis)).all())
        }
        shown = [knob for knob in walked if knob.name not in left_out]
        roles = _roles(shown)
        kept = tuple(0 if knob.name in left_out else slice(None) for knob in walked)
        axes = [shown.index(knob) for role in roles for knob in role]
        shape = [int(np.prod([len(knob.values) for knob in role])) for role in roles]
        panels, rows, columns, (y,), (x,) = roles
        return cls(
            y=y,
            x=x,
            rows=rows,
            columns=columns,
            panels=panels,
            codes=codes[kept].transpose(axes).reshape(shape),
            indices=indices[kept].transpose(axes).reshape(shape),
            causes=causes,
        )

    @property
    def present(self) -> list[str]:
        """Causes that occur on the map."""
        return [self.causes[code] for code in np.unique(self.codes)]

    def cell(self, config: Config) -> tuple[int, ...]:
        """Where a configuration is on the map."""
        roles = (self.panels, self.rows, self.columns, (self.y,), (self.x,))
        return tuple(_position(role, config) for role in roles)

    def cause(self, *cell: int) -> str:
        """Cause of a cell."""
        return self.causes[int(self.codes[cell])]

    def settings(self, knobs: Sequence[Knob]) -> list[Config]:
        """Values of some facet or panel knobs, in the order of their axis."""
        names = [knob.name for knob in knobs]
        values = product(*(knob.values for knob in knobs))
        return [dict(zip(names, row, strict=True)) for row in values]


def _position(knobs: Sequence[Knob], config: Config) -> int:
    """Position on an axis that several knobs span, the last one fastest."""
    position = 0
    for knob in knobs:
        position = position * len(knob.values) + knob.position(config[knob.name])
    return position


def _roles(knobs: list[Knob]) -> tuple[tuple[Knob, ...], ...]:
    """Which knobs span panels, facet rows, facet columns, cell rows and cell columns."""
    named = {knob.name: knob for knob in knobs}
    spatial = "tile_h" in named
    y, x = ("tile_h", "tile_w") if spatial else ("tile_ci", "tile_co")
    columns = ("tile_co",) if spatial else ()
    panels = tuple(knob for knob in knobs[::-1] if knob.name.endswith("nthread"))
    taken = {y, x, *columns, *(knob.name for knob in panels)}
    rows = tuple(knob for knob in knobs if knob.name not in taken)
    return panels, rows, tuple(named[name] for name in columns), (named[y],), (named[x],)
