"""Names of nodes: printable, not too long, each once."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["unique_names"]

LONGEST = 200


def unique_names(wanted: Iterable[str]) -> list[str]:
    """Names that may be names of nodes; what is there twice gets a number."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    found = []
    for name in wanted:
        plain = "".join(c if c.isprintable() else "_" for c in name)
        if len(plain) > LONGEST:
            plain = f"...{plain[3 - LONGEST :]}"
        plain = candidate = plain or "node"
        while candidate in taken:
            numbers[plain] = numbers.get(plain, 1) + 1
            candidate = f"{plain}#{numbers[plain]}"
        taken.add(candidate)
        found.append(candidate)
    return found
