"""Which configurations to measure next: those that tell the constants apart.

A measurement adds the outer product of its row of the Jacobian to the information on the constants,
and the determinant of that is the inverse volume of their joint confidence region.  The greedy
choice takes what enlarges it most, one after the other (D-optimal design: Fedorov, Theory of
Optimal Experiments, 1972; the greedy choice by Wynn, 1970).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from vtacsp.arrays import DoubleArray
from vtacsp.calibrate.coordinates import CLOCK, DEFAULT, DELAY, coordinates
from vtacsp.calibrate.outcome import Calibration
from vtacsp.calibrate.regression import weights_of
from vtacsp.calibrate.retimed import Programs
from vtacsp.errors import CalibrationError
from vtacsp.operators.builder import build
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["NOISE", "Proposal", "Proposals", "propose"]


NOISE = 0.01
"""The noise that is assumed, relative, as long as nothing was measured."""

CANDIDATES = 400
"""Programs that are looked at, drawn evenly from the layers when there are more."""

# what a constant may be off before anything is measured: its value, or this
_UNKNOWN = {"memory_latency": 100.0, "write_latency": 100.0, DELAY: 10_000.0}


@dataclass(frozen=True)
class Proposal:
    """A configuration to be measured: what it is expected to take.

    >>> space = compile(Dense(name="mine", in_features=256, out_features=256))
    >>> row = propose(1, [space], fit=["memory_latency"]).rows[0]
    >>> row.workload.name, row.cycles == Simulator(space).cycles(row.index)
    ('mine', True)
    """

    workload: Workload
    index: int
    cycles: int
    seconds: float


@dataclass(frozen=True)
class Proposals:
    """Configurations in the order of what they tell.

    ``now`` and ``then`` are the standard errors of the constants, in their units, before and after
    they are measured (of bus_bytes and burst_beats: in doublings).

    How well the latency is known, in cycles, before and after two measurements:

    >>> space = compile(Dense(name="mine", in_features=256, out_features=256))
    >>> found = propose(2, [space], fit=["memory_latency"])
    >>> round(found.now["memory_latency"]), round(found.then["memory_latency"], 1)
    (100, 0.4)
    """

    rows: tuple[Proposal, ...]
    candidates: int
    now: dict[str, float]
    then: dict[str, float]


def propose(
    count: int,
    spaces: Sequence[FeasibleSpace],
    calibration: Calibration | None = None,
    fit: Sequence[str] = DEFAULT,
    start: TimingModel = RTL,
    seed: int = 0,
) -> Proposals:
    """``count`` configurations of these layers that tell the constants ``fit`` apart best.

    What ``calibration`` has measured is counted and not proposed again; without one nothing is
    known but ``start``.  Several constants are told from each other at the values that they have
    now.

    Raises :class:`~vtacsp.errors.CalibrationError` for names that are no constants, and when the
    layers have fewer programs left.

    >>> space = compile(Dense(name="mine", in_features=256, out_features=256))
    >>> found = propose(2, [space], fit=["memory_latency"])
    >>> [row.index for row in found.rows], found.candidates
    ([0, 1], 5)
    """
    axes = coordinates(fit)
    names = [*(axis.name for axis in axes), *(name for name in (CLOCK, DELAY) if name in fit)]
    timing = start if calibration is None else calibration.timing
    noise = NOISE if calibration is None else calibration.noise
    known: set[tuple[Workload, int]] = set()
    if calibration is not None:
        known = {(row.workload, row.index) for row in calibration.measured.rows}
    choices = _candidates(spaces, known, seed)
    if len(choices) < count:
        raise CalibrationError(
            f"--propose {count}: {len(choices)} programs of these layers can run and were not "
            "measured"
        )
    programs = Programs([build(layer, space.hardware, index) for space, layer, index in choices],
                        timing)  # fmt: skip
    rows, cycles = _rows(programs, names, timing)
    information = np.eye(len(names))
    if calibration is not None:
        measured = Programs([row.program for row in calibration.measured.rows], timing)
        before, _ = _rows(measured, names, timing)
        errors = np.array([residual.error for residual in calibration.residuals])
        kept = before[weights_of(errors, noise) > 0] / noise
        information += kept.T @ kept
    now = _spreads(information, names, timing)
    chosen: list[int] = []
    inverse = np.linalg.inv(information)
    left = rows / noise
    for _ in range(count):
        gain = np.einsum("ij,jk,ik->i", left, inverse, left)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        information += np.outer(left[best], left[best])
        inverse = np.linalg.inv(information)
    found = tuple(
        Proposal(choices[i][1], choices[i][2], int(cycles[i]), float(cycles[i] / timing.clock_hz))
        for i in chosen
    )
    return Proposals(found, len(choices), now, _spreads(information, names, timing))


def _candidates(
    spaces: Sequence[FeasibleSpace], known: Collection[tuple[Workload, int]], seed: int
) -> list[tuple[FeasibleSpace, Workload, int]]:
    """Programs that can run and were not measured, evenly drawn when there are many."""
    generator = np.random.default_rng(seed)
    share = -(-CANDIDATES // max(len(spaces), 1))
    found = []
    for space in spaces:
        layer = space.workload
        programs = np.unique(space.knob_space.program(space.indices)).tolist()
        mine = [index for index in programs if (layer, index) not in known]
        if len(mine) > share:
            picked = np.sort(generator.choice(len(mine), share, replace=False))
            mine = [mine[place] for place in picked.tolist()]
        found += [(space, layer, index) for index in mine]
    return found


def _rows(
    programs: Programs, names: Sequence[str], timing: TimingModel
) -> tuple[DoubleArray, DoubleArray]:
    """Relative change of seconds per scale of each constant, (n, k), and cycles (n,)."""
    cycles = programs.cycles()
    if cycles is None:
        raise CalibrationError("the programs of these layers do not run under these constants")
    cycles = cycles + timing.launch_delay * programs.launches
    columns = []
    for name in names:
        value, scale = getattr(timing, name), _scale(name, timing)
        if name == CLOCK:
            columns.append(np.full(len(programs), -1.0))
            continue
        if name == DELAY:
            columns.append(programs.launches * scale / cycles)
            continue
        (axis,) = coordinates([name])
        position = axis.position(value)
        # a tenth of the value to both sides: one cycle may fall between two pieces
        width = 1 if axis.power else max(1, position // 10)
        ends = []
        for other in (max(position - width, axis.low), min(position + width, axis.high)):
            changed = programs.cycles(**{name: axis.value(other)})
            if changed is not None:
                ends.append((other, changed))
        if len(ends) < 2 or ends[0][0] == ends[1][0]:
            columns.append(np.zeros(len(programs)))
            continue
        slope = (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0])
        columns.append(slope * scale / cycles)
    return np.column_stack(columns), cycles


def _scale(name: str, timing: TimingModel) -> float:
    """The unit of a column: what the constant may be off before anything is measured."""
    if name not in (CLOCK, DELAY) and coordinates([name])[0].power:
        return 1.0
    return max(float(getattr(timing, name)), _UNKNOWN.get(name, 1.0))


def _spreads(
    information: DoubleArray, names: Sequence[str], timing: TimingModel
) -> dict[str, float]:
    covariance = np.linalg.inv(information)
    spreads = np.sqrt(np.diag(covariance)) * [_scale(name, timing) for name in names]
    return dict(zip(names, spreads.tolist(), strict=True))
