"""``vtacsp codesign``: which machine, with a proof."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vtacsp.cli.completion import complete_workload
from vtacsp.cli.layers import NOTHING_FEASIBLE
from vtacsp.cli.network import input_shapes, shape_option
from vtacsp.cli.options import hardware_option, jobs_option, load_hardware, output_options
from vtacsp.cli.output import Row, check_outputs, print_rows, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.terminal import printable, say
from vtacsp.cli.typed import typed_command
from vtacsp.errors import HardwareError, LogError, VtacspError, shortened
from vtacsp.files import read_json, write_text
from vtacsp.workers import process_pool, stop_workers

if TYPE_CHECKING:
    from vtacsp.codesign.beyond import FreeFront, FreePoint
    from vtacsp.codesign.machines import MachineSpace
    from vtacsp.codesign.pareto import Front, Point
    from vtacsp.codesign.side_by_side import Machine
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.timing.model import TimingModel

__all__ = ["COMMANDS", "described", "freed"]

MANY = 400  # tables that are worth the start of worker processes
PROOF_BROKEN = 1

# what a table calls a key, and whether it shows the size itself in bytes
_SHORT = {
    "LOG_BATCH": ("batch", 0),
    "LOG_BLOCK": ("block", 0),
    "LOG_BUS_WIDTH": ("bus", 3),
    "LOG_UOP_BUFF_SIZE": ("uop", 0),
    "LOG_INP_BUFF_SIZE": ("inp", 0),
    "LOG_WGT_BUFF_SIZE": ("wgt", 0),
    "LOG_ACC_BUFF_SIZE": ("acc", 0),
}


@click.command()
@click.argument("network", required=False, shell_complete=complete_workload)
@hardware_option
@output_options
@click.option(
    "--free",
    "ranges",
    multiple=True,
    metavar="KEY=LO..HI",
    help="Values of a key of vta_config.json to consider, ends included, or of LOG_BUS_WIDTH "
    "(log2 of bits, 6 to 9); repeatable.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="COST<=N",
    help="At most so much, as in kib<=600; the cost is compared too (repeatable).",
)
@click.option(
    "--cost",
    "costs",
    multiple=True,
    metavar="COST",
    help="Compare this cost, without a limit (repeatable); kib when nothing else is compared.",
)
@click.option(
    "--buildable",
    is_flag=True,
    help="Only machines and buses that the Chisel design elaborates for: its rules count as those "
    "of the stack do.",
)
@timing_options
@shape_option
@jobs_option
@click.option(
    "--free-schedules",
    "simulations",
    type=click.IntRange(1),
    metavar="N",
    help="The front of the best known with schedules beyond the template, found with N "
    "simulations per layer and machine; what no program beats (limit), and what is proven.",
)
@click.option(
    "--search-machines",
    "searched",
    type=click.IntRange(1),
    metavar="M",
    help="With --free-schedules: search at most M machines; twice those of the template's front "
    "when it is not said.",
)
@click.option("--write", "folder", metavar="DIR", help="Write a vta_config.json per point there.")
@click.option("--certificate", metavar="FILE", help="Write the proof there, for --verify.")
@click.option("--html", metavar="FILE", help="Also write a page.")
@click.option("--verify", metavar="FILE", help="Check a certificate instead; exit code 1: wrong.")
@click.option("--resume", metavar="FILE", help="Keep what is simulated there, and continue.")
def codesign(
    network: str | None,
    hardware_file: str | None,
    form: str,
    output: str | None,
    ranges: tuple[str, ...],
    budgets: tuple[str, ...],
    costs: tuple[str, ...],
    buildable: bool,
    preset: str,
    overrides: tuple[str, ...],
    shapes: tuple[str, ...],
    jobs: int | None,
    simulations: int | None,
    searched: int | None,
    folder: str | None,
    certificate: str | None,
    html: str | None,
    verify: str | None,
    resume: str | None,
) -> None:
    """The machines that no other one beats in cycles of NETWORK and in cost, with the proof.

    NETWORK is a suite, a member of one, an ONNX model, a network.json or a JSON file of layers,
    whose `count` says how often a layer runs.  Cheapest first; smallest kib first when several
    costs are compared.
    """
    if verify is not None:
        _verify(verify, network, ranges)
        return
    if network is None:
        raise VtacspError("NETWORK is missing: a suite, a member of one, or a JSON file")
    if searched is not None and simulations is None:
        raise VtacspError("--search-machines needs --free-schedules")
    if not ranges:
        raise HardwareError("nothing is free: give at least one --free KEY=LO..HI")
    from vtacsp.codesign.costs import COSTS, budgets_of
    from vtacsp.codesign.machines import MachineSpace
    from vtacsp.codesign.pareto import codesign as search
    from vtacsp.codesign.store import Store, circumstances
    from vtacsp.codesign.workloads import load_counted

    if network == hardware_file == "-":
        raise VtacspError("NETWORK and --hardware cannot both be read from standard input")
    limits = budgets_of(budgets)
    for name in costs:
        if name not in COSTS:
            raise HardwareError(f"no cost {shortened(name)}; costs are {', '.join(COSTS)}")
    free = freed(ranges)
    timing = timing_model(preset, overrides)
    machine = described(load_hardware(hardware_file), timing, overrides)
    reference = "/dev/stdin" if network == "-" else network
    layers = load_counted(reference, machine.hardware, input_shapes(shapes))
    space = MachineSpace(machine.hardware, free, machine.timing, buildable=buildable)
    check_outputs(output, certificate, html)
    _check_folder(folder)
    store = None if resume is None else Store(resume, circumstances(space))
    try:
        with _executor(space, len(layers), jobs) as executor, _counter() as progress:
            front = search(
                layers,
                space,
                limits,
                [COSTS[name] for name in costs],
                executor=executor,
                store=store,
                progress=progress,
            )
            known = None
            if simulations is not None:
                from vtacsp.codesign.beyond import beyond

                known = beyond(front, simulations, searched, executor=executor, progress=progress)
    finally:
        if store is not None:
            store.close()
    _write_files(front, known, network, certificate, folder, html)
    _print(front, known, network, form, output)
    wrote(certificate, html, folder)
    if not (front.points if known is None else known.points):
        say("no machine of the ranges is within budget and runs every layer")
        sys.exit(NOTHING_FEASIBLE)


COMMANDS = (codesign,)


def described(hardware: VTAConfig, timing: TimingModel, overrides: Sequence[str]) -> Machine:
    """The machine of ``--hardware``: its annotation ``bus_bytes`` holds, if no option says more."""
    from vtacsp.codesign.side_by_side import Machine, described_machine

    if any(word.startswith("bus_bytes=") for word in overrides):
        return Machine(hardware, timing)
    return described_machine(hardware, timing)


def freed(words: Sequence[str]) -> dict[str, range]:
    """Ranges from ``LOG_BLOCK=3..6`` words, ends included; ``:`` does as well as ``..``."""
    found: dict[str, range] = {}
    for word in words:
        match = _RANGE.fullmatch(word)
        if match is None:
            raise HardwareError(f"--free {shortened(word)} is not KEY=LO..HI with integers")
        key, low = match["key"], int(match["low"])
        high = int(match["high"] or low)
        if high < low or high >= 64:
            raise HardwareError(
                f"--free {shortened(word)}: a range goes from LO up to HI, values are log2"
            )
        if key in found:
            raise HardwareError(f"--free {shortened(key)} is given twice")
        found[key] = range(low, high + 1)
    return found


_RANGE = re.compile(r"(?P<key>[^=]+)=(?P<low>\d{1,9})((\.\.|:)(?P<high>\d{1,9}))?", re.ASCII)


def _verify(path: str, network: str | None, ranges: Sequence[str]) -> None:
    from vtacsp.codesign.certificate import check

    if network is not None or ranges:
        raise VtacspError("--verify takes a certificate and nothing else: it says what was asked")
    result = check(read_json("/dev/stdin" if path == "-" else path, LogError))
    for line in result.done:
        say(line)
    for line in result.wrong[:10]:
        say(f"wrong: {line}")
    if not result.holds:
        say(f"the certificate is wrong in {len(result.wrong):,} places")
        sys.exit(PROOF_BROKEN)
    say("the certificate holds")


# -- output


def _print(
    front: Front, free: FreeFront | None, network: str, form: str, output: str | None
) -> None:
    from vtacsp.machine.design import design_rules

    freed_keys = list(front.space.free)
    costs = [cost.name for cost in front.costs]
    points: Sequence[Point | FreePoint] = front.points if free is None else free.points
    if form != "table":
        more = [] if free is None else ["limit", "floor", "template_cycles", "proven"]
        rows: list[Row] = [
            {
                **{key: point.sizes[key] for key in freed_keys},
                **point.costs,
                "cycles": point.cycles,
                **{name: getattr(point, name) for name in more},
                "machine": point.sizes,
                "design": design_rules(point.hardware, point.timing),
                "layers": _layer_rows(point),
            }
            for point in points
        ]
        columns = [*freed_keys, *costs, "cycles", *more]
        print_rows(
            rows,
            [*columns, "machine", "design", "layers"] if form == "json" else columns,
            form,
            output,
        )
        return
    title = f"{network}: {front.space.timing.note}\n{front.proof}"
    if free is not None:
        title += f"\n{free.proof}"
    estimates = [cost.name for cost in front.costs if cost.estimate]
    if estimates:
        title += f"\nestimates by a rule (docs/codesign.md): {', '.join(estimates)}"
    title += _design(points)
    if free is None:
        fastest = min((p.cycles for p in front.points), default=1)
        last: list[Row] = [{"slower": p.cycles / fastest - 1} for p in front.points]
    else:
        last = [
            {
                "limit": p.limit,
                "template": p.template_cycles,
                "proven": "yes" if p.proven else f"to {p.cycles / p.floor - 1:.2%}",
            }
            for p in free.points
        ]
    shown = [
        {**_shown(point, freed_keys, costs), "cycles": point.cycles, **more}
        for point, more in zip(points, last, strict=True)
    ]
    print_rows(shown, list(shown[0]) if shown else [], form, output, printable(title))


def _design(points: Sequence[Point | FreePoint]) -> str:
    """Lines about what the Chisel design cannot do on the machines of the front."""
    from vtacsp.machine.design import design_rules

    words = {
        "cannot_be_built": "cannot be built for",
        "sources_changed": "needs its own sources changed for",
        "may_be_wrong": "may get programs wrong on",
    }
    found = [design_rules(point.hardware, point.timing) for point in points]
    text = ""
    for kind, word in words.items():
        broken = [rules[kind] for rules in found if rules[kind]]
        names = ", ".join(dict.fromkeys(name for rules in broken for name in rules))
        if broken:
            text += f"\nthe Chisel design {word} {len(broken):,} of these: {names}"
    return text


def _layer_rows(point: Point | FreePoint) -> list[Row]:
    from vtacsp.codesign.certificate import layer_rows
    from vtacsp.codesign.pareto import Point

    return layer_rows(point) if isinstance(point, Point) else point.layer_rows()


def _shown(point: Point | FreePoint, keys: Sequence[str], costs: Sequence[str]) -> Row:
    """Sizes and costs for people: sizes themselves and not their log2."""
    row: Row = {}
    for key in keys:
        name, bits = _SHORT[key]
        value = 1 << point.sizes[key] >> bits
        row[name] = f"{value >> 10}K" if key.endswith("BUFF_SIZE") and value >= 1024 else str(value)
    for name in costs:
        row[name] = point.costs[name]
    return row


def _write_files(
    front: Front,
    free: FreeFront | None,
    network: str,
    certificate: str | None,
    folder: str | None,
    html: str | None,
) -> None:
    if certificate is not None:
        from vtacsp.codesign.certificate import certificate as proof_of

        write_text(certificate, json.dumps(proof_of(front)) + "\n")
    if folder is not None:
        _write_machines(front.points if free is None else free.points, folder)
    if html is not None:
        from vtacsp.codesign.front_machine import details
        from vtacsp.report.front import render
        from vtacsp.report.origin import Origin

        origin = Origin.now(typed_command())
        write_text(html, render(network, front, details(front), origin, free))


def _check_folder(folder: str | None) -> None:
    if folder is None:
        return
    if not folder or "\0" in folder:
        raise VtacspError(f"--write {shortened(folder)} is no name of a folder")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise VtacspError(f"--write {shortened(folder)} is there and is no folder")


def _write_machines(points: Sequence[Point | FreePoint], folder: str) -> None:
    """A description per point, cheapest first, with what it takes as annotations."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as failure:
        raise VtacspError(f"cannot make {shortened(folder)}: {failure.strerror}") from failure
    for number, point in enumerate(points, 1):
        content = {
            **point.hardware.to_dict(),
            "bus_bytes": point.timing.bus_bytes,
            **{f"cost_{name}": value for name, value in point.costs.items()},
            "network_cycles": point.cycles,
        }
        path = Path(folder) / f"vta_config_{number:03}.json"
        write_text(path, json.dumps(content, indent=2) + "\n")


# -- work


@contextmanager
def _executor(space: MachineSpace, layers: int, jobs: int | None) -> Iterator[Executor | None]:
    """Worker processes when there is enough to do, else none."""
    tables = layers * len({group[:2] for group in space.groups})
    count = jobs or os.cpu_count() or 1
    if count == 1 or (jobs is None and tables < MANY):
        yield None
        return
    executor = process_pool(count)
    try:
        yield executor
    finally:
        stop_workers(executor)


@contextmanager
def _counter() -> Iterator[Callable[[int], None] | None]:
    """Tell on a terminal how many machines are left."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("machines left: all") as status:

        def progress(left: int) -> None:
            status.update(f"machines left: {left:,}")

        yield progress
