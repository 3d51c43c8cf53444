"""``vtacsp calibrate``: the constants of the timing model from what a board measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vtacsp.cli.calibrated import Answer, print_calibration
from vtacsp.cli.layers import each
from vtacsp.cli.options import STDIN, load_hardware, output_options, seed_option
from vtacsp.cli.output import check_outputs, wrote
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.cli.selection import Selection, selection_options
from vtacsp.cli.terminal import say
from vtacsp.errors import (
    CalibrationError,
    ConfigError,
    HardwareError,
    LogError,
    VtacspError,
    WorkloadError,
)

if TYPE_CHECKING:
    from vtacsp.calibrate import Calibration
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.operators.workload import Workload
    from vtacsp.space.feasible import FeasibleSpace
    from vtacsp.timing.model import TimingModel

__all__ = ["COMMANDS"]

SHOWN_REFUSED = 5


@click.command()
@click.argument("log", required=False, metavar="LOG")
@click.option(
    "--hardware",
    "hardware_file",
    metavar="FILE",
    help="A vta_config.json, - for standard input; the machine of the log when not given.",
)
@click.option(
    "--workload",
    metavar="WORKLOAD",
    help="The layers of the log: says their names, biases and epilogues where records do not.",
)
@click.option(
    "--fit",
    multiple=True,
    metavar="NAME",
    help="A constant to be fitted (repeatable); memory_latency, write_latency, launch_delay and "
    "clock_hz when none is given, less those of --timing.",
)
@timing_options
@selection_options
@output_options
@click.option("--write", "preset_file", metavar="FILE", help="Also write a preset, for --preset.")
@click.option("--residuals", is_flag=True, help="Show every program, measured and simulated.")
@click.option(
    "--propose",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Say which N configurations of the layers to measure next; needs no LOG with --workload.",
)
@seed_option
def calibrate(
    log: str | None,
    hardware_file: str | None,
    workload: str | None,
    fit: tuple[str, ...],
    preset: str,
    overrides: tuple[str, ...],
    machines: tuple[str, ...],
    devices: tuple[str, ...],
    layers: tuple[str, ...],
    form: str,
    output: str | None,
    preset_file: str | None,
    residuals: bool,
    propose: int | None,
    seed: int,
) -> None:
    """Fit the timing model to LOG, an AutoTVM log of measurements on a device.

    --preset and --timing say where to start, and hold what is not fitted.  What the programs of the
    log cannot tell is held too, and named, with the reason.
    """
    if log is None and (propose is None or workload is None):
        raise CalibrationError(
            "no LOG: give the log of a device, or --propose with --workload to begin one"
        )
    if log is None and (preset_file is not None or residuals):
        raise CalibrationError("--write and --residuals need a LOG")
    if form == "csv" and residuals and propose is not None:
        raise CalibrationError("--residuals and --propose are two tables: choose one for csv")
    if [log, workload, hardware_file].count("-") > 1:
        raise VtacspError("LOG, --workload and --hardware: only one is read from standard input")
    check_outputs(output, preset_file)
    start = timing_model(preset, overrides)
    constants = _constants(fit, overrides)
    given = [] if workload is None else _load(workload)
    machine = None if hardware_file is None else load_hardware(hardware_file)
    found = None
    if log is None:
        machine = machine or load_hardware(None)
        given = _packed(given, machine)
    else:
        selection = Selection(machines, devices, layers)
        found, given = _fitted(log, selection, machine, given, constants, start)
        machine = found.measured.hardware
        _say(found)
    proposals = None
    if propose is not None:
        from vtacsp.calibrate import propose as proposed

        proposals = proposed(propose, _spaces(given, machine), found, constants, start, seed)
    if preset_file is not None and found is not None:
        from vtacsp.calibrate import save_preset

        save_preset(found.timing, preset_file)
        wrote(preset_file)
    print_calibration(Answer(log or "", machine, found, proposals, residuals), form, output)


COMMANDS = (calibrate,)


def _constants(fit: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """What to fit: what is asked for, or what a board decides, without what the user says."""
    from vtacsp.calibrate import DEFAULT

    said = [word.partition("=")[0] for word in overrides]
    for name in fit:
        if name in said:
            raise CalibrationError(f"--fit {name}: --timing says what it is")
    names = list(fit or (name for name in DEFAULT if name not in said))
    if not names:
        raise CalibrationError("--timing says every constant that would be fitted; see --fit")
    from vtacsp.calibrate.coordinates import coordinates

    coordinates(names)
    return names


def _fitted(
    log: str,
    selection: Selection,
    machine: VTAConfig | None,
    layers: list[Workload],
    constants: Sequence[str],
    start: TimingModel,
) -> tuple[Calibration, list[Workload]]:
    """The calibration to a log, and its layers, or those of --workload that can be packed."""
    from vtacsp.calibrate import calibrate as fitted
    from vtacsp.calibrate import machine_of, measurements
    from vtacsp.tune import load_records

    records = load_records(STDIN if log == "-" else log)
    with _named(log):
        records = selection.of(records)
        machine = machine_of(records, machine)
    given = _packed(layers, machine)
    with _named(log):
        measured = measurements(records, machine, given)
        return fitted(measured, constants, start), given or measured.layers


@contextmanager
def _named(log: str) -> Iterator[None]:
    """Errors name the log that they are about."""
    try:
        yield
    except (CalibrationError, ConfigError, HardwareError, LogError, WorkloadError) as error:
        raise type(error)(f"{log}: {error}") from None


def _load(workload: str) -> list[Workload]:
    """The layers that --workload names."""
    from vtacsp.network.find import find_workloads
    from vtacsp.operators.loading import load_workloads

    return load_workloads(STDIN) if workload == "-" else find_workloads(workload)


def _packed(layers: Sequence[Workload], machine: VTAConfig) -> list[Workload]:
    """Those that the machine can pack; the others are named on standard error."""

    def packed(layer: Workload) -> Workload:
        layer.pack(machine)
        return layer

    if not layers:
        return []
    done = each(layers, packed)
    done.end()
    return done.results


def _spaces(layers: Sequence[Workload], machine: VTAConfig) -> list[FeasibleSpace]:
    from vtacsp.space.feasible import compile

    done = each(list(layers), lambda layer: compile(layer, machine))
    done.end(feasible=any(map(len, done.results)))
    return [space for space in done.results if len(space)]


def _say(found: Calibration) -> None:
    """What was left out, and what was assumed, on standard error."""
    refused, assumed = found.measured.refused, found.measured.assumed
    for one in refused[:SHOWN_REFUSED]:
        say(f"left out, the stack does not build it: {one}")
    if len(refused) > SHOWN_REFUSED:
        say(f"left out, the stack does not build it: {len(refused) - SHOWN_REFUSED} more")
    if assumed:
        say(
            f"the log does not say whether {', '.join(assumed[:3])}"
            f"{', ...' if len(assumed) > 3 else ''} have a bias: taken as without; "
            "--workload says"
        )
