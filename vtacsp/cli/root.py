"""The command ``vtacsp`` itself: errors become one line, and an exit code that says which."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from vtacsp.cli.interrupt import INTERRUPTED, orderly
from vtacsp.cli.terminal import forget_output, prepare_streams, say
from vtacsp.cli.typed import remember
from vtacsp.errors import VtacspError, shortened

__all__ = ["BAD_INPUT", "Root"]

BAD_INPUT = 2
LONGEST = 400  # characters of a message about an option, which holds the value as it was given


class Root(click.Group):
    """Answers with exit codes: what goes wrong is one line on standard error, no traceback."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command and exit; see :meth:`click.Command.main`."""
        prepare_streams()
        code: Any = 0
        try:
            with orderly():
                code = super().main(
                    args, prog_name or "vtacsp", **{**extra, "standalone_mode": False}
                )
        except click.exceptions.NoArgsIsHelpError as usage:
            usage.show()
            code = usage.exit_code
        except click.ClickException as error:
            say(f"error: {_one_line(error)}")
            code = BAD_INPUT
        except click.Abort:
            say("interrupted")
            code = INTERRUPTED
        except MemoryError:
            say("error: there is not enough memory for this; try a smaller layer, or one at a time")
            code = BAD_INPUT
        except OSError as failure:
            forget_output()
            what = "standard output" if failure.filename is None else shortened(failure.filename)
            say(f"error: {what}: {failure.strerror or failure}")
            code = BAD_INPUT
        sys.exit(code if isinstance(code, int) else 0)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the command, which knows what was typed."""
        typed = tuple(args)
        context = super().make_context(info_name, args, parent, **extra)
        remember(context, typed)
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; returns an exit code."""
        try:
            super().invoke(ctx)
        except VtacspError as error:
            say(f"error: {error}")
            return BAD_INPUT
        except BrokenPipeError:  # as in `vtacsp ... | head`: the reader has enough
            forget_output()
        except KeyboardInterrupt as interruption:
            say(str(interruption) or "interrupted")
            return INTERRUPTED
        return 0


def _one_line(error: click.ClickException) -> str:
    text = error.format_message()
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    context = getattr(error, "ctx", None)
    return text if context is None else f"{text} See `{context.command_path} -h`."
