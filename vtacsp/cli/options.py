"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from vtacsp.cli.output import FORMATS
from vtacsp.errors import ConfigError, HardwareError
from vtacsp.hardware import VTAConfig
from vtacsp.knobs import Config

__all__ = [
    "free_sizes",
    "hardware_option",
    "index_option",
    "knob_option",
    "output_options",
    "pick_config",
    "workload_argument",
]

F = TypeVar("F", bound=Callable[..., Any])

workload_argument = click.argument("workload")

hardware_option = click.option(
    "--hardware",
    "hardware_file",
    metavar="FILE",
    help="A vta_config.json; the default machine when not given.",
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


def output_options(function: F) -> F:
    """``--format`` and ``--output``."""
    function = click.option("--output", metavar="FILE", help="Write there instead of printing.")(
        function
    )
    return click.option(
        "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True
    )(function)


def load_hardware(path: str | None) -> VTAConfig:
    """The machine of ``--hardware``."""
    return VTAConfig() if path is None else VTAConfig.load(path)


def pick_config(knobs: Sequence[str]) -> Config:
    """A configuration from ``NAME=VALUE`` words."""
    config = {}
    for word in knobs:
        name, sign, value = word.partition("=")
        if not sign or not value.lstrip("-").isdigit():
            raise ConfigError(f"--knob {word!r} is not NAME=VALUE with an integer value")
        config[name] = int(value)
    return config


def free_sizes(words: Sequence[str]) -> dict[str, range] | None:
    """Ranges from ``LOG_ACC_BUFF_SIZE=15:18`` words, ends included; None when there are none."""
    free = {}
    for word in words:
        key, _, span = word.partition("=")
        low, _, high = span.partition(":")
        if not (low.isdigit() and (high or low).isdigit()):
            raise HardwareError(f"--free {word!r} is not KEY=LOW:HIGH with integers")
        free[key] = range(int(low), int(high or low) + 1)
    return free or None
