"""Where the search begins: plain schedules in the order of an estimate of their cycles.

Only what decides most is enumerated: the sizes of tiles and steps, and what a GEMM instruction
covers.  The ramps are alike in all of them, and there are two slots of each kind where they fit.
The estimate is no bound; what the search keeps is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vtacsp.arrays import DoubleArray, IntArray
from vtacsp.free.moves import balanced, fitted
from vtacsp.free.schedule import FORMS, LOOPS, Schedule
from vtacsp.free.window_starts import window_starts
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.geometry import AxisGeometry, Geometry
from vtacsp.timing.model import TimingModel

__all__ = ["starts"]

MOST = 24
"""Sizes of an axis that are tried; of more, some far apart."""

_SLOTS = 4  # kernels that differ in the slots they use: two of accumulators, two of operands
_PLACES = 3  # and in where their tile lies: at one end of an axis, inside, at the other end
_STORED = 3  # cycles of an output in the store module, about


def starts(g: Geometry, hardware: VTAConfig, timing: TimingModel) -> Iterator[Schedule]:
    """Schedules, those of the least estimated cycles first."""
    if g.on_alu:
        yield from window_starts(g, hardware, timing)
        return
    axes = (
        _parts(g.outputs),
        _parts(g.y.out),
        _parts(g.x.out),
        [1] if _alone(g) else _parts(g.inputs),
        [FORMS.index("tap")] if g.kernel == 1 else [*range(len(FORMS))],
        [*range(len(LOOPS))],
    )
    grid = np.stack([x.ravel() for x in np.meshgrid(*map(np.array, axes), indexing="ij")])
    cycles = _estimate(grid, g, hardware, timing)
    order = np.argsort(cycles, kind="stable")
    for place in order[: np.count_nonzero(np.isfinite(cycles))].tolist():
        *parts, form, loop = grid[:, place].tolist()
        yield _schedule(g, parts, FORMS[form], LOOPS[loop])


def _alone(g: Geometry) -> bool:
    """Whether every output block has inputs of its own, of which a tile takes all."""
    return g.groups > 1 and g.per_group == 1


def _parts(total: int) -> list[int]:
    """Numbers of parts, one for each size that the largest part can have, at most MOST."""
    found = list({-(-total // parts): parts for parts in range(total, 0, -1)}.values())
    places = np.linspace(0, len(found) - 1, min(len(found), MOST)).round().astype(int)
    return [found[place] for place in places.tolist()]


def _needed(axis: AxisGeometry, outputs: IntArray) -> IntArray:
    """Inputs of a range of outputs, at most all of them."""
    return np.minimum((outputs - 1) * axis.stride + axis.kernel, axis.size)


def _instructions(axis: AxisGeometry, tiles: IntArray) -> DoubleArray:
    """Instructions over the taps of an axis, on average: those at an edge are apart."""
    edges = min(axis.pad, axis.kernel - 1)
    found: DoubleArray = 1 + np.minimum(edges, edges * 2 / tiles)
    return found


def _estimate(grid: IntArray, g: Geometry, hardware: VTAConfig, t: TimingModel) -> DoubleArray:
    """Cycles of plain schedules, about; infinite for what does not fit."""
    tiles_c, tiles_y, tiles_x, steps, form, loop = grid
    channels, rows = -(-g.outputs // tiles_c), -(-g.y.out // tiles_y)
    columns, inputs = -(-g.x.out // tiles_x), -(-g.inputs // steps)
    tiles, spatial = g.batch * tiles_c * tiles_y * tiles_x, g.batch * tiles_y * tiles_x
    blocks = channels * g.inputs if _alone(g) else inputs
    chunk = blocks * _needed(g.y, rows) * _needed(g.x, columns)
    weights, sums = channels * inputs * g.kernel, channels * rows * columns
    depth = {name: hardware.depth(name) for name in ("inp", "wgt", "acc", "uop")}
    inp, wgt, uop = (hardware.element_bytes(name) for name in ("inp", "wgt", "uop"))

    # what a form leaves to its list of micro-ops: taps, pixels, and channels without a loop
    ky, kx = g.y.kernel, g.x.kernel
    column, row, tap = (form == FORMS.index(name) for name in ("column", "row", "tap"))
    kernels = np.select([column, row, tap], [kx, ky, ky * kx], 1)
    joined_y, joined_x = _instructions(g.y, tiles_y), _instructions(g.x, tiles_x)
    instructions = np.select([column, row, tap], [joined_x, joined_y, joined_y * joined_x], 1)
    pixels = np.select([column, row, tap], [ky * rows, kx * columns, 1], ky * kx * rows * columns)
    flat = (columns == g.x.out) & (g.kernel == 1)  # the rows of a tile follow each other
    loops = np.select([column | row, tap], [1, flat.astype(int)], 2)
    rest = np.where(loop == LOOPS.index("output"), inputs, channels)
    listed = pixels * np.select([loops == 2, loops == 1], [1, rest], inputs * channels)
    places = np.minimum(tiles_y, _PLACES if ky > 1 else 1)
    places = places * np.minimum(tiles_x, _PLACES if kx > 1 else 1)
    uops = listed * kernels * np.minimum(_SLOTS * places, tiles * steps)

    # an instruction drains the pipeline; micro-ops are loaded by the compute module itself
    compute = (g.products + 4 * g.positions) * t.gemm_interval
    compute = compute + tiles * (steps * instructions + 4) * (t.pipeline_depth + t.restart_delay)
    compute = compute + uops * uop // t.bus_bytes
    # inputs come again for every tile of channels, weights for every tile of pixels
    times = tiles if not _alone(g) else spatial * tiles_c
    read = times * chunk * steps * inp
    read = read + np.where(steps == 1, 1, spatial) * g.outputs * g.inputs * g.kernel * wgt
    read = read // t.bus_bytes
    first = (chunk * inp + weights * wgt) // t.bus_bytes
    cycles = np.maximum(compute, read) + first.astype(np.float64)
    # with one slot, work takes turns with what fills or empties it
    cycles += np.where((2 * chunk > depth["inp"]) | (2 * weights > depth["wgt"]), read, 0)
    cycles += np.where((2 * sums > depth["acc"]) & (tiles > 1), _STORED * g.positions, 0)
    fits = (chunk < depth["inp"]) & (weights <= depth["wgt"]) & (sums <= depth["acc"])
    return np.where(fits & (uops <= 2 * depth["uop"]), cycles, np.inf)


def _schedule(g: Geometry, parts: list[int], form: str, loop: str) -> Schedule:
    totals = g.outputs, g.y.out, g.x.out, g.inputs
    channels, rows, columns, reduction = map(balanced, totals, parts)
    few = channels[0] // 4
    schedule = Schedule(
        channels=channels,
        rows=rows,
        columns=columns,
        reduction=reduction,
        begin=(few, channels[0] - few) if few else (),
        finish=_tail(channels[-1], 3),
        order="channels",
        form=form,
        join=True,
        loop=loop,
        clear_ahead=1,
        lead_uops=4,
    )
    return fitted(schedule.changed(finish_rows=_tail(schedule.last_rows(g), 4)), g)


def _tail(total: int, share: int) -> tuple[int, ...]:
    """A partition with a small part at its end."""
    return (total - total // share, total // share) if total >= share else (total,)
