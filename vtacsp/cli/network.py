"""Networks on the command line: what is asked for, ``vtacsp network``, and answers as tables."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vtacsp.cli.cut_loads import say_cut_loads
from vtacsp.cli.knob_columns import KNOBS, config_text
from vtacsp.cli.layers import Done, each, exit_infeasible
from vtacsp.cli.options import (
    STDIN,
    hardware_option,
    load_hardware,
    output_options,
    workload_argument,
)
from vtacsp.cli.output import Row, check_outputs, print_rows, rows_as_table, write, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.terminal import printable, width
from vtacsp.errors import NetworkError, VtacspError, shortened
from vtacsp.files import write_text
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.load import counted_network, find
from vtacsp.network.partition import ALU, DENSE, FIRST_LAYER, RESIDUAL, Options
from vtacsp.network.value import CONSTANT, FUSED, HOST, VTA, Network, NetworkLayer
from vtacsp.operators.workload import Workload

if TYPE_CHECKING:
    from vtacsp.network.answer import LayerAnswer, NetworkAnswer
    from vtacsp.timing.model import TimingModel

__all__ = ["COMMANDS", "Asked", "network_options", "print_answer", "solve_all", "suite_total"]

F = TypeVar("F", bound=Callable[..., Any])

LONGEST_NAME = 26  # of a layer in a table
NARROW_NAME, NARROW = 16, 100  # of one in a table of fewer columns
NODES = ("node", "op", "count", "place", "layer", "why", "macs", "remarks")

MEASURED = ("total_cycles", "ms", "bound", "gemm_utilisation", "bytes", "macs", "waste",
            "configurations", "feasible", "share", "alone", "cut_short", "reason")  # fmt: skip
ANSWER = ("place", "layer", "count", "cycles", "index", *KNOBS, *MEASURED)
"""Columns of an answer in CSV: a row per layer, the total, a row per node on the host."""


@dataclass(frozen=True)
class Asked:
    """What the options say about the network that WORKLOAD is."""

    as_network: bool
    options: Options

    def find(
        self, workload: str, hardware_file: str | None, timing: TimingModel | None = None
    ) -> tuple[Network | list[Workload], VTAConfig]:
        """A network, or the workloads of a suite or a file as they are, and the machine.

        It is a network when the file is one, and when an option asks for it.  ``timing`` is what
        its layers are timed by, None in a command that times nothing.
        """
        if workload == hardware_file == "-":
            raise VtacspError("WORKLOAD and --hardware cannot both be read from standard input")
        machine = load_hardware(hardware_file)
        reference = STDIN if workload == "-" else workload
        found = find(reference, machine, replace(self.options, timing=timing))
        if isinstance(found, Network):
            return found, machine
        if self.as_network or self.options.host:
            return counted_network(workload, found, machine, self.options), machine
        return found, machine


shape_option = click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=1,3,224,224",
    help="Fixes the shape of an input of an ONNX model (repeatable).",
)


def network_options(function: F) -> F:
    """``--network``, ``--host`` and the choices for ONNX models, as one argument ``asked``."""

    @functools.wraps(function)
    def command(
        *args: Any,
        as_network: bool,
        host: tuple[str, ...],
        first_layer: str,
        residual: str,
        dense: str,
        alu: tuple[str, ...],
        shapes: tuple[str, ...],
        **others: Any,
    ) -> Any:
        options = Options(
            first_layer=first_layer,
            residual=residual,
            dense=dense,
            alu=frozenset(alu),
            host=frozenset(host),
            shapes=input_shapes(shapes),
        )
        return function(*args, asked=Asked(as_network, options), **others)

    for option in (
        shape_option,
        click.option(
            "--residual",
            type=click.Choice(RESIDUAL),
            default="host",
            show_default=True,
            help="Where an ONNX model adds a residual: on the host, or in the epilogue of the "
            "layer before, as int32.",
        ),
        click.option(
            "--first-layer",
            type=click.Choice(FIRST_LAYER),
            default="host",
            show_default=True,
            help="A first convolution of an ONNX model that does not fill a block of channels: "
            "on the host, filled with zeros, or with several pixels in one block.",
        ),
        click.option(
            "--alu",
            type=click.Choice(ALU),
            multiple=True,
            help="Pools, or sums of two tensors, of an ONNX model on VTA's ALU in place of the "
            "host, which hands over int32 (repeatable).",
        ),
        click.option(
            "--dense",
            type=click.Choice(DENSE),
            default="fastest",
            show_default=True,
            help="Dense layers of an ONNX model: as 1x1 convolutions, by the dense template, or "
            "whichever is faster.",
        ),
        click.option(
            "--host",
            multiple=True,
            metavar="NODE",
            help="A node of the network that stays on the host (repeatable).",
        ),
        click.option(
            "--network",
            "as_network",
            is_flag=True,
            help="WORKLOAD as a network: layers filled to blocks, counts, totals, the host. Always "
            "so for a network.json and an ONNX model.",
        ),
    ):
        command = option(command)
    return command  # type: ignore[return-value]


def input_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes from ``NAME=1,3,224,224`` words; the name may hold ``=``."""
    shapes: dict[str, tuple[int, ...]] = {}
    for word in words:
        name, _, sizes = word.rpartition("=")
        if not name or not re.fullmatch(r"[0-9]{1,10}(,[0-9]{1,10})*", sizes):
            raise NetworkError(
                f"--shape {shortened(word)} is not NAME=SIZES, such as data=1,3,224,224"
            )
        if name in shapes:
            raise NetworkError(f"--shape {shortened(name)} is given twice")
        shapes[name] = tuple(map(int, sizes.split(",")))
        if 0 in shapes[name]:
            raise NetworkError(f"--shape {shortened(word)}: sizes are at least 1")
    return shapes


