"""From measurements to a timing model: fit, drop what they do not tell, fit again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, floor
from typing import Any

import numpy as np

from vtacsp.arrays import DoubleArray
from vtacsp.calibrate.coordinates import (
    CLOCK,
    DEFAULT,
    DELAY,
    Coordinate,
    coordinates,
    known_constants,
)
from vtacsp.calibrate.identification import Identification, identify, partner, variance_of
from vtacsp.calibrate.least_loss import Optimum, Search, linear_columns
from vtacsp.calibrate.leave_one_out import leave_one_out
from vtacsp.calibrate.measured import Measurements
from vtacsp.calibrate.outcome import FITTED, HELD, UNTOLD, Calibration, Estimate, Residual
from vtacsp.calibrate.regression import CUT, Line, Samples, weights_of
from vtacsp.calibrate.retimed import Programs
from vtacsp.errors import CalibrationError, TimingError, shortened
from vtacsp.timing.model import RTL, TimingModel, constants

__all__ = ["calibrate"]


WIDE = 0.5  # of the value: a 95% interval that is wider to both sides tells nothing
FEW_CYCLES = 4  # and an interval of so many cycles to both sides always tells something
OUTLIER = 0.01  # the least relative error of an outlier
CHOICES = 64  # points that a program which is left out is predicted from
_LEAST = ("clock_hz", "memory_latency", "launch_delay")  # of the constants, kept to the last


def calibrate(
    measured: Measurements,
    fit: Sequence[str] = DEFAULT,
    start: TimingModel = RTL,
) -> Calibration:
    """Fit constants of the timing model to measurements.

    ``fit`` are the constants to be fitted, the others stay those of ``start``; so do the ones that
    the measurements do not tell.

    Raises :class:`~vtacsp.errors.CalibrationError` for names that are no constants, and when the
    measurements tell none of them, or need a clock that no timing model has.

    A board with a slower memory, which the simulator plays:

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> board = SimulatorMeasurer(space, timing=TimingModel(memory_latency=52, note="board"))
    >>> _ = tune(GridSearcher(search_space(space)), board, trials=8, log="board.log")
    >>> found = calibrate(measurements(load_records("board.log")), ["memory_latency"])
    >>> found.timing.memory_latency
    52
    """
    coordinates(fit)  # raises
    if not fit:
        raise CalibrationError("there is no constant to be fitted")
    programs = Programs([row.program for row in measured.rows], start)
    samples = Samples(np.array([row.seconds for row in measured.rows]), programs.launches)
    names, untold = list(fit), dict[str, str]()
    while len(names) >= len(samples):
        name = max(names, key=lambda n: _LEAST.index(n) if n in _LEAST else len(_LEAST))
        names.remove(name)
        untold[name] = f"{len(samples)} programs are too few for so many constants"
    asked: Identification | None = None
    while True:
        if not names:
            reasons = "; ".join(f"{name}: {why}" for name, why in untold.items())
            raise CalibrationError(f"the log tells none of the constants ({reasons})")
        solution = _Solution.of(programs, samples, names, start)
        asked = asked or solution.found
        doubtful = solution.doubtful()
        if not doubtful:
            break
        worst = max(doubtful, key=lambda name: doubtful[name][0])
        untold[worst] = doubtful[worst][1]
        names.remove(worst)
    timing = _model(solution, start, measured)
    estimates = _estimates(solution, fit, untold, start, timing)
    return Calibration(
        measured=measured,
        start=start,
        timing=timing,
        estimates=estimates,
        residuals=_residuals(solution, measured, start, timing),
        noise=solution.optimum.noise,
        rank=asked.rank,
        condition=asked.condition,
        fitted_condition=solution.found.condition,
    )


@dataclass(frozen=True)
class _Solution:
    """An optimum with its Jacobian: columns of the coordinates, then clock and delay if free."""

    search: Search
    optimum: Optimum
    errors: DoubleArray
    jacobian: DoubleArray
    found: Identification
    offset: DoubleArray
    start: TimingModel

    @classmethod
    def of(
        cls, programs: Programs, samples: Samples, names: Sequence[str], start: TimingModel
    ) -> _Solution:
        axes = coordinates(names)
        line = Line(
            float(start.clock_hz), float(start.launch_delay), CLOCK in names, DELAY in names
        )
        point = tuple(axis.position(getattr(start, axis.name)) for axis in axes)
        search = Search(programs, samples, axes, point, line)
        optimum = search.run()
        cycles = search.cycles(optimum.point)
        assert cycles is not None
        errors = optimum.line.errors(cycles, samples)
        variance, free = variance_of(errors, optimum.noise, len(names))
        steps = [1] * len(axes)
        for last in (False, True):  # secants as wide as what is not known
            jacobian = _jacobian(search, optimum, errors, steps)
            kept = weights_of(errors, optimum.noise) > 0
            found = identify(jacobian[kept], variance, free)
            if not last:
                spread = [float(e) for e in found.errors[: len(axes)]]
                steps = [_step(axis, e) for axis, e in zip(axes, spread, strict=True)]
        root = np.sqrt(weights_of(errors, optimum.noise))
        size = np.linalg.norm(jacobian, axis=0)
        size[size == 0] = 1
        offset = np.linalg.lstsq(jacobian / size * root[:, None], -errors * root, rcond=1e-9)[0]
        offset = offset / size
        return cls(search, optimum, errors, jacobian, found, offset, start)

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        line = self.optimum.line
        return [
            *(axis.name for axis in self.search.coordinates),
            *([CLOCK] if line.free_clock else []),
            *([DELAY] if line.free_delay else []),
        ]

    def interval(self, name: str) -> tuple[int, int]:
        """The 95% interval of a constant, in its range; of its integers, where they are few."""
        place = self.names.index(name)
        half = self.found.margin * float(self.found.errors[place])
        if name == CLOCK:
            value = self.optimum.line.clock
            if half > 10:
                return 1, (1 << 30) - 1
            return max(floor(value * exp(-half)), 1), min(ceil(value * exp(half)), (1 << 30) - 1)
        if name == DELAY:
            delay = self.optimum.line.delay
            half = min(half, 1 << 30)
            return max(floor(delay - half), 1), min(ceil(delay + half), (1 << 30) - 1)
        axis, position = self.search.coordinates[place], self.optimum.point[place]
        half = min(half, axis.high)
        # the optimum of real numbers is up to half a unit away
        middle = position + min(max(float(self.offset[place]), -0.5), 0.5)
        low, high = ceil(middle - half - 1e-9), floor(middle + half + 1e-9)
        low, high = min(low, position), max(high, position)
        return axis.value(max(low, axis.low)), axis.value(min(high, axis.high))

    def doubtful(self) -> dict[str, tuple[float, str]]:
        """Constants that are not told: how badly, and why.

        Told is what has an interval that is narrow, or that leaves out where it started.
        """
        found = {}
        for place, name in enumerate(self.names):
            half = self.found.margin * float(self.found.errors[place])
            low, high = self.interval(name)
            limit = self._limit(name, place)
            begin = getattr(self.start, name)
            if half <= limit or (np.isfinite(half) and not low <= begin <= high):
                continue
            found[name] = (half / limit, self._why(place, low, high))
        return found

    def _limit(self, name: str, place: int) -> float:
        """The half of an interval up to which it tells something, in units of the column."""
        if name == CLOCK:
            return WIDE
        if name == DELAY:
            return max(WIDE * self.optimum.line.delay, FEW_CYCLES)
        axis = self.search.coordinates[place]
        return 1.0 if axis.power else max(WIDE * self.optimum.point[place], FEW_CYCLES)

    def _why(self, place: int, low: int, high: int) -> str:
        if not np.any(self.jacobian[:, place]):
            return "no program of the log changes with it"
        like = partner(self.found, place, self.names)
        if like:
            return f"in these programs it cannot be told from {like}"
        return f"too noisy: from {low:,} to {high:,} with 95% confidence"


def _step(axis: Coordinate, spread: float) -> int:
    if axis.power or not np.isfinite(spread):
        return 1
    return min(max(round(spread), 1), 256)


def _jacobian(
    search: Search, optimum: Optimum, errors: DoubleArray, steps: Sequence[int]
) -> DoubleArray:
    """Change of the relative errors per step of a coordinate, relative clock, cycle of delay."""
    line, samples = optimum.line, search.samples
    columns = search.slopes(optimum.point, steps) / line.clock / samples.seconds[:, None]
    return np.column_stack([columns, *linear_columns(line, errors, samples).values()])


def _model(solution: _Solution, start: TimingModel, measured: Measurements) -> TimingModel:
    line = solution.optimum.line
    pairs = zip(solution.search.coordinates, solution.optimum.point, strict=True)
    values: dict[str, Any] = {axis.name: axis.value(position) for axis, position in pairs}
    if line.free_delay:
        values[DELAY] = round(line.delay)
    if line.free_clock:
        values[CLOCK] = round(line.clock)
    note = (
        f"fitted to {len(measured.rows)} programs measured on {shortened(measured.device)}: "
        f"{', '.join(values)}"
    )
    try:
        return replace(start, **values, note=note[:255])
    except TimingError as error:
        raise CalibrationError(
            f"no timing model takes as long as the programs of the log: {error}; are their costs "
            "seconds?"
        ) from None


def _residuals(
    solution: _Solution, measured: Measurements, start: TimingModel, timing: TimingModel
) -> tuple[Residual, ...]:
    search, optimum, samples = solution.search, solution.optimum, solution.search.samples
    weights = weights_of(solution.errors, optimum.noise)

    def squares(cycles: DoubleArray) -> float:
        line = optimum.line.solved(cycles, samples, weights)
        return float(np.sum(weights * line.errors(cycles, samples) ** 2))

    nearby = sorted(search.visited.values(), key=squares)[:CHOICES]
    left_out = leave_one_out(nearby, optimum.line, samples, weights)
    simulated = []
    for model in (start, timing):
        names = (axis.name for axis in search.coordinates)
        cycles = search.programs.cycles(**{name: getattr(model, name) for name in names})
        assert cycles is not None
        simulated.append((cycles + model.launch_delay * samples.launches) / model.clock_hz)
    errors = np.abs(simulated[1] / samples.seconds - 1)
    outlier = (errors > CUT * optimum.noise) & (errors > OUTLIER)
    columns = (simulated[0].tolist(), simulated[1].tolist(), left_out.tolist(), outlier.tolist())
    return tuple(
        Residual(row, *values) for row, *values in zip(measured.rows, *columns, strict=True)
    )


def _estimates(
    solution: _Solution,
    fit: Sequence[str],
    untold: dict[str, str],
    start: TimingModel,
    timing: TimingModel,
) -> dict[str, Estimate]:
    """Every constant, in the order of the timing model."""
    units = {constant.name: str(constant.metadata["unit"]) for constant in constants()}
    found = {}
    for name in known_constants():
        value, begin = getattr(timing, name), getattr(start, name)
        column = _column(solution, name, timing)
        effect = float(np.mean(column)) / (100 if name == CLOCK else 1)
        common = {"name": name, "unit": units[name], "value": value, "start": begin,
                  "effect": effect}  # fmt: skip
        if name in solution.names:
            low, high = solution.interval(name)
            error = float(solution.found.errors[solution.names.index(name)])
            if name == CLOCK:
                error *= value
            found[name] = Estimate(
                **common, status=FITTED, low=low, high=high, standard_error=error,
                reason=_edge(solution, name),
            )  # fmt: skip
        elif name in untold:
            found[name] = Estimate(**common, status=UNTOLD, reason=untold[name])
        else:
            could_be, reason = _could_be(solution, name, column, value)
            found[name] = Estimate(**common, status=HELD, could_be=could_be, reason=reason)
    assert set(fit) <= set(found)
    return found


def _edge(solution: _Solution, name: str) -> str:
    """Said when the best value is the last that was tried."""
    for axis, position in zip(solution.search.coordinates, solution.optimum.point, strict=True):
        if axis.name == name and position == axis.high:
            return "the largest value that was tried"
    return ""


def _column(solution: _Solution, name: str, timing: TimingModel) -> DoubleArray:
    """Change of the relative errors per unit of any constant, at the optimum."""
    if name in solution.names:
        return solution.jacobian[:, solution.names.index(name)]
    line, samples, search = solution.optimum.line, solution.search.samples, solution.search
    if name in (CLOCK, DELAY):
        free = Line(line.clock, line.delay)
        return linear_columns(free, solution.errors, samples)[name]
    (axis,) = coordinates([name])
    here = {a.name: getattr(timing, a.name) for a in search.coordinates}
    position, value = axis.position(getattr(timing, name)), getattr(timing, name)
    ends = []
    for other in (position - 1, position + 1):
        cycles = None
        if axis.low <= other:
            cycles = search.programs.cycles(**here, **{name: axis.value(other)})
        if cycles is not None:
            ends.append((other, cycles))
    if len(ends) < 2:
        cycles = search.programs.cycles(**here, **{name: value})
        if cycles is not None:
            ends.append((position, cycles))
    if len(ends) < 2:
        return np.zeros(len(samples))
    (first, less), (last, more) = ends[0], ends[-1]
    return np.asarray((more - less) / (last - first) / line.clock / samples.seconds)


def _could_be(
    solution: _Solution, name: str, column: DoubleArray, value: int
) -> tuple[float | None, str]:
    """Half of the 95% interval that a held constant would have, were it fitted too, and why not."""
    kept = weights_of(solution.errors, solution.optimum.noise) > 0
    names = [*solution.names, name]
    if not np.any(column[kept]):
        return None, "no program of the log changes with it"
    variance, free = variance_of(solution.errors, solution.optimum.noise, len(names))
    found = identify(np.column_stack([solution.jacobian, column])[kept], variance, free)
    half = found.margin * float(found.errors[-1])
    relative = name == CLOCK
    limit = WIDE if relative else max(WIDE * value, 1)
    if half <= limit:
        return half * (value if relative else 1), ""
    like = partner(found, len(names) - 1, names)
    return None, f"in these programs it cannot be told from {like}" if like else "too noisy"
