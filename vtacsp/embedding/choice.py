"""Which embeddings a layer has on a machine, and which of them is fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from vtacsp.embedding.axis import AxisFold
from vtacsp.embedding.embedding import Embedding
from vtacsp.embedding.layer import UnpackedLayer
from vtacsp.errors import SpaceError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.builder import build
from vtacsp.operators.group_conv2d.filling import best_first
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload
from vtacsp.space.problem import Problem
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import simulate_timing
from vtacsp.tune.bound import cycle_bounds

__all__ = ["Choice", "Embedded", "embeddings", "fastest"]

SIDE_BY_SIDE = (1, 2, 4)
"""Outputs of one position that are tried along each axis."""


MERGED = 3
"""How many numbers of groups in one are tried, the best of them first, beside each by itself."""


@dataclass(frozen=True)
class Embedded:
    """The best program of an embedding: AutoTVM index, knobs and cycles.

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
    >>> best = fastest(embeddings(rgb)).best
    >>> best.cycles == Simulator(best.embedding.workload).cycles(best.index)
    True
    """

    embedding: Embedding
    index: int
    config: Config
    cycles: int


@dataclass(frozen=True)
class Choice:
    """The fastest embedding of a layer.

    ``plain`` is the fastest without folding, None where none was looked at or can run;
    ``simulated`` programs were needed.

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
    >>> choice = fastest(embeddings(rgb))
    >>> choice.best.embedding.kind, choice.best.cycles < choice.plain.cycles
    ('fold', True)
    """

    best: Embedded
    plain: Embedded | None
    simulated: int


def embeddings(
    layer: UnpackedLayer | Workload, hardware: VTAConfig | None = None, *, fold: bool = True
) -> list[Embedding]:
    """Every embedding of a layer that the machine can pack, those without folding first.

    ``fold`` also tries what moves positions and kernel taps into the channels, where the input
    channels of a convolution fill at most half a block.

    Raises :class:`~vtacsp.errors.WorkloadError` with the reason when there is none.

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
    >>> found = embeddings(rgb)
    >>> found[0].kind, len(found), found[1].steps
    ('pad', 9, ('kernel columns in the channels', 'in_channels 9 filled to 16'))
    """
    layer = layer if isinstance(layer, UnpackedLayer) else UnpackedLayer.of(layer)
    machine = hardware or VTAConfig()
    found: list[Embedding] = []
    reason: WorkloadError | None = None
    for embedding in _candidates(layer, machine, fold):
        try:
            embedding.workload.pack(machine)
        except WorkloadError as error:
            reason = reason or error
        else:
            found.append(embedding)
    if not found:
        assert reason is not None
        raise reason
    return found


def _candidates(layer: UnpackedLayer, hw: VTAConfig, fold: bool) -> Iterator[Embedding]:
    top, left, bottom, right = layer.padding
    row = AxisFold(layer.height, layer.kernel[0], layer.stride[0], top, bottom)
    column = AxisFold(layer.width, layer.kernel[1], layer.stride[1], left, right)
    if layer.dense:
        yield Embedding(layer, hw, row, column)
        pixels = -(-layer.batch // hw.batch)
        yield from (
            Embedding(layer, hw, row, column, pixels=size)
            for size in dict.fromkeys([(pixels, 1), (1, pixels)])
        )
        return
    # VTA pads with zeros, alike on both sides, and never the columns alone
    host_pad = (top, left) != (bottom, right) or (top == 0 < left)
    host_pad |= layer.pad_value != 0 and any(layer.padding)
    shares = (layer.in_channels // layer.groups, layer.out_channels // layer.groups)
    merged = best_first(layer.groups, *shares, hw.block)[:MERGED]
    for count in dict.fromkeys([*merged, 1]):
        yield Embedding(layer, hw, row, column, merged=count, host_pad=host_pad)
    if not fold or layer.groups > 1 or 2 * layer.in_channels > hw.block:
        return
    for rows, columns in product(_folds(row), _folds(column)):
        outputs = rows.outputs * columns.outputs
        fits = outputs == 1 or outputs * layer.out_channels <= hw.block
        if fits and (rows.folded or columns.folded):
            yield Embedding(layer, hw, rows, columns, host_pad=True)


def _folds(axis: AxisFold) -> list[AxisFold]:
    """What can be done with an axis; nothing first."""
    found = []
    for outputs, split, unfold in product(SIDE_BY_SIDE, (False, True), (False, True)):
        folded = AxisFold(
            *(axis.size, axis.kernel, axis.stride, axis.before, axis.after),
            *(split, unfold, outputs),
        )
        if split != (axis.stride * outputs > 1) and (split or outputs > 1):
            continue  # nothing to split, or outputs without it
        if (unfold and folded.taps == 1) or outputs > axis.out:
            continue
        if split and unfold and outputs == 1:
            continue  # the taps alone are fewer channels
        found.append(folded)
    return found


def fastest(
    found: Iterable[Embedding], timing: TimingModel = RTL, *, host_bytes: int | None = None
) -> Choice:
    """The embedding whose best program has fewest cycles; the earlier one of equals.

    ``host_bytes`` bounds the embedded data that the host writes for every inference.

    Exact: programs are simulated in the order of their lower bounds, until the bound reaches the
    best; a folded embedding is left out when its GEMM micro-ops alone take that long.

    Raises :class:`~vtacsp.errors.SpaceError` when nothing can run.

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
    >>> choice = fastest(embeddings(rgb))
    >>> choice.plain.cycles, choice.best.cycles
    (774, 422)
    """
    listed = [e for e in found if host_bytes is None or e.host.data <= host_bytes]
    best: Embedded | None = None
    plain: Embedded | None = None
    simulated = 0
    for embedding in sorted(listed, key=_order):
        limit = None if best is None else best.cycles
        if limit is not None and _micro_ops(embedding) * timing.gemm_interval >= limit:
            continue
        one, programs = _best(embedding, timing, limit)
        simulated += programs
        best = one or best
        if embedding.kind != "fold":
            plain = best
    if best is None:
        name = listed[0].layer.name if listed else "no layer is given, or the host may write less"
        raise SpaceError(f"{name}: no embedding can run")
    return Choice(best, plain, simulated)


def _order(embedding: Embedding) -> tuple[bool, int]:
    return embedding.kind == "fold", _micro_ops(embedding)


def _micro_ops(embedding: Embedding) -> int:
    hw = embedding.hardware
    return embedding.workload.macs // (hw.batch * hw.block * hw.block)


def _best(
    embedding: Embedding, timing: TimingModel, limit: int | None
) -> tuple[Embedded | None, int]:
    """The best program in fewer cycles than ``limit``, and how many were simulated."""
    workload, hw = embedding.workload, embedding.hardware
    problem = Problem(workload, hw)
    programs = np.unique(problem.knob_space.program(problem.feasible_indices()))
    if not len(programs):
        return None, 0
    bounds = cycle_bounds(problem, programs, timing)
    least, index, simulated = limit, None, 0
    for position in np.argsort(bounds, kind="stable").tolist():
        if least is not None and bounds[position] >= least:
            break
        cycles = simulate_timing(build(workload, hw, int(programs[position])), timing).cycles
        simulated += 1
        if least is None or cycles < least:
            least, index = cycles, int(programs[position])
    if index is None or least is None:
        return None, simulated
    return Embedded(embedding, index, problem.knob_space.config(index), least), simulated