# -- vtacsp network


@click.command()
@workload_argument
@hardware_option
@output_options
@network_options
@timing_options
@click.option("--write", "target", metavar="FILE", help="Also write the network as network.json.")
def network(
    workload: str,
    hardware_file: str | None,
    form: str,
    output: str | None,
    target: str | None,
    preset: str,
    overrides: tuple[str, ...],
    asked: Asked,
) -> None:
    """Where every node of a network runs: on VTA, in an epilogue, on the host and why.

    What is chosen by cycles (--dense fastest, --first-layer fold) is by those of --preset and
    --timing.
    """
    check_outputs(output, target)
    timing = timing_model(preset, overrides)
    found, machine = Asked(True, asked.options).find(workload, hardware_file, timing)
    assert isinstance(found, Network)
    layer_of = {node: layer.name for layer in found.layers for node in layer.nodes}
    rows: list[Row] = [
        {
            "node": node.name,
            "op": node.op,
            "count": node.count,
            "place": node.place,
            "layer": layer_of.get(node.name),
            "why": node.why or None,
            "macs": node.macs or (node.workload.macs if node.workload else None),
            "remarks": "; ".join(node.remarks) or None,
        }
        for node in found.nodes
    ]
    if form == "table":
        write(_network_text(found, machine, rows, to_file=output is not None), output)
    else:
        print_rows(rows, NODES, form, output)
    if target is not None:
        write_text(target, json.dumps(found.to_dict(), indent=1) + "\n")
        wrote(target)


COMMANDS = (network,)


def _network_text(found: Network, machine: VTAConfig, rows: list[Row], *, to_file: bool) -> str:
    shown: list[Row] = [
        {
            "node": short(row["node"]),
            "op": row["op"],
            "n": row["count"],
            "where": row["place"],
            "why": "; ".join(filter(None, (_reason(row), row["remarks"]))),
        }
        for row in rows
        if row["place"] != CONSTANT
    ]
    sums = {place: sum(n.count for n in found.placed(place)) for place in (VTA, FUSED, HOST)}
    constants = len(found.placed(CONSTANT))
    title = (
        f"{found.name} on {machine}\n"
        f"{sums[VTA]:,} nodes on VTA ({len(found.layers):,} distinct layers), {sums[FUSED]:,} "
        f"fused, {sums[HOST]:,} on the host"
    )
    title += f", {constants:,} constants" if constants else ""
    text = rows_as_table(shown, ["node", "op", "n", "where", "why"], title, to_file=to_file)
    return text + "".join(f"{printable(note)}\n" for note in found.remarks)


