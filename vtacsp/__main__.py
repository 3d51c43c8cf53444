"""``python -m vtacsp``, and the program ``vtacsp``."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> None:
    """The command line; Ctrl-C while it is imported ends it like Ctrl-C later."""
    try:
        from vtacsp.cli import main as command

        command(prog_name="vtacsp")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what there was to do is done
        # a KeyboardInterrupt that passed through exec(), as in an import, ends Python by the
        # signal at its exit, caught or not; the next exec() clears that
        exec("pass")


if __name__ == "__main__":
    main()
