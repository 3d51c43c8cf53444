"""The import graph: layers, no cycles, and two oracles that know nothing of each other."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support import ROOT
from tests.support.imports import (
    INDEPENDENT,
    LAYERS,
    RULES,
    SPLIT,
    WORDS,
    drawing,
    fits,
    graph,
    imports,
    layer_of,
    modules,
    reached,
    tree,
)
from vtacsp.causes import CAUSES

ORDER = list(LAYERS)
SECOND_ORACLE = [module for module in modules() if fits(module, INDEPENDENT)]
PLUGINS = "autotvm.*|metaschedule.*|operators.tir|operators.?.tir"
"""What needs TVM, and is imported by nothing else."""


def test_the_graph_is_that_of_the_code():
    assert graph()["vtacsp.machine.configuration"] >= {
        "vtacsp.machine.legality", "vtacsp.machine.fields", "vtacsp.errors"
    }  # fmt: skip
    in_a_function = "vtacsp.timing.simulator"
    assert in_a_function in graph()["vtacsp.tune.measure"]
    assert in_a_function not in imports("vtacsp.tune.measure", in_functions=False)
    assert len(modules()) > 150


def test_no_module_is_in_a_cycle():
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_the_version_comes_from_the_root():
    """The root has all public names: a module that imports one from there hides what it needs."""
    for module in modules():
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ImportFrom) and node.module == "vtacsp":
                assert {
                    alias.name for alias in node.names if f"vtacsp.{alias.name}" not in modules()
                } <= {"__version__"}, module


def test_every_module_imports_its_layer_and_those_before_it():
    upwards = [
        f"{module} ({layer_of(module)}) imports {target} ({layer_of(target)})"
        for module, targets in graph().items()
        for target in targets
        if ORDER.index(layer_of(target)) > ORDER.index(layer_of(module))
    ]
    assert not upwards
    assert {layer_of(module) for module in modules()} == set(LAYERS)


def test_folders_in_several_layers_are_explained():
    layers = {}
    for module in modules():
        if module.count(".") > 1:
            layers.setdefault(module.split(".")[1], set()).add(layer_of(module))
    # what of an operator needs TVM is with MetaSchedule
    assert {folder for folder, found in layers.items() if len(found) > 1} == set(SPLIT)


@pytest.mark.parametrize("module", SECOND_ORACLE)
def test_the_second_oracle_knows_no_rules(module):
    """Programs are made, executed and timed without the rules and the nests, at any depth.

    Statements are followed, those in functions too; that a package lists its names is no
    statement of its modules.
    """
    first = {m for m in reached([module], graph()) if fits(m, RULES) and not fits(m, WORDS)}
    assert not first
    for node in ast.walk(tree(module)):  # what the registry finds by name
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "part":
            assert ast.literal_eval(node.args[1]) in {"program", "reference", "workload"}
    says = ast.get_docstring(tree(module)) or ""
    assert "independent" in says.lower(), "the docstring of each module says so"


def test_the_first_oracle_knows_no_programs():
    first = [module for module in modules() if fits(module, RULES)]
    makers = {m for m in reached(first, graph()) if fits(m, INDEPENDENT)}
    assert len(first) > 20
    assert not makers


def test_importing_needs_what_is_declared_and_nothing_else():
    """No TVM, Dask, ONNX or Optuna: those are imported where they are used."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.M | re.S)
    declared = {name.replace("-", "_") for name in re.findall(r'"([\w-]+)>=', block[1])}
    declared |= {"vtacsp", *sys.stdlib_module_names}
    plugins = {module for module in modules() if fits(module, PLUGINS)}
    for module in modules().keys() - plugins:
        used = set()
        for node in _at_import(tree(module)):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            used |= {name.split(".")[0] for name in names}
        assert used <= declared, module
        assert not imports(module, in_functions=False) & plugins, module


