"""Names of layers and machines: one line that a terminal prints as it is."""

from __future__ import annotations

from vtacsp.errors import VtacspError, shortened

__all__ = ["LONGEST_NAME", "check_name"]

LONGEST_NAME = 255
"""Characters of a name, as many as a file name may have."""


def check_name(value: object, field: str, error: type[VtacspError]) -> None:
    """Raise ``error`` unless ``value`` is a string of 1 to 255 printable characters.

    Names are printed, logged and drawn: a control character would reach the terminal, half of a
    surrogate pair could not be written at all.
    """
    if not isinstance(value, str) or not value:
        raise error(f"{field} must be a string that is not empty, got {shortened(value)}")
    if len(value) > LONGEST_NAME:
        raise error(
            f"{field} is {shortened(value)}, of {len(value)} characters: "
            f"allowed are 1 to {LONGEST_NAME}"
        )
    if not value.isprintable():
        raise error(f"{field} is {shortened(value)}: it holds a character that does not print")
