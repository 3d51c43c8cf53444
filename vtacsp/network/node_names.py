"""Names of nodes: printable, not too long, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vtacsp.errors import NetworkError, shortened

__all__ = ["check_names", "unique_names"]

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


def check_names(host: frozenset[str], names: Sequence[str]) -> None:
    """Raise :class:`~vtacsp.errors.NetworkError` for a name of ``host`` that is no node."""
    for name in sorted(host):
        if name not in names:
            close = [n for n in names if name.lower() in n.lower()][:3]
            hint = f"; do you mean {', '.join(close)}" if close else ""
            raise NetworkError(f"--host {shortened(name)}: the network has no such node{hint}")
