"""``vtacsp compare``: two machines side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from vtacsp.cli.buildable import say_limits
from vtacsp.cli.codesign import described
from vtacsp.cli.completion import complete_workload
from vtacsp.cli.layers import exit_infeasible
from vtacsp.cli.network import input_shapes, shape_option
from vtacsp.cli.options import load_hardware, output_options
from vtacsp.cli.output import Row, check_outputs, print_rows, rows_as_text, write, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.typed import typed_command
from vtacsp.files import write_text

if TYPE_CHECKING:
    from vtacsp.codesign.side_by_side import MachineComparison, Side

__all__ = ["COMMANDS"]

SIDE = ("configurations", "feasible", "index", "cycles", "bound", "inp_used", "wgt_used",
        "acc_used", "bytes_moved")  # fmt: skip
COLUMNS = (
    *("layer", "count", "feasible_on_both", "faster"),
    *(f"{what}_{side}" for what in SIDE for side in ("a", "b")),
)


@click.command()
@click.argument("a", metavar="A.json")
@click.argument("b", metavar="B.json")
@click.argument("network", shell_complete=complete_workload)
@output_options
@timing_options
@shape_option
@click.option("--html", metavar="FILE", help="Also write a page.")
def compare(
    a: str,
    b: str,
    network: str,
    form: str,
    output: str | None,
    preset: str,
    overrides: tuple[str, ...],
    shapes: tuple[str, ...],
    html: str | None,
) -> None:
    """Two machines side by side, for every layer of NETWORK: feasible sets, the best, and why.

    A.json and B.json are vta_config.json files; the annotation bus_bytes, which `codesign --write`
    writes, is the width of the memory bus.
    """
    from vtacsp.codesign.side_by_side import compare as ask
    from vtacsp.codesign.side_by_side import total
    from vtacsp.codesign.workloads import load_counted

    timing = timing_model(preset, overrides)
    machines = [described(load_hardware(path), timing, overrides) for path in (a, b)]
    layers = load_counted(network, machines[0].hardware, input_shapes(shapes))
    check_outputs(output, html)
    for path, machine in zip((a, b), machines, strict=True):
        say_limits(machine.hardware, machine.timing, path)
    rows = ask(layers, *machines)
    if form == "table":
        title = f"{network}: A is {machines[0].hardware}, bus {machines[0].timing.bus_bytes} bytes"
        title += f"\nB is {machines[1].hardware}, bus {machines[1].timing.bus_bytes} bytes"
        sums = [total(rows, side) for side in ("a", "b")]
        cycles = " and ".join("not every layer runs" if n is None else f"{n:,}" for n in sums)
        title += f"\ncycles of the network: {cycles}"
        if sums[0] is not None and sums[1] is not None:
            title += f"; speed of B: {sums[0] / sums[1] - 1:+.1%}"
        shown, memory = [_shown(row) for row in rows], [_memory(row) for row in rows]
        texts = [
            rows_as_text(shown, list(shown[0]), form, title, to_file=output is not None),
            "best configuration, what it takes of the scratchpads and moves\n",
            rows_as_text(memory, list(memory[0]), form, to_file=output is not None),
        ]
        write("".join(texts), output)
    else:
        print_rows([_row(row) for row in rows], COLUMNS, form, output)
    if html is not None:
        from vtacsp.report.comparison import render as page
        from vtacsp.report.origin import Origin

        write_text(html, page(network, (a, b), machines, rows, Origin.now(typed_command())))
        wrote(html)
    if not any(row.a.feasible or row.b.feasible for row in rows):
        exit_infeasible()


COMMANDS = (compare,)


def _name(row: MachineComparison) -> str:
    times = f" x{row.layer.count}" if row.layer.count != 1 else ""
    return row.layer.name + times


def _memory(row: MachineComparison) -> Row:
    """Index and memory of a layer's best on both machines, for people."""
    shown: Row = {"layer": _name(row)}
    shown["index"] = _both(row, lambda side: f"{side.index}")
    for name in ("inp", "wgt", "acc"):
        shown[name] = _both(row, _used(name))
    shown["KiB moved"] = _both(row, lambda side: f"{(side.moved or 0) / 1024:,.0f}")
    return shown


def _used(name: str) -> Callable[[Side], str]:
    return lambda side: f"{(side.used or {})[name]:.0%}"


def _both(row: MachineComparison, word: Callable[[Side], str]) -> str:
    return " | ".join("-" if side.index is None else word(side) for side in (row.a, row.b))


def _shown(row: MachineComparison) -> Row:
    """A layer for people, in 80 columns."""
    shown: Row = {"layer": _name(row)}
    shown["feasible"] = f"{row.a.feasible:,} | {row.b.feasible:,}"
    shown["both"] = row.both
    shown["A"], shown["B"] = row.a.cycles, row.b.cycles
    shown["faster"] = row.faster
    shown["bound by"] = _both(row, lambda side: f"{side.bound}")
    return shown


def _row(row: MachineComparison) -> Row:
    found: Row = {
        "layer": row.layer.name,
        "count": row.layer.count,
        "feasible_on_both": row.both,
        "faster": row.faster,
    }
    for name, side in (("a", row.a), ("b", row.b)):
        found |= {f"{what}_{name}": value for what, value in _values(side).items()}
    return found


def _values(side: Side) -> Row:
    used = side.used or {}
    return {
        "configurations": side.grid,
        "feasible": side.feasible,
        "index": side.index,
        "cycles": side.cycles,
        "bound": side.bound,
        **{f"{name}_used": used.get(name) for name in ("inp", "wgt", "acc")},
        "bytes_moved": side.moved,
    }
