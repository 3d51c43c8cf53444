"""The examples of docstrings, run with the public names that they use."""

from __future__ import annotations

import ast
import doctest
from functools import cache
from importlib import import_module

import numpy as np

import vtacsp
from tests.support.api import PACKAGES
from tests.support.imports import modules, tree


@cache
def public(packages: tuple[str, ...]) -> dict[str, object]:
    """What the examples may use without saying where it comes from."""
    names = {n: getattr(import_module(p), n) for p in packages for n in import_module(p).__all__}
    return {**names, "vtacsp": vtacsp, "np": np}


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


def run_examples(module: str, packages: tuple[str, ...] = PACKAGES) -> int:
    """Run the examples of a module; how many there were."""
    run = 0
    for name, (text, line) in docstrings(module).items():
        names, path = dict(public(packages)), str(modules()[module])
        test = doctest.DocTestParser().get_doctest(text, names, name, path, line)
        if test.examples:
            told: list[str] = []
            result = doctest.DocTestRunner().run(test, out=told.append)
            assert not result.failed, "".join(told)
            run += result.attempted
    return run
