"""The examples of docstrings, run with the public names that they use."""

from __future__ import annotations

import ast
import doctest
from functools import cache
from importlib import import_module

import numpy as np

import vtacsp
from tests.support.api import PACKAGES, names, where
from tests.support.imports import modules, tree


@cache
def public(own: str, packages: tuple[str, ...]) -> dict[str, object]:
    """What the examples of a package may use without saying where it comes from.

    Where two packages have a name for different things, it is that of the package itself, else
    that of ``vtacsp``, else an example has to import it.
    """
    every = {p: {n: getattr(import_module(p), n) for n in import_module(p).__all__}
             for p in packages}  # fmt: skip
    known: dict[str, object] = {}
    doubtful = set()
    for found in every.values():
        doubtful |= {name for name in found.keys() & known.keys() if known[name] is not found[name]}
        known |= found
    clear = {name: value for name, value in known.items() if name not in doubtful}
    return {**clear, **every.get("vtacsp", {}), **every.get(own, {}), "vtacsp": vtacsp, "np": np}


def package_of(module: str, packages: tuple[str, ...]) -> str:
    """The package, of those given, that a module is in."""
    mine = [p for p in packages if module == p or module.startswith(f"{p}.")]
    return max(mine, key=len, default="")


def docstrings(module: str) -> dict[str, tuple[str, int]]:
    """Docstrings of what a module defines, data too: name -> text, line."""
    found = {}
    body = tree(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = (ast.get_docstring(node) or "", node.lineno)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(target, ast.Name):
                found[target.id] = (str(text.value), node.lineno)
    return found


def without_example(package: str) -> list[str]:
    """The public names of a package that have no example, as its source has them."""
    texts = {
        name: docstrings(where(name, package)).get(name, ("", 0))[0] for name in names(package)
    }
    return [name for name, text in texts.items() if ">>> " not in text]


def run_examples(module: str, packages: tuple[str, ...] = PACKAGES) -> int:
    """Run the examples of a module; how many there were."""
    run = 0
    own = package_of(module, packages)
    for name, (text, line) in docstrings(module).items():
        values, path = dict(public(own, packages)), str(modules()[module])
        test = doctest.DocTestParser().get_doctest(text, values, name, path, line)
        if test.examples:
            told: list[str] = []
            result = doctest.DocTestRunner().run(test, out=told.append)
            assert not result.failed, "".join(told)
            run += result.attempted
    return run