def _at_import(node):
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Import | ast.ImportFrom):
            yield part
        elif not isinstance(part, ast.FunctionDef):
            yield from _at_import(part)


def test_the_drawing_is_current():
    assert (ROOT / "docs" / "imports.svg").read_text(encoding="utf-8") == drawing(), (
        "run `python -m tests.support.imports docs/imports.svg`"
    )


PARTS = "alu.?|operators.?.?|epilogue.program|epilogue.rules"
"""Where a file is a part, with the name of that part: an operator's, what the ALU's operators share
of theirs, and an epilogue's program and rules."""


def test_a_file_name_says_one_thing():
    """The name of a module is in the package once, but for parts and packages."""
    places: dict[str, list[str]] = {}
    for module, path in modules().items():
        if path.name != "__init__.py" and not fits(module, PARTS):
            places.setdefault(path.name, []).append(module)
    assert len(places) > 150
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


SAME_ON_PURPOSE = {
    "SimulatorBuilder": "TVM's word: AutoTVM and MetaSchedule have a builder and a runner each",
    "SimulatorRunner": "TVM's word",
    "best": "the best of a MetaSchedule database, as `tune` is: its loop beside ours",
    "tune": "MetaSchedule's loop, beside ours",
    "config_of": "the configuration of what TVM has: AutoTVM's record, MetaSchedule's trace",
    "feasible_space": "the feasible set of what TVM has: AutoTVM's task, MetaSchedule's module",
    "problem_of": "the problem of what TVM has",
    "machine_of": "the machine that records name, or AutoTVM's task",
    "main": "what Python calls it",
    "render": "every page of a report has one",
}  # fmt: skip
"""Public names that stand in several modules, and why."""


def _public(module: str) -> set[str]:
    """Classes and other types that a module defines, and the functions that it lists."""
    listed, types, functions = set(), set(), set()
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef):
            functions.add(node.name)
        elif isinstance(node, ast.ClassDef):
            types.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name == "__all__":
                listed = set(ast.literal_eval(node.value))
            elif re.fullmatch("[A-Z][a-z]\\w*", name):
                types.add(name)
    return {name for name in types if not name.startswith("_")} | functions & listed


def test_a_public_name_says_one_thing():
    """A public class or function is in the package once, but for parts and those with a reason."""
    places: dict[str, list[str]] = {}
    for module in modules():
        for name in _public(module) if not fits(module, PARTS) else ():
            places.setdefault(name, []).append(module)
    several = {name: found for name, found in places.items() if len(found) > 1}
    assert len(places) > 500
    assert not {n: found for n, found in several.items() if n not in SAME_ON_PURPOSE}
    assert several.keys() == SAME_ON_PURPOSE.keys(), "the exceptions are still needed"


def test_what_tests_share_is_in_support():
    """No test module imports from another one: ``tests/support/`` has what several need."""
    shared, found = 0, []
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                shared += node.module.startswith("tests.support")
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                found += [path.name for name in names if ".test_" in name or ".conftest" in name]
    assert shared > 100
    assert not found


SHARED = re.compile(r"NDArray\[np\.(int64|bool_|float32|float64)\]")


def test_the_types_of_arrays_are_named_once():
    found = {m for m, path in modules().items() if SHARED.search(path.read_text(encoding="utf-8"))}
    assert found == {"vtacsp.arrays"}


WORDS_TOO = {"ok", "other", "shape", "race"}
"""Labels of causes that are words of other things as well: a status, a key, a term."""


def test_causes_have_names():
    """A cause is a constant of ``vtacsp.causes``; the audit's findings have words of their own."""
    labels = set(CAUSES) - WORDS_TOO | {"sram:", "dma_2d:"}
    found = [
        (module, node.lineno, node.value)
        for module in modules()
        if module != "vtacsp.causes" and not module.startswith("vtacsp.audit.")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in labels
    ]
    assert not found
    assert {"sram:acc", "uop_hazard", "wrong_result"} <= labels
