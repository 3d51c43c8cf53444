"""``--preset`` and ``--timing``: the timing model of a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from vtacsp.timing.model import TimingModel

    ParamType = click.ParamType[str]
else:
    ParamType = click.ParamType  # no generic class in click before 8.2

__all__ = ["timing_model", "timing_options"]

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("rtl", "pynq")


class _Preset(ParamType):
    """A name or a file; read when the command runs, as all files are."""

    name = "preset"

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """As in the help."""
        return f"[{'|'.join(NAMES)}|FILE]"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names, and files."""
        names = [CompletionItem(name) for name in NAMES if name.startswith(incomplete)]
        return [*names, CompletionItem(incomplete, type="file")]


def timing_options(function: F) -> F:
    """``--preset`` and ``--timing``."""
    function = click.option(
        "--timing",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="A constant of the timing model, such as memory_latency=64 (repeatable).",
    )(function)
    return click.option(
        "--preset",
        type=_Preset(),
        default="rtl",
        show_default=True,
        help="The RTL as measured, an estimate of a Pynq-class board, or a file that `vtacsp "
        "calibrate --write` wrote.",
    )(function)


def timing_model(preset: str, overrides: Sequence[str]) -> TimingModel:
    """The timing model of :func:`timing_options`.

    Raises :class:`~vtacsp.errors.TimingError` for a preset that cannot be read, an unknown constant
    and a value out of range.
    """
    from vtacsp.calibrate.preset_file import find_preset

    return find_preset(preset).override(overrides)
