"""What a shell offers when WORKLOAD is being typed: suites, their layers, files."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from vtacsp.operators.suites import SUITES, suite

__all__ = ["complete_workload"]


def complete_workload(
    context: click.Context,  # noqa: ARG001 - the signature of click
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Suites that begin so, their layers once the suite is there, and files."""
    names = [
        name
        for word in SUITES
        for name in (
            [layer.name for layer in suite(word)] if incomplete.startswith(f"{word}.") else [word]
        )
        if name.startswith(incomplete)
    ]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]
