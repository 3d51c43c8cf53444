"""A calibration on standard output: constants, errors, outliers, what to measure next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from vtacsp.cli.knob_columns import CONFIG, KNOBS, config_rows, config_text
from vtacsp.cli.output import Row, print_rows, rows_as_text, write
from vtacsp.cli.terminal import printable, width

if TYPE_CHECKING:
    from vtacsp.calibrate import Calibration, Estimate, Proposals
    from vtacsp.machine.configuration import VTAConfig

__all__ = ["Answer", "print_calibration"]

CONSTANTS = ("constant", "value", "low", "high", "standard_error", "start", "unit", "status",
             "effect", "could_be", "reason")  # fmt: skip
RESIDUALS = ("workload", "index", "records", "measured_seconds", "simulated_before",
             "simulated_seconds", "error", "left_out_error", "outlier")  # fmt: skip
PROPOSED = (*CONFIG, "cycles", "seconds")
SHOWN_OUTLIERS = 8
BEYOND = 3  # times what repeated measurements differ by
FINEST = 0.01  # of an interval that is shown: constants are integers


@dataclass(frozen=True)
class Answer:
    """What the command found; ``residuals`` asks for every program."""

    log: str
    machine: VTAConfig
    found: Calibration | None
    proposals: Proposals | None
    residuals: bool

    def proposed(self) -> list[Row]:
        """The proposals, with their knobs."""
        from vtacsp.space.problem import Problem

        rows: list[Row] = []
        for one in self.proposals.rows if self.proposals else ():
            problem = Problem.of(one.workload, self.machine)
            (row,) = config_rows(problem, np.array([one.index], dtype=np.int64))
            rows.append({**row, "cycles": one.cycles, "seconds": one.seconds})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        data: dict[str, Any] = {}
        if self.found is not None:
            data = {"log": self.log, **self.found.to_dict()}
        if self.proposals is not None:
            one = self.proposals
            data["propose"] = self.proposed()
            data["proposed_from"] = {
                "candidates": one.candidates, "now": one.now, "then": one.then,
            }  # fmt: skip
        return data


def print_calibration(answer: Answer, form: str, output: str | None) -> None:
    """Print an answer as text, CSV (one table of it) or JSON, or write it to a file."""
    found = answer.found
    if form == "json":
        write(json.dumps(answer.to_dict(), indent=1) + "\n", output)
    elif form == "table":
        write(_text(answer, output is not None), output)
    elif answer.proposals is not None:
        print_rows(answer.proposed(), PROPOSED, form, output)
    elif found is not None and answer.residuals:
        print_rows([one.to_dict() for one in found.residuals], RESIDUALS, form, output)
    elif found is not None:
        rows = [{"constant": one.name, **one.to_dict()} for one in found.estimates.values()]
        print_rows(rows, CONSTANTS, form, output)


def _text(answer: Answer, file: bool) -> str:
    parts, found, proposals = [], answer.found, answer.proposals
    if found is not None:
        parts.append(_fitted(answer.log, found, file))
    if found is not None and answer.residuals:
        rows = [_residual(one.to_dict()) for one in found.residuals]
        parts.append(rows_as_text(rows, list(rows[0]), "table", "every program", to_file=file))
    if proposals is not None:
        rows = [_proposal(row) for row in answer.proposed()]
        told = ", ".join(
            f"{name} {now:.3g} to {proposals.then[name]:.3g}" for name, now in proposals.now.items()
        )
        title = f"to measure next, of {proposals.candidates:,} programs"
        text = rows_as_text(rows, list(rows[0]), "table", title, to_file=file)
        parts.append(text + _wrapped(f"standard errors, before and after them: {told}") + "\n")
    return "\n".join(parts)


def _fitted(log: str, found: Calibration, file: bool) -> str:
    measured = found.measured
    title = (
        f"{log}: {len(measured.rows):,} programs, {measured.records:,} records, "
        f"{measured.failed:,} failed\n{measured.hardware.model}, device: {measured.device}"
    )
    shown = [one for one in found.estimates.values() if one.status != "held"]
    rows = [_estimate(one) for one in shown]
    text = rows_as_text(rows, list(rows[0]), "table", title, to_file=file)
    errors, order = found.errors(), found.rank_correlation()
    lines = [
        f"error of a program (median): {errors['before']:.2%} before, {errors['after']:.2%} after, "
        f"{errors['left_out']:.2%} when left out"
    ]
    if order["before"] is not None and order["after"] is not None:
        lines.append(
            f"order within layers (Spearman): {order['before']:.4f} before, "
            f"{order['after']:.4f} after"
        )
    lines += [*_told(found), *_outliers(found)]
    return text + "\n".join(map(_wrapped, lines)) + "\n"


def _told(found: Calibration) -> list[str]:
    """How well constants are told, and which others could be."""
    lines, repeats = [], found.measured.repeatability
    lines.append(
        f"noise: {found.noise:.2g} relative"
        + ("" if repeats is None else f"; repeated measurements differ by {repeats:.2g}")
    )
    if repeats and found.noise > BEYOND * repeats:
        lines.append(
            f"the model leaves something out: its errors are {found.noise / repeats:.0f} times as "
            "large as what repeated measurements differ by"
        )
    condition = f"{found.condition:.3g}" if np.isfinite(found.condition) else "infinite"
    lines.append(
        f"sensitivities: rank {found.rank}, condition {condition}; of what is fitted "
        f"{found.fitted_condition:.3g}"
    )
    held = [one for one in found.estimates.values() if one.status == "held"]
    could = [
        f"{one.name} to ±{max(one.could_be, FINEST):.2g}"
        for one in held
        if one.could_be is not None
    ]
    cannot = [one.name for one in held if one.could_be is None]
    if could:
        lines.append(f"held, but the log tells (--fit): {', '.join(could)}")
    if cannot:
        lines.append(f"held, and the log does not tell: {', '.join(cannot)}")
    return lines


def _outliers(found: Calibration) -> list[str]:
    lines = []
    for one in found.outliers[:SHOWN_OUTLIERS]:
        row = one.measurement
        lines.append(
            f"outlier: {row.workload.name} index {row.index}: measured {row.seconds * 1e3:.4g} ms, "
            f"simulated {one.after * 1e3:.4g} ms"
        )
    if len(found.outliers) > SHOWN_OUTLIERS:
        lines.append(f"{len(found.outliers) - SHOWN_OUTLIERS} more outliers: --residuals")
    return lines


def _wrapped(line: str) -> str:
    return fill(printable(line), max(width(), 40), subsequent_indent="  ", break_long_words=False,
                break_on_hyphens=False)  # fmt: skip


def _estimate(one: Estimate) -> Row:
    """A constant for people."""
    interval = ""
    if one.low is not None and one.high is not None:
        interval = f"{one.low:,} to {one.high:,}"
        if one.name == "clock_hz":
            interval = f"{one.low / 1e6:.6g} to {one.high / 1e6:.6g} MHz"
    says = one.status + (f": {one.reason}" if one.reason else "")
    return {
        "constant": one.name,
        "value": one.value,
        "95% interval": interval,
        "before": one.start,
        "the log": says,
    }


def _residual(row: Row) -> Row:
    return {
        "layer": row["workload"],
        "index": row["index"],
        "ms": f"{row['measured_seconds'] * 1e3:.4g}",
        "simulated": f"{row['simulated_seconds'] * 1e3:.4g}",
        "error": f"{row['error']:.2%}",
        "left out": f"{row['left_out_error']:.2%}",
        "": "outlier" if row["outlier"] else "",
    }


def _proposal(row: Row) -> Row:
    knobs = {name: row[name] for name in KNOBS if name in row}
    return {
        "layer": row["workload"],
        "index": row["index"],
        "configuration": config_text(knobs),
        "cycles": row["cycles"],
        "ms": f"{row['seconds'] * 1e3:.4g}",
    }