def _reason(row: Row) -> str:
    if row["place"] == VTA:
        return "" if row["layer"] == row["node"] else f"as {short(row['layer'])}"
    return f"into {short(row['why'])}" if row["place"] == FUSED else str(row["why"])


def short(name: str) -> str:
    """A name for a table: the end of a long one, which tells more than its beginning."""
    most = LONGEST_NAME if width() >= NARROW else NARROW_NAME
    return name if len(name) <= most else f"...{name[3 - most :]}"


# -- answers


def solve_all(
    found: Network, machine: VTAConfig, timing: TimingModel, executor: Executor | None
) -> tuple[NetworkAnswer, Done[list[LayerAnswer]]]:
    """The answer of a network, with a progress bar; Ctrl-C keeps the layers that are done."""
    from vtacsp.network.answer import NetworkAnswer, answers, tasks

    _something_on_vta(found)
    groups = tasks(found.layers, machine)
    done = each(groups, lambda group: answers(group, machine, timing, executor))
    known = {answer.layer.name: answer for group in done.results for answer in group}
    ordered = tuple(known[layer.name] for layer in found.layers if layer.name in known)
    return NetworkAnswer(found, machine, timing, ordered), done


def _something_on_vta(found: Network) -> None:
    if not found.layers:
        raise NetworkError(f"{found.name}: no node runs on VTA; `vtacsp network` says why of each")


def print_answer(
    answer: NetworkAnswer,
    form: str,
    output: str | None,
    columns: Sequence[str],
    extra: Callable[[LayerAnswer], Row] | None = None,
    more: Sequence[str] = (),
    total: Row | None = None,
    below: str = "",
) -> None:
    """Print an answer; ``columns`` are those of the table, ``extra`` adds the keys ``more``.

    ``total`` adds to the total, and ``below`` stands under the table.
    """
    if form == "json":
        data = answer.to_dict()
        data["total"].update(total or {})
        for row, layer in zip(data["layers"], answer.layers, strict=True):
            row.update({} if extra is None else extra(layer))
        write(json.dumps(data, indent=1) + "\n", output)
    elif form == "csv":
        rows = [_csv_row(x, {} if extra is None else extra(x)) for x in answer.layers]
        rows.append({"place": "total", "layer": "total", **answer.total(), **(total or {})})
        rows += [
            {"place": HOST, "layer": row["node"], "count": row["count"], "reason": row["reason"]}
            for row in answer.network.host_rows()
        ]
        print_rows(rows, (*ANSWER, *more), form, output)
    else:
        write(_text(answer, columns, extra, to_file=output is not None) + below, output)
    say_cut_loads(
        (f"{x.layer.name} index {x.index}", x.result.cut_short)
        for x in answer.layers
        if x.result is not None
    )


def _csv_row(layer: LayerAnswer, extra: Row) -> Row:
    row = layer.to_dict()
    return {"place": VTA, **row, **(row["config"] or {}), "reason": row["refused"], **extra}


def _text(
    answer: NetworkAnswer,
    columns: Sequence[str],
    extra: Callable[[LayerAnswer], Row] | None,
    *,
    to_file: bool,
) -> str:
    rows = [{**_shown(layer), **({} if extra is None else extra(layer))} for layer in answer.layers]
    total = answer.total()
    rows.append(
        {
            "layer": "total",
            "n": total["count"],
            "all runs": total["cycles"],
            "grid": total["configurations"],
            "feasible": total["feasible"],
            "share": total["share"],
            "GEMM": _percent(total["gemm_utilisation"]),
        }
    )
    named = [c for c in columns if any(row.get(c) not in (None, "") for row in rows)]
    title = (
        f"{answer.network.name}: {answer.timing.note}\n"
        "n: how often the network has the layer; all runs: cycles of these together"
    )
    text = rows_as_table(rows, named, title, to_file=to_file)
    return text + printable("\n".join(_lines(answer, total))) + "\n"


