"""One configuration on the simulator, in detail: as text, and as a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vtacsp.cli.cut_loads import first_cut
from vtacsp.cli.knob_columns import CONFIG, config_text
from vtacsp.cli.output import Row, rows_as_table
from vtacsp.cli.terminal import printable

if TYPE_CHECKING:
    from vtacsp.timing.breakdown import TimingResult

__all__ = ["BRIEF", "brief_row", "detail_columns", "detail_row", "detail_text"]

BRIEF = ("layer", "index", "configuration", "cycles", "ms", "GOPS", "bound by")
"""Columns of a table of several configurations."""

FREE = "free schedule"
"""What a program is that has no index."""

_NUMBERS = ("cycles", "seconds", "gops", "bound", "gemm_utilisation", "read_utilisation",
            "write_utilisation", "arithmetic_intensity", "timing")  # fmt: skip
_SHARES = ("compute", "load", "store")
_BYTES = ("inp_load", "wgt_load", "acc_load", "uop_load", "out_store", "instructions")


def detail_columns() -> list[str]:
    """Columns of :func:`detail_row`, the same for every layer."""
    from vtacsp.timing.breakdown import STALLS, WORK

    modules = [
        f"modules.{module}.{what}.{name}"
        for module in WORK
        for what, names in (("busy", WORK), ("stalls", STALLS))
        for name in names[module]
    ]
    groups = [f"shares.{name}" for name in _SHARES] + [f"bytes.{name}" for name in _BYTES]
    return [*CONFIG, *_NUMBERS, "cut_short", *groups, *modules]


def detail_row(index: int | None, result: TimingResult) -> Row:
    """Everything that the simulation of a configuration found."""
    program = result.program
    head = {"workload": program.workload.name, "index": index}
    return {**head, **program.config, **result.to_dict(), "cut_short": first_cut(result)}


def brief_row(index: int | None, result: TimingResult) -> Row:
    """A configuration among several, for people."""
    return {
        "layer": result.program.workload.name,
        "index": index,
        "configuration": FREE if index is None else config_text(result.program.config),
        "cycles": result.cycles,
        "ms": f"{result.seconds * 1e3:.3f}",
        "GOPS": f"{result.gops:.1f}",
        "bound by": result.bound,
    }


def detail_text(index: int | None, result: TimingResult, *, to_file: bool) -> str:
    """The numbers, and a table of what each module did and waited for."""
    rows: list[Row] = [
        {
            "module": name,
            "busy": time.busy_cycles / result.cycles,
            "with": _spent(time.busy, result.cycles),
            "waits for": _spent(time.stalls, result.cycles),
        }
        for name, time in result.modules.items()
    ]
    head = printable("\n".join(_headline(index, result)))
    return f"{head}\n{rows_as_table(rows, list(rows[0]), to_file=to_file)}"


def _spent(cycles: Mapping[str, int], total: int) -> str:
    """What took cycles, most first."""
    most = sorted(cycles.items(), key=lambda item: -item[1])
    return ", ".join(f"{what} {n / total:.1%}" for what, n in most if n)


def _headline(index: int | None, result: TimingResult) -> list[str]:
    program = result.program
    knobs = " ".join(f"{name}={value}" for name, value in program.config.items())
    moved = ", ".join(
        f"{name.replace('_load', '').replace('_store', '')} {count:,}"
        for name, count in result.bytes.items()
        if count
    )
    return [
        f"{program.workload.name} " + (FREE if index is None else f"index {index}: {knobs}"),
        f"{result.cycles:,} cycles, {result.seconds * 1e3:.3f} ms, {result.gops:.1f} GOPS, "
        f"bound by {result.bound}",
        f"GEMM core {result.gemm_utilisation:.1%}, memory reads {result.read_utilisation:.1%}, "
        f"writes {result.write_utilisation:.1%}, "
        f"{result.arithmetic_intensity:.1f} operations per byte",
        f"bytes: {moved}",
        f"timing: {result.timing.note}",
    ]
