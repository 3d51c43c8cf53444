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
from vtacsp.cli.cycles import jobs_option
from vtacsp.cli.layers import NOTHING_FEASIBLE
from vtacsp.cli.options import hardware_option, load_hardware, output_options
from vtacsp.cli.output import Row, check_outputs, emit, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.terminal import printable, say
from vtacsp.cli.typed import typed_command
from vtacsp.errors import HardwareError, LogError, VtacspError, shortened
from vtacsp.files import read_json, write_text
from vtacsp.workers import process_pool, stop_workers

if TYPE_CHECKING:
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
@timing_options
@jobs_option
@click.option(
    "--free-schedules",
    "simulations",
    type=click.IntRange(1),
    metavar="N",
    help="For the machines of the front, also search schedules beyond the template, with N "
    "simulations per layer: the best known (known_cycles) and what no program beats (limit).",
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
    preset: str,
    overrides: tuple[str, ...],
    jobs: int | None,
    simulations: int | None,
    folder: str | None,
    certificate: str | None,
    html: str | None,
    verify: str | None,
    resume: str | None,
) -> None:
    """The machines that no other one beats in cycles of NETWORK and in cost, with the proof.

    NETWORK is a suite, a member of one or a JSON file of layers, whose `count` says how often a
    layer runs.  Cheapest first; smallest kib first when several costs are compared.
    """
    if verify is not None:
        _verify(verify, network, ranges)
        return
    if network is None:
        raise VtacspError("NETWORK is missing: a suite, a member of one, or a JSON file")
    if not ranges:
        raise HardwareError("nothing is free: give at least one --free KEY=LO..HI")
    from vtacsp.codesign.costs import COSTS, budgets_of
    from vtacsp.codesign.machines import MachineSpace
    from vtacsp.codesign.pareto import codesign as search
    from vtacsp.codesign.store import Store, circumstances
    from vtacsp.codesign.workloads import load_network

    if network == hardware_file == "-":
        raise VtacspError("NETWORK and --hardware cannot both be read from standard input")
    limits = budgets_of(budgets)
    for name in costs:
        if name not in COSTS:
            raise HardwareError(f"no cost {shortened(name)}; costs are {', '.join(COSTS)}")
    free = freed(ranges)
    timing = timing_model(preset, overrides)
    layers = load_network("/dev/stdin" if network == "-" else network)
    machine = described(load_hardware(hardware_file), timing, overrides)
    space = MachineSpace(machine.hardware, free, machine.timing)
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
            more: list[Row] = [{} for _ in front.points]
            if simulations is not None:
                from vtacsp.codesign.beyond import beyond

                found = beyond(front.points, simulations, executor=executor)
                more = [{"known_cycles": b.cycles, "limit": b.limit} for b in found]
    finally:
        if store is not None:
            store.close()
    _write_files(front, network, certificate, folder, html)
    _print(front, more, network, form, output)
    wrote(certificate, html, folder)
    if not front.points:
        say("no machine of the ranges is within budget and runs every layer")
        sys.exit(NOTHING_FEASIBLE)


COMMANDS = (codesign,)


def described(hardware: VTAConfig, timing: TimingModel, overrides: Sequence[str]) -> Machine:
    """The machine of ``--hardware``: its annotation ``bus_bytes`` holds, if no option says more."""
    from vtacsp.codesign.side_by_side import Machine, machine_of

    if any(word.startswith("bus_bytes=") for word in overrides):
        return Machine(hardware, timing)
    return machine_of(hardware, timing)


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


def _print(front: Front, more: Sequence[Row], network: str, form: str, output: str | None) -> None:
    freed_keys = list(front.space.free)
    costs = [cost.name for cost in front.costs]
    if form != "table":
        from vtacsp.codesign.certificate import layer_rows

        rows: list[Row] = [
            {
                **{key: point.sizes[key] for key in freed_keys},
                **point.costs,
                "cycles": point.cycles,
                **extra,
                "machine": point.sizes,
                "layers": layer_rows(point),
            }
            for point, extra in zip(front.points, more, strict=True)
        ]
        columns = [*freed_keys, *costs, "cycles", *(more[0] if more else ())]
        emit(rows, [*columns, "machine", "layers"] if form == "json" else columns, form, output)
        return
    title = f"{network}: {front.space.timing.note}\n{front.proof}"
    estimates = [cost.name for cost in front.costs if cost.estimate]
    if estimates:
        title += f"\nestimates by a rule (docs/codesign.md): {', '.join(estimates)}"
    if any(more):
        title += "\nknown: with schedules beyond the template; limit: no program needs fewer"
    shown = [
        {
            **_shown(point, freed_keys, costs, front.points),
            **{name.removesuffix("_cycles"): value for name, value in extra.items()},
        }
        for point, extra in zip(front.points, more, strict=True)
    ]
    emit(shown, list(shown[0]) if shown else [], form, output, printable(title))


def _shown(point: Point, keys: Sequence[str], costs: Sequence[str], points: Sequence[Point]) -> Row:
    """A row for people: sizes themselves and not their log2."""
    row: Row = {}
    for key in keys:
        name, bits = _SHORT[key]
        value = 1 << point.sizes[key] >> bits
        row[name] = f"{value >> 10}K" if key.endswith("BUFF_SIZE") and value >= 1024 else str(value)
    for name in costs:
        row[name] = point.costs[name]
    row["cycles"] = point.cycles
    row["slower"] = point.cycles / min(p.cycles for p in points) - 1
    return row


def _write_files(
    front: Front, network: str, certificate: str | None, folder: str | None, html: str | None
) -> None:
    if certificate is not None:
        from vtacsp.codesign.certificate import certificate as proof_of

        write_text(certificate, json.dumps(proof_of(front)) + "\n")
    if folder is not None:
        _write_machines(front, folder)
    if html is not None:
        from vtacsp.codesign.front_machine import details
        from vtacsp.report.front import render
        from vtacsp.report.origin import Origin

        write_text(html, render(network, front, details(front), Origin.now(typed_command())))


def _check_folder(folder: str | None) -> None:
    if folder is None:
        return
    if not folder or "\0" in folder:
        raise VtacspError(f"--write {shortened(folder)} is no name of a folder")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise VtacspError(f"--write {shortened(folder)} is there and is no folder")


def _write_machines(front: Front, folder: str) -> None:
    """A description per point, cheapest first, with what it takes as annotations."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as failure:
        raise VtacspError(f"cannot make {shortened(folder)}: {failure.strerror}") from failure
    for number, point in enumerate(front.points, 1):
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