def _shown(layer: LayerAnswer) -> Row:
    """A layer for people."""
    counts, run = layer.statistics, layer.result
    row: Row = {"layer": short(layer.layer.name), "n": layer.layer.count}
    if counts is not None:
        row |= {"grid": counts.size, "feasible": counts.feasible, "share": counts.share}
        ranked = sorted(counts.first, key=lambda name: -counts.first[name])[:2]
        row["main first causes"] = ", ".join(f"{n} {counts.first[n]:,}" for n in ranked)
    if run is None:
        row["configuration"] = row["main first causes"] = layer.refused or "nothing is feasible"
        return row
    return row | {
        "index": layer.index,
        "configuration": config_text(run.program.config),
        "cycles": run.cycles,
        "all runs": layer.total_cycles,
        "GEMM": _percent(run.gemm_utilisation),
        "bound by": run.bound,
    }


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _lines(answer: NetworkAnswer, total: Row) -> list[str]:
    """What stands below the table: the total in words, shared tasks, the host, remarks."""
    ms, wasted = total["ms"], (total["waste"] or 0) > 0.0005
    lines = [
        f"total: {total['cycles']:,} cycles, {ms:,.3f} ms at {total['clock_hz'] / 1e6:g} MHz, "
        f"{total['bytes']:,} bytes moved"
        + (f", GEMM core {total['gemm_utilisation']:.1%}" if total["cycles"] else "")
        + (f", {total['waste']:.1%} of its products fill blocks" if wasted else "")
    ]
    if total["missing"]:
        lines.append(f"not in the total: {', '.join(map(short, total['missing']))}")
    if len(answer.answered) > 1:
        names = ", ".join(short(layer.layer.name) for layer in answer.first)
        lines.append(f"look at first (most cycles without GEMM): {names}")
    for layer in answer.layers:
        if layer.shared and layer.cycles != layer.alone and layer.alone is not None:
            lines.append(
                f"{short(layer.layer.name)}: one AutoTVM task with "
                f"{', '.join(map(short, layer.shared))}; by itself {layer.alone:,} cycles"
            )
    reasons: dict[tuple[str, str], int] = {}
    for node in answer.network.host:
        reasons[node.op, node.why] = reasons.get((node.op, node.why), 0) + node.count
    if reasons:
        lines.append(f"on the host: {total['host']:,} nodes")
        lines += [f"  {n:,} x {op}: {why}" for (op, why), n in reasons.items()]
    lines += list(answer.network.remarks)
    return lines


def count_of(workload: Workload) -> int | None:
    """How often a network has the layer, None where nothing usable says so."""
    count = workload.extra.get("count")
    usable = isinstance(count, int) and not isinstance(count, bool) and count > 0
    return count if usable else None


def suite_total(cycles: Sequence[tuple[Workload, int | None]], clock_hz: int) -> str:
    """A line with the cycles of a network whose layers say how often they are there, else none."""
    counts = [count_of(workload) for workload, _ in cycles]
    if len(cycles) < 2 or None in counts or any(found is None for _, found in cycles):
        return ""
    total = sum(n * (found or 0) for n, (_, found) in zip(counts, cycles, strict=True) if n)
    return (
        f"\n{sum(n for n in counts if n):,} layers with their counts: {total:,} cycles, "
        f"{total / clock_hz * 1e3:,.3f} ms at {clock_hz / 1e6:g} MHz"
    )


def layers_of(found: Network) -> tuple[NetworkLayer, ...]:
    """The distinct layers; raises :class:`~vtacsp.errors.NetworkError` when there is none."""
    _something_on_vta(found)
    return found.layers


def end(done: Done[list[LayerAnswer]], answer: NetworkAnswer) -> None:
    """End a command about a network with the exit code that says how it went."""
    done.end()
    if not answer.answered:
        exit_infeasible()
