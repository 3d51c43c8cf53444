"""Configurations as rows: the index and the knobs, of one operator or of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.cli.options import pick_config
from vtacsp.cli.output import Row
from vtacsp.errors import VtacspError
from vtacsp.operators.knobs import BLOCK, KnobSpace
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import Problem

__all__ = [
    "CONFIG",
    "KNOBS",
    "chosen",
    "config_columns",
    "config_rows",
    "config_shown",
    "config_text",
]

KNOBS = ("tile_b", "tile_h", "tile_w", "tile_ci", "tile_co", "oc_nthread", "h_nthread")
"""Knobs of all operators; a row leaves those empty that its operator has not."""

CONFIG = ("workload", "index", *KNOBS)
"""The first columns of a row about one configuration, whatever the layer."""


def chosen(
    space: KnobSpace, indices: Sequence[int], knobs: Sequence[str], everything: bool | None
) -> IntArray:
    """The configurations a command is asked about; exactly one way of asking.

    ``everything`` is None for a command that has no ``--all``.
    """
    if sum(map(bool, (indices, knobs, everything))) != 1:
        ways = "--index or --knob" if everything is None else "--index, --knob or --all"
        raise VtacspError(f"choose configurations with {ways}")
    if everything:
        return np.arange(len(space), dtype=np.int64)
    if knobs:
        return np.array([space.index(pick_config(knobs))], dtype=np.int64)
    for index in indices:
        space.config(index)
    return np.array(indices, dtype=np.int64)


def config_rows(problem: Problem, indices: IntArray) -> Iterator[Row]:
    """The workload's name, index and knobs of configurations, made when they are asked for."""
    name = {"workload": problem.workload.name}
    for begin in range(0, len(indices), BLOCK):
        part = indices[begin : begin + BLOCK]
        columns = problem.knob_space.columns(part)
        names = ["index", *columns]
        lists = [part.tolist(), *(column.tolist() for column in columns.values())]
        for row in zip(*lists, strict=True):
            yield {**name, **dict(zip(names, row, strict=True))}


def config_columns(spaces: Sequence[FeasibleSpace] | Sequence[Problem], named: bool) -> list[str]:
    """``index`` and the knobs that these layers have, after the workload's name when ``named``."""
    knobs = dict.fromkeys(name for space in spaces for name in space.knob_space.names)
    return [*(["workload"] if named else []), "index", *knobs]


def config_shown(row: Row, named: bool) -> Row:
    """A row of :func:`config_rows` for people, its knobs in one column."""
    layer = {"layer": row["workload"]} if named else {}
    text = config_text({name: row[name] for name in KNOBS if name in row})
    rest = {name: value for name, value in row.items() if name not in CONFIG}
    return {**layer, "index": row["index"], "configuration": text, **rest}


def config_text(config: Mapping[str, int]) -> str:
    """The knobs that are not 1, for tables that people read in 80 columns."""
    return " ".join(f"{knob}={n}" for knob, n in config.items() if n != 1) or "all 1"
