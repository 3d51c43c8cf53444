"""Where the search begins for what the ALU runs by itself: plain schedules, by estimated cycles.

The estimate is no bound; what the search keeps is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from vtacsp.free.moves import balanced, equal, fitted
from vtacsp.free.schedule import FORMS, Schedule, Sizes, fixed
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.geometry import AxisGeometry, Geometry
from vtacsp.timing.model import TimingModel

__all__ = ["window_starts"]

MOST = 16
"""Sizes of an axis that are tried."""


def window_starts(g: Geometry, hardware: VTAConfig, timing: TimingModel) -> Iterator[Schedule]:
    """Schedules, those of the least estimated cycles first."""
    values = fixed(g)
    found: list[tuple[float, int, Schedule]] = []
    for channels, rows, columns in product(
        _cuts(g.outputs), _cuts(g.y.out), _cuts(g.x.out)[: 1 if g.kernel == 1 else 6]
    ):
        for gather, form, acc in product(values["gather"], values.get("form", FORMS), (2, 1, 3)):
            schedule = Schedule(
                channels=channels, rows=rows, columns=columns, reduction=(1,), order="channels",
                gather=gather, form=form, acc=acc, last=_tail(rows[-1]), lead_uops=4,
            )  # fmt: skip
            cycles = _estimate(schedule, g, hardware, timing)
            if cycles is not None:
                found.append((cycles, len(found), fitted(schedule, g)))
    for _, _, schedule in sorted(found):
        yield schedule


def _cuts(total: int) -> list[Sizes]:
    """Partitions, into few parts first."""
    found: dict[Sizes, None] = {}
    for parts in range(1, total + 1):
        found[balanced(total, parts)] = None
        found[equal(total, -(-total // parts))] = None
        if len(found) >= 2 * MOST:
            break
    return list(found)


def _tail(rows: int) -> Sizes:
    return (rows - rows // 3, rows // 3) if rows >= 3 else ()


def _needed(axis: AxisGeometry, outputs: int) -> int:
    return min((outputs - 1) * axis.stride + axis.kernel, axis.size)


def _estimate(schedule: Schedule, g: Geometry, hardware: VTAConfig, t: TimingModel) -> float | None:
    """Cycles, about; None for what does not fit."""
    depth, rows, columns = schedule.channels[0], schedule.rows[0], schedule.columns[0]
    tall, wide = _needed(g.y, rows), _needed(g.x, columns)
    in_place = g.kernel == 1 or schedule.gather == "pixels"
    tile = depth * rows * columns
    window = depth * tall * wide - (tile if in_place else 0)
    if schedule.acc * tile + window > hardware.depth("acc"):
        return None
    parts = len(schedule.channels) * len(schedule.columns)
    tiles = g.batch * parts * len(schedule.rows)
    # rows that the next tile needs too stay, where that is the next one
    stays = len(schedule.columns) == 1
    lines = g.y.size if stays else len(schedule.rows) * tall
    loaded = g.batch * g.outputs * lines * len(schedule.columns) * wide
    some = g.x.stride * rows if in_place and g.x.stride > 1 else 1
    loads = tiles * depth * (some + 2)
    taps = {"row": g.y.kernel, "column": g.x.kernel, "all": 1}.get(schedule.form, g.kernel)
    answer = t.request_delay + t.memory_latency + t.narrow_drain
    cycles = loaded * hardware.element_bytes("acc") / t.bus_bytes + loads * answer
    cycles += tiles * taps * (t.pipeline_depth + t.restart_delay)
    cycles += 0 if in_place else g.positions * (t.gemm_interval + t.alu_pair_interval)
    return cycles + (tile * t.alu_pair_interval if schedule.acc == 1 else 0)
