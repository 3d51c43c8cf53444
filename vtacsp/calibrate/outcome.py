"""What a calibration found: constants, what they are worth, and every program's error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from vtacsp.calibrate.measured import Measurement, Measurements
from vtacsp.calibrate.preset_file import preset_to_dict
from vtacsp.timing.model import TimingModel

__all__ = ["FITTED", "HELD", "UNTOLD", "Calibration", "Estimate", "Residual"]


FITTED, HELD, UNTOLD = "fitted", "held", "not told"
"""A constant that the log told; one that was not asked for; one that the log cannot tell."""

RANKED = 3  # programs of a layer from which on their order says something


@dataclass(frozen=True)
class Estimate:
    """One constant.

    ``value`` is that of the preset: fitted, or ``start`` where it was held or not told.  ``low`` to
    ``high`` is the 95% interval; None where it is not fitted and has none.  ``effect`` is how much
    slower programs become on average per unit (a power of two: per doubling; the clock: per
    percent).  ``could_be`` is the half of the 95% interval that fitting a held one would have, None
    where that tells nothing of it.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> board = SimulatorMeasurer(space, timing=TimingModel(memory_latency=52, note="board"))
    >>> _ = tune(GridSearcher(search_space(space)), board, trials=8, log="board.log")
    >>> found = calibrate(measurements(load_records("board.log")), ["memory_latency"])
    >>> one = found.estimates["memory_latency"]
    >>> one.status, one.start, one.value, (one.low, one.high)
    ('fitted', 16, 52, (52, 52))
    """

    name: str
    unit: str
    status: str
    value: int
    start: int
    low: int | None = None
    high: int | None = None
    standard_error: float | None = None
    effect: float = 0.0
    could_be: float | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        names = ("value", "low", "high", "standard_error", "start", "unit", "status", "effect",
                 "could_be", "reason")  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Residual:
    """One program: seconds measured, simulated before and after; errors are relative to measured.

    ``left_out`` is the error when the constants are chosen without it.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> board = SimulatorMeasurer(space, timing=TimingModel(memory_latency=52, note="board"))
    >>> _ = tune(GridSearcher(search_space(space)), board, trials=8, log="board.log")
    >>> found = calibrate(measurements(load_records("board.log")), ["memory_latency"])
    >>> max(abs(row.error) for row in found.residuals) < 1e-6, len(found.outliers)
    (True, 0)
    """

    measurement: Measurement
    before: float
    after: float
    left_out: float
    outlier: bool

    @property
    def error(self) -> float:
        """Simulated over measured, less 1."""
        return self.after / self.measurement.seconds - 1

    def to_dict(self) -> dict[str, Any]:
        """As a row."""
        return {
            "workload": self.measurement.workload.name,
            "index": self.measurement.index,
            "records": self.measurement.records,
            "measured_seconds": self.measurement.seconds,
            "simulated_before": self.before,
            "simulated_seconds": self.after,
            "error": self.error,
            "left_out_error": self.left_out,
            "outlier": self.outlier,
        }


@dataclass(frozen=True)
class Calibration:
    """A timing model fitted to measurements.

    ``noise`` is the standard deviation of the errors, from their median.  ``condition`` and
    ``rank`` are those of the sensitivities of what was asked for, ``fitted_condition`` of what was
    fitted.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> board = SimulatorMeasurer(space, timing=TimingModel(memory_latency=52, note="board"))
    >>> _ = tune(GridSearcher(search_space(space)), board, trials=8, log="board.log")
    >>> measured = measurements(load_records("board.log"))
    >>> found = calibrate(measured, ["memory_latency", "memory_queue"])
    >>> found.fitted, found.estimates["memory_queue"].reason
    (['memory_latency'], 'no program of the log changes with it')
    >>> {name: f"{error:.0%}" for name, error in found.errors().items()}
    {'before': '37%', 'after': '0%', 'left_out': '0%'}
    """

    measured: Measurements
    start: TimingModel
    timing: TimingModel
    estimates: Mapping[str, Estimate]
    residuals: tuple[Residual, ...]
    noise: float
    rank: int
    condition: float
    fitted_condition: float

    @property
    def fitted(self) -> list[str]:
        """Names of the constants that the log told."""
        return [name for name, one in self.estimates.items() if one.status == FITTED]

    @property
    def outliers(self) -> list[Residual]:
        """Programs that the fit ignored, the largest error first."""
        found = [residual for residual in self.residuals if residual.outlier]
        return sorted(found, key=lambda residual: -abs(residual.error))

    def errors(self) -> dict[str, float]:
        """Median of the relative errors without their sign: before, after, and left out.

        Outliers count in the first two and not in the last.
        """
        before = [abs(r.before / r.measurement.seconds - 1) for r in self.residuals]
        after = [abs(r.error) for r in self.residuals]
        left_out = [abs(r.left_out) for r in self.residuals if not r.outlier]
        values = {"before": before, "after": after, "left_out": left_out}
        return {name: float(np.median(found)) for name, found in values.items()}

    def rank_correlation(self) -> dict[str, float | None]:
        """Spearman's, within layers, weighted by their programs: before and after.

        None where no layer has enough programs that differ.
        """
        by_layer: dict[str, list[Residual]] = {}
        for residual in self.residuals:
            by_layer.setdefault(residual.measurement.workload.name, []).append(residual)
        return {name: _within(by_layer.values(), name) for name in ("before", "after")}

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        measured = self.measured
        return {
            "machine": measured.hardware.model,
            "device": measured.device,
            "records": measured.records,
            "failed": measured.failed,
            "refused": list(measured.refused),
            "programs": len(measured.rows),
            "constants": {name: one.to_dict() for name, one in self.estimates.items()},
            "noise": self.noise,
            "repeatability": measured.repeatability,
            "rank": self.rank,
            "condition": _number(self.condition),
            "fitted_condition": _number(self.fitted_condition),
            "error": self.errors(),
            "rank_correlation": self.rank_correlation(),
            "outliers": [residual.to_dict() for residual in self.outliers],
            "residuals": [residual.to_dict() for residual in self.residuals],
            "preset": preset_to_dict(self.timing),
        }


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return value if np.isfinite(value) else None


def _within(layers: Any, name: str) -> float | None:
    total, weight = 0.0, 0
    for rows in layers:
        measured: Sequence[float] = [row.measurement.seconds for row in rows]
        simulated: Sequence[float] = [getattr(row, name) for row in rows]
        if len(rows) < RANKED or len(set(measured)) == 1 or len(set(simulated)) == 1:
            continue
        total += float(stats.spearmanr(measured, simulated).statistic) * len(rows)
        weight += len(rows)
    return total / weight if weight else None
