"""Docstrings as Markdown, for mkdocstrings: examples as code, roles as links."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|attr|mod|data|exc|obj):`([^`]+)`")


class Docstrings(griffe.Extension):
    """What ``mkdocs.yml`` names as an extension."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, a class, a function or a value."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """A docstring with its examples between fences and its roles as code."""
    lines: list[str] = []
    inside = False
    for line in ROLE.sub(lambda role: f"`{_short(role[1])}`", text).splitlines():
        starts = line.lstrip().startswith(">>> ")
        if starts and not inside:
            lines.append("```pycon")
        elif inside and not line.strip():
            lines.append("```")
        inside = starts or (inside and bool(line.strip()))
        lines.append(line)
    return "\n".join([*lines, "```"] if inside else lines)


def _short(target: str) -> str:
    return target.rpartition(".")[2] if target.startswith("~") else target.lstrip(".")
