"""Options and arguments that several commands share, and what they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from vtacsp.cli.completion import complete_workload
from vtacsp.cli.output import FORMATS, LINES
from vtacsp.errors import ConfigError, HardwareError, VtacspError, shortened
from vtacsp.machine.configuration import MAX_LOG, VTAConfig
from vtacsp.network.find import find_workloads
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload

__all__ = [
    "STDIN",
    "free_sizes",
    "hardware_option",
    "index_option",
    "jobs_option",
    "knob_option",
    "load_hardware",
    "load_layers",
    "output_options",
    "pick_config",
    "sample_output_options",
    "seed_option",
    "stack_only_option",
    "workload_argument",
]

F = TypeVar("F", bound=Callable[..., Any])

STDIN = "/dev/stdin"  # what the word - reads

workload_argument = click.argument("workload", shell_complete=complete_workload)

hardware_option = click.option(
    "--hardware",
    "hardware_file",
    metavar="FILE",
    help="A vta_config.json, - for standard input; the default machine when not given.",
)

index_option = click.option(
    "--index", "indices", type=int, multiple=True, metavar="N", help="AutoTVM index (repeatable)."
)

knob_option = click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=VALUE",
    help="A knob of the configuration (repeatable; all of them).",
)

stack_only_option = click.option(
    "--stack-only",
    is_flag=True,
    help="The set of the stack's own functional simulator: without the rule race.",
)

jobs_option = click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Worker processes; all cores by default."
)

seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)


def output_options(function: F) -> F:
    """``--format`` and ``--output``."""
    return _output_options(function, FORMATS)


def sample_output_options(function: F) -> F:
    """The same, with a row per line of JSON too."""
    return _output_options(function, (*FORMATS, LINES))


def _output_options(function: F, forms: Sequence[str]) -> F:
    function = click.option("--output", metavar="FILE", help="Write there instead of printing.")(
        function
    )
    return click.option(
        "--format", "form", type=click.Choice(forms), default="table", show_default=True
    )(function)


def load_layers(
    workload: str, hardware_file: str | None = None
) -> tuple[list[Workload], VTAConfig]:
    """The layers that WORKLOAD names, and the machine of ``--hardware``."""
    if workload == hardware_file == "-":
        raise VtacspError("WORKLOAD and --hardware cannot both be read from standard input")
    machine = load_hardware(hardware_file)
    return find_workloads(STDIN if workload == "-" else workload, machine), machine


def load_hardware(path: str | None) -> VTAConfig:
    """The machine of ``--hardware``."""
    if path is None:
        return VTAConfig()
    return VTAConfig.load(STDIN if path == "-" else path)


def pick_config(knobs: Sequence[str], option: str = "--knob") -> Config:
    """A configuration from ``NAME=VALUE`` words of an option."""
    config = {}
    for word in knobs:
        name, _, value = word.partition("=")
        if not _INTEGER.fullmatch(value):
            raise ConfigError(f"{option} {shortened(word)} is not NAME=VALUE with an integer value")
        if name in config:
            raise ConfigError(f"{option} {shortened(name)} is given twice")
        config[name] = int(value)
    return config


def free_sizes(words: Sequence[str]) -> dict[str, range] | None:
    """Ranges from ``LOG_ACC_BUFF_SIZE=15:18`` words, ends included; None when there are none."""
    free: dict[str, range] = {}
    for word in words:
        key, _, span = word.partition("=")
        low, _, high = span.partition(":")
        if not (_INTEGER.fullmatch(low) and _INTEGER.fullmatch(high or low)):
            raise HardwareError(f"--free {shortened(word)} is not KEY=LOW:HIGH with integers")
        values = range(int(low), int(high or low) + 1)
        if not 0 <= values.start < values.stop <= MAX_LOG + 1:
            raise HardwareError(
                f"--free {shortened(word)}: sizes are log2 of bytes, from LOW to HIGH, "
                f"allowed are 0 to {MAX_LOG}"
            )
        if key in free:
            raise HardwareError(f"--free {shortened(key)} is given twice")
        free[key] = values
    return free or None


_INTEGER = re.compile(r"-?[0-9]{1,18}")
