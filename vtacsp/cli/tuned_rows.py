"""A tuned layer as a row of a table, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vtacsp.cli.cut_loads import first_cut
from vtacsp.cli.knob_columns import CONFIG, config_rows, config_text
from vtacsp.cli.output import Row

if TYPE_CHECKING:
    from vtacsp.report.tuned import TunedLayer

__all__ = ["COLUMNS", "SHOWN", "best_index", "row_of", "shown_row"]

COLUMNS = (*CONFIG, "cycles", "seconds", "gops", "bound", "gap", "found_at", "measured", "from_log",
           "failed", "count", "cut_short")  # fmt: skip
SHOWN = ("layer", "index", "configuration", "cycles", "GOPS", "gap", "measured",
         "failed")  # fmt: skip


def best_index(layer: TunedLayer) -> int | None:
    """AutoTVM index of the best trial; None when nothing ran."""
    return None if layer.result.best is None else layer.result.best.index


def row_of(layer: TunedLayer) -> Row:
    """A layer for programs: what was not found is empty."""
    best, result = layer.result.best, layer.result
    row: Row = {"workload": layer.workload.name}
    if best is not None:
        index = np.array([best.index], dtype=np.int64)
        (row,) = config_rows(layer.simulator.space.problem, index)
    return row | {
        "cycles": layer.best_cycles,
        "seconds": None if best is None else best.result.seconds,
        "gops": layer.gops,
        "bound": layer.bound,
        "gap": layer.gap,
        "found_at": None if best is None else best.number,
        "measured": result.measured,
        "from_log": len(result.trials) - result.measured,
        "failed": result.failed,
        "count": layer.workload.extra.get("count"),
        "cut_short": first_cut(layer.best_program),
    }


def shown_row(layer: TunedLayer) -> Row:
    """A layer for people, in 80 columns."""
    best, result = layer.result.best, layer.result
    row: Row = {
        "layer": layer.workload.name,
        "configuration": "nothing that was measured runs",
    }
    if best is not None:
        config = result.space.config(best.index)
        row["index"] = best.index
        row["configuration"] = config_text(config)
        row["cycles"] = layer.best_cycles
        row["GOPS"] = f"{layer.gops:.1f}"
        row["gap"] = f"{layer.gap:.2%}"
    known = len(result.trials) - result.measured
    row["measured"] = f"{result.measured}, {known} known" if known else result.measured
    return row | ({"failed": result.failed} if result.failed else {})
