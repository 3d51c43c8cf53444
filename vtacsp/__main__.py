"""``python -m vtacsp``, and the program ``vtacsp``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The command line; Ctrl-C while it is imported ends it like Ctrl-C later."""
    try:
        from vtacsp.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    command(prog_name="vtacsp")


if __name__ == "__main__":
    main()
