"""The pages of the reference: every public name, by package.

``python -m tests.support.api docs/api`` writes them; a test keeps them current.
"""

from __future__ import annotations

import ast
import re
import sys
from importlib import import_module
from pathlib import Path
from types import GenericAlias

from tests.support import ROOT
from tests.support.imports import modules, tree

PACKAGES = (
    "vtacsp", "vtacsp.tune", "vtacsp.free", "vtacsp.timing", "vtacsp.functional", "vtacsp.epilogue",
    "vtacsp.network", "vtacsp.codesign",
    "vtacsp.calibrate", "vtacsp.bundle", "vtacsp.audit", "vtacsp.embedding",
    "vtacsp.expr", "vtacsp.rules", "vtacsp.study",
)  # fmt: skip
PLUGINS = ("vtacsp.autotvm", "vtacsp.metaschedule")
"""What cannot be imported without TVM: their pages list ``__all__`` as it is written."""

GUIDES = {
    "vtacsp.audit": "audit", "vtacsp.autotvm": "autotvm", "vtacsp.bundle": "bundles",
    "vtacsp.calibrate": "calibration", "vtacsp.codesign": "codesign",
    "vtacsp.embedding": "operators", "vtacsp.epilogue": "epilogues", "vtacsp.expr": "rules",
    "vtacsp.free": "beyond_the_template", "vtacsp.metaschedule": "metaschedule",
    "vtacsp.network": "networks", "vtacsp.rules": "rules", "vtacsp.study": "study",
    "vtacsp.timing": "timing", "vtacsp.tune": "tuning",
}  # fmt: skip
"""The page of ``docs/`` that tells of a package."""


def names(package: str) -> list[str]:
    """The public names of a package."""
    if package not in PLUGINS:
        return [*import_module(package).__all__]
    for node in tree(package).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    raise LookupError(f"{package} has no __all__")


def defined(module: str) -> set[str]:
    """What a module defines itself."""
    found = set()
    for node in tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            found.add(getattr(target, "id", ""))
    return found


def where(name: str, package: str) -> str:
    """The module that defines a public name, as the package imports it."""
    stub = modules()[package].with_suffix(".pyi")
    code = ast.parse(stub.read_text(encoding="utf-8")) if stub.exists() else tree(package)
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            target = f"{package}.{node.module}" if node.level else str(node.module)
            return target if name in defined(target) else where(name, target)
    return package


def is_data(value: object) -> bool:
    """Whether a public name is neither a class nor a function."""
    return not callable(value) or isinstance(value, GenericAlias)


def page(package: str) -> str:
    """The page of a package: its docstring, its guide, then every name that no other page has."""
    lines = [f"# {package}", ""]
    about = ast.get_docstring(tree(package)) or ""
    lines += [re.sub(r":\w+:`~?([^`]+)`", r"`\1`", about).strip(), ""]
    if package in GUIDES:
        path = ROOT / "docs" / f"{GUIDES[package]}.md"
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines += [f"The guide: [{title}](../{path.name}).", ""]
    for name in names(package):
        if package == "vtacsp" or name not in names("vtacsp"):
            lines += [f"::: {where(name, package)}.{name}", ""]
        else:
            lines += [f"`{name}` is [on the page of vtacsp][{where(name, 'vtacsp')}.{name}].", ""]
    return "\n".join(lines).rstrip() + "\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    return {f"{package}.md": page(package) for package in (*PACKAGES, *PLUGINS)}


if __name__ == "__main__":
    for file, text in pages().items():
        (Path(sys.argv[1]) / file).write_text(text, encoding="utf-8")
