"""The table of the timing model's constants, for the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

from vtacsp.files import between_marks
from vtacsp.timing.model import PYNQ, RTL, constants

__all__ = ["MARK", "constants_table", "with_table"]

MARK = "<!-- constants: python -m vtacsp.timing.document docs/timing.md -->"


def constants_table() -> str:
    """A row per constant: value of the RTL and of the Pynq estimate, unit, meaning, source."""
    lines = [
        "| constant | RTL | Pynq | unit | meaning | source |",
        "| --- | ---: | ---: | --- | --- | --- |",
    ]
    for constant in constants():
        name, about = constant.name, constant.metadata
        ours, board = getattr(RTL, name), getattr(PYNQ, name)
        lines.append(
            f"| `{name}` | {ours:,} | {'' if board == ours else f'{board:,}'} | {about['unit']} "
            f"| {about['meaning']} | {about['source']} |"
        )
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table between its two marks made anew."""
    return between_marks(page, MARK, constants_table())


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text(encoding="utf-8")), encoding="utf-8")
