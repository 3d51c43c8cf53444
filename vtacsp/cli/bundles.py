"""Commands on bundles: a program with its data in a folder, and that folder on VTA's driver."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from vtacsp.cli.cut_loads import say_cut_loads
from vtacsp.cli.options import hardware_option, load_layers, seed_option, workload_argument
from vtacsp.cli.output import FORMATS, print_rows
from vtacsp.cli.preset import timing_options
from vtacsp.cli.programs import pointing_to_explain
from vtacsp.cli.schedules import layer_of_file, one_schedule
from vtacsp.cli.terminal import say
from vtacsp.errors import BundleError, VtacspError

if TYPE_CHECKING:
    from vtacsp.program import Program
    from vtacsp.timing.simulator import Simulator

__all__ = ["COMMANDS"]

WRONG = 3  # the numbers are not those of the bundle


@click.command()
@workload_argument
@click.argument("schedule", required=False, metavar="[SCHEDULE]")
@hardware_option
@click.option("--output", metavar="DIR", required=True, help="The folder to make.")
@click.option("--index", type=int, metavar="N", help="A configuration, by its AutoTVM index.")
@click.option("--best", "fastest", is_flag=True, help="The fastest feasible configuration.")
@click.option("--free", is_flag=True, help="The fastest schedule that a search beyond it finds.")
@seed_option
@timing_options
def export(
    workload: str,
    schedule: str | None,
    hardware_file: str | None,
    output: str,
    index: int | None,
    fastest: bool,
    free: bool,
    seed: int,
    preset: str,
    overrides: tuple[str, ...],
) -> None:
    """Write a layer's program, its data for a seed and what they must give into a folder.

    The program is a configuration (--index, --best), the best free schedule (--free), or that of
    SCHEDULE: a free schedule in JSON, or a file with one, such as `vtacsp best --free --save` and
    `vtacsp sample --free` write. Of a file that names one layer, which a suite has, SCHEDULE
    alone is enough.
    """
    from vtacsp.bundle.bundle import check_folder
    from vtacsp.bundle.pack import pack
    from vtacsp.timing.model import PRESETS
    from vtacsp.timing.simulator import Simulator

    chosen = sum((index is not None, fastest, free, schedule is not None))
    if chosen == 0 and (layer := layer_of_file(workload)) is not None:
        workload, schedule, chosen = layer, workload, 1
    if chosen != 1:
        raise VtacspError("choose the program with --index, --best, --free or a SCHEDULE file")
    layers, machine = load_layers(workload, hardware_file)
    if len(layers) != 1:
        raise VtacspError(f"{workload} has {len(layers)} layers: a bundle holds one, as in "
                          f"{workload}.{layers[0].name.rpartition('.')[2]}")  # fmt: skip
    check_folder(output)
    simulator = Simulator(layers[0], machine, PRESETS[preset].override(overrides))
    indices = () if index is None else (index,)
    told = nullcontext() if schedule else pointing_to_explain(workload, hardware_file, indices)
    with told:
        program, source = _program(simulator, index, fastest, free, schedule, seed)
        bundle = pack(program, source, seed=seed, timing=simulator.timing, limit=_limit(simulator))
    bundle.save(output)
    manifest = bundle.manifest
    size = sum(buffer.bytes for buffer in manifest.files.values())
    say(f"wrote {output}: {manifest.count:,} instructions, {manifest.cycles:,} cycles, "
        f"{size:,} bytes")  # fmt: skip
    say_cut_loads([(manifest.layer.name, manifest.cut_short)])


def _program(
    simulator: Simulator,
    index: int | None,
    fastest: bool,
    free: bool,
    file: str | None,
    seed: int,
) -> tuple[Program, dict[str, Any]]:
    """What is asked for, and where it comes from."""
    layer, machine = simulator.workload, simulator.hardware
    if free or file is not None:
        from vtacsp.free import emit as emit_schedule
        from vtacsp.free import search

        if file is None:
            chosen = search(layer, machine, simulator.timing, seed=seed).schedule
        else:
            chosen = one_schedule(file, layer.name, machine, simulator.timing)
        source = {"kind": "free", "schedule": chosen.to_dict()}
        return emit_schedule(chosen, layer, machine), source
    if fastest:
        from vtacsp.timing.exhaustive import simulate_all

        index = int(simulator.space.indices[simulate_all(simulator).best])
    program = simulator.program(index or 0)
    return program, {"kind": "template", "index": index, "config": dict(program.config)}


def _limit(simulator: Simulator) -> int | None:
    """The limit of the layer; None for an epilogue that the limit does not know."""
    from vtacsp.errors import WorkloadError
    from vtacsp.free import limit

    try:
        return int(limit(simulator.workload, simulator.hardware, simulator.timing).cycles)
    except WorkloadError:
        return None


@click.command()
@click.argument("folder", metavar="DIR")
@click.option("--library", required=True, metavar="FILE", help="Such as libvta_fsim.so.")
@hardware_option
@click.option(
    "--preload", multiple=True, metavar="FILE", help="A library that it needs (repeatable)."
)
@click.option("--tsim", metavar="FILE", help="The RTL that libvta_tsim simulates: libvta_hw.so.")
@click.option(
    "--address-bits",
    type=click.Choice(("32", "64")),
    default="32",
    show_default=True,
    help="64 for a driver that was compiled with USE_VTA64.",
)
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True,
    metavar="SECONDS",
)  # fmt: skip
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
def run(
    folder: str,
    library: str,
    hardware_file: str | None,
    preload: tuple[str, ...],
    tsim: str | None,
    address_bits: str,
    timeout: float,
    form: str,
) -> None:
    """Run a bundle on a library with VTA's driver, and compare what it computes.

    --hardware describes the library's machine; without it a vta_config.json beside the library
    does.  Exit codes: 0 right, 2 it could not be run, 3 wrong numbers.
    """
    from vtacsp.bundle import Bundle
    from vtacsp.bundle.run import check_machine
    from vtacsp.bundle.run import run as run_bundle

    if folder == "":
        raise BundleError("DIR is empty, it has to name the folder of a bundle")
    bundle = Bundle.load(folder)
    machine = check_machine(bundle, library, hardware_file)
    if machine is None:
        say("the library's machine is not checked: no vta_config.json beside it, no --hardware")
    bits = int(address_bits)
    found = run_bundle(
        folder, library, preload=preload, address_bits=bits, timeout=timeout, tsim=tsim
    )
    manifest = bundle.manifest
    row: dict[str, Any] = {
        "layer": manifest.layer.name,
        "result": "wrong" if found.wrong else "right",
        "bytes": found.bytes,
        "wrong": found.wrong,
        "first_wrong": found.first_wrong,
        "seconds": found.seconds,
        "cycles": found.cycles,
        "simulated_cycles": manifest.cycles,
        "limit": manifest.limit,
    }
    if form == "json":
        row["counters"] = found.counters
    shown = {**row, "seconds": f"{found.seconds:.6f}"} if form == "table" else row
    print_rows([shown], tuple(row), form, None)
    if found.wrong:
        say(f"wrong: {found.wrong:,} of {found.bytes:,} bytes differ, the first is byte "
            f"{found.first_wrong:,}")  # fmt: skip
        raise click.exceptions.Exit(WRONG)


COMMANDS = (export, run)
