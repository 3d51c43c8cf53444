"""Who asks what an operator is: nobody but its own folder.  The others ask for a part of it."""

from __future__ import annotations

import ast
from dataclasses import fields

import pytest

from tests.support.imports import modules, tree
from vtacsp.operators.registry import OPERATORS, workload_type
from vtacsp.operators.workload import Workload

CLASSES = {
    cls.__name__
    for op in OPERATORS
    for cls in workload_type(op).__mro__
    if issubclass(cls, Workload) and cls is not Workload
}
"""Classes of workloads, and those that several share."""

FIELDS = {f.name for op in OPERATORS for f in fields(workload_type(op))} - {
    f.name for f in fields(Workload)
}
"""Sizes that only some workloads have."""

NAMES = set(OPERATORS) - {"add"}
"""Operators as text; ``add`` is a step of epilogues too, whose ``op`` is asked for."""

ADVICE = (
    "say what you need as a part of the operator (a module in each folder that has it, listed in "
    "vtacsp/operators/registry.py), and ask `part(workload.op, NAME)`; `filling` is one"
)


def asked(code: ast.AST) -> list[tuple[int, str]]:
    """Lines that ask what an operator is, and what they say."""
    known = {name: name for name in CLASSES}
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom):
            known |= {a.asname: a.name for a in node.names if a.asname and a.name in CLASSES}
    found = []
    for node in ast.walk(code):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            of_class = node.func.id in ("isinstance", "issubclass") and _classes(
                node.args[1], known
            )
            of_size = node.func.id in ("hasattr", "getattr") and _texts(node.args[1]) & FIELDS
            if of_class or of_size:
                found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.MatchClass) and _classes(node.cls, known):
            found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            by_class = any(_is_type(s) for s in sides) and any(_classes(s, known) for s in sides)
            by_name = any(_is_op(s) for s in sides) and any(_texts(s) & NAMES for s in sides)
            of_class = any(_is_op(s) and _classes(s, known) for s in sides)
            if by_class or by_name or of_class:
                found.append((node.lineno, ast.unparse(node)))
    return sorted(found)


def _classes(node, known):
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    names |= {
        n.attr
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute) and ast.unparse(n.value) != "ast"  # Python's own Add
    }
    return {known[name] for name in names & known.keys()}


def _texts(node):
    return {
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def _is_op(node):
    """``x.op``"""
    return isinstance(node, ast.Attribute) and node.attr == "op"


def _is_type(node):
    """``type(x)`` or ``x.__class__``"""
    call = isinstance(node, ast.Call) and ast.unparse(node.func) == "type"
    return call or (isinstance(node, ast.Attribute) and node.attr == "__class__")


def outside():
    """Modules that are in no operator's folder."""
    own = ("vtacsp.alu.", *(f"{folder}." for folder, _ in OPERATORS.values()))
    return [module for module in modules() if not module.startswith(own)]


def test_nobody_outside_asks_what_an_operator_is():
    found = [
        f"{modules()[module]}:{line}: {what}: {ADVICE}"
        for module in outside()
        for line, what in asked(tree(module))
    ]
    assert not found, "\n".join(found)


def test_what_is_looked_at():
    """Not nothing: the classes, the fields and the modules that used to ask."""
    assert {"Conv2D", "GroupConv2D", "Spatial", "OnALU", "Pool", "Dense"} <= CLASSES
    assert {"groups", "in_features", "channels", "kernel"} <= FIELDS
    assert not FIELDS & {"name", "batch", "epilogue"}
    looked = set(outside())
    for folder in ("network.onnx", "network", "embedding", "codesign", "cli", "operators", "space"):
        assert sum(module.startswith(f"vtacsp.{folder}.") for module in looked) > 4, folder
    assert not looked & {"vtacsp.alu.program", "vtacsp.operators.dense.filling"}
    assert len(looked) > 200
    inside = [what for module in modules() for _, what in asked(tree(module))]
    assert inside == ["isinstance(workload, Pool)"]  # of alu.program


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(work, Dense)",
        "isinstance(work, (Conv2D, Conv2DTranspose))",
        "isinstance(work, Conv2D | Pool)",
        "issubclass(kind, operators.OnALU)",
        "from vtacsp import Dense as Product\nisinstance(work, Product)",
        "match work:\n    case GroupConv2D(groups=1):\n        pass",
        "type(work) is Conv2D",
        "work.__class__ == Dense",
        "work.op == 'conv2d_transpose'",
        "work.op in ('conv2d', 'group_conv2d')",
        "work.op != Dense.op",
        "hasattr(work, 'in_channels')",
        "getattr(work, 'groups', 1)",
    ],
)
def test_every_way_to_ask_is_seen(text):
    assert len(asked(ast.parse(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(item, Workload)",
        "isinstance(value, str)",
        "Dense(in_features=16, out_features=16)",
        "op.type == 'ConvTranspose'",
        "step.op == 'add'",
        "getattr(layer, name)",
        "part(work.op, 'filling')",
    ],
)
def test_what_asks_for_no_operator_is_not(text):
    assert not asked(ast.parse(text))
