"""Modules that have moved: the old names work for one release, and say where to go."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "accept_old_names", "old_name"]

MOVED = {
    "vtacsp.autotvm.measure": "vtacsp.autotvm.board",
    "vtacsp.autotvm.space": "vtacsp.autotvm.pruning",
    "vtacsp.autotvm.task": "vtacsp.autotvm.tvm_task",
    "vtacsp.autotvm.version": "vtacsp.autotvm.tvm_version",
    "vtacsp.cli.glossary": "vtacsp.cli.words",
    "vtacsp.cli.knobs": "vtacsp.cli.knob_columns",
    "vtacsp.cli.simulation": "vtacsp.cli.cycles",
    "vtacsp.footprint": "vtacsp.epilogue.footprint",
    "vtacsp.free.kernels": "vtacsp.free.micro_ops",
    "vtacsp.free.tokens": "vtacsp.free.dependences",
    "vtacsp.hardware": "vtacsp.machine.configuration",
    "vtacsp.isa": "vtacsp.machine.fields",
    "vtacsp.knobs": "vtacsp.operators.knobs",
    "vtacsp.metaschedule.measure": "vtacsp.metaschedule.runner",
    "vtacsp.metaschedule.schedule": "vtacsp.metaschedule.traces",
    "vtacsp.metaschedule.search": "vtacsp.metaschedule.strategy",
    "vtacsp.metaschedule.space": "vtacsp.metaschedule.design_space",
    "vtacsp.program.build": "vtacsp.operators.builder",
    "vtacsp.program.dense": "vtacsp.operators.dense.program",
    "vtacsp.program.epilogue": "vtacsp.epilogue.program",
    "vtacsp.program.isa": "vtacsp.machine.instructions",
    "vtacsp.program.nest": "vtacsp.program.loops",
    "vtacsp.program.schedule": "vtacsp.program.order",
    "vtacsp.program.spatial": "vtacsp.operators.conv2d.program",
    "vtacsp.program.tiling": "vtacsp.operators.conv2d.tiling",
    "vtacsp.report.detail": "vtacsp.report.layer_detail",
    "vtacsp.report.layer": "vtacsp.report.layer_facts",
    "vtacsp.report.machine": "vtacsp.report.hardware",
    "vtacsp.report.plots": "vtacsp.report.figures",
    "vtacsp.report.tuning": "vtacsp.report.tuning_page",
    "vtacsp.rules.catalogue": "vtacsp.operators.catalogue",
    "vtacsp.rules.convolution": "vtacsp.operators.conv2d.rules",
    "vtacsp.rules.copies": "vtacsp.rules.patterns",
    "vtacsp.rules.dense": "vtacsp.operators.dense.rules",
    "vtacsp.rules.document": "vtacsp.operators.rule_page",
    "vtacsp.rules.epilogue": "vtacsp.epilogue.rules",
    "vtacsp.rules.machine": "vtacsp.machine.legality",
    "vtacsp.rules.overflow": "vtacsp.operators.conv2d_transpose.overflow",
    "vtacsp.rules.transposed": "vtacsp.operators.conv2d_transpose.rules",
    "vtacsp.simulate": "vtacsp.moved",
    "vtacsp.simulate.document": "vtacsp.timing.document",
    "vtacsp.simulate.engine": "vtacsp.timing.engine",
    "vtacsp.simulate.exhaustive": "vtacsp.timing.exhaustive",
    "vtacsp.simulate.functional": "vtacsp.functional.simulation",
    "vtacsp.simulate.machine": "vtacsp.functional.interpreter",
    "vtacsp.simulate.plan": "vtacsp.timing.plan",
    "vtacsp.simulate.reference": "vtacsp.functional.reference",
    "vtacsp.simulate.result": "vtacsp.timing.breakdown",
    "vtacsp.simulate.robust": "vtacsp.timing.robust",
    "vtacsp.simulate.simulator": "vtacsp.timing.simulator",
    "vtacsp.simulate.timing": "vtacsp.timing.model",
    "vtacsp.simulate.trace": "vtacsp.timing.trace",
    "vtacsp.space.engine": "vtacsp.space.cpsat",
    "vtacsp.space.network": "vtacsp.space.joint",
    "vtacsp.study.layer": "vtacsp.study.recorded_layer",
    "vtacsp.study.model": "vtacsp.study.cost_model",
    "vtacsp.study.report": "vtacsp.study.markdown",
    "vtacsp.study.run": "vtacsp.study.execution",
    "vtacsp.study.search": "vtacsp.study.search_cost",
    "vtacsp.suites": "vtacsp.operators.suites",
    "vtacsp.tune.layer": "vtacsp.tune.task_knobs",
    "vtacsp.tune.model": "vtacsp.tune.model_searcher",
    "vtacsp.tune.space": "vtacsp.tune.search_space",
    "vtacsp.workload": "vtacsp",
}
"""Old name of a module -> where it is now.

``vtacsp.free.geometry`` is none of them: the package has a function of that name.
"""


def _of_simulate(name: str) -> object:
    """What ``vtacsp.simulate`` had: it is two packages now."""
    for package in ("vtacsp.functional", "vtacsp.timing"):
        module = import_module(package)
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module 'vtacsp.simulate' has no attribute {name!r}")


class _Finder:
    """Finder and loader, asked last; no subclass: ``importlib.abc`` costs 0.1 s."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name not in MOVED:
            return None
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name == "vtacsp.simulate")

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        del spec
        return None

    def exec_module(self, module: ModuleType) -> None:
        new = MOVED[module.__name__]
        where = "vtacsp.timing and vtacsp.functional" if new == __name__ else new
        text = f"{module.__name__} is {where} now; the old name goes with the next release"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        target = import_module(new)
        if new == __name__:  # a package whose modules can be asked for too
            module.__dict__["__getattr__"] = _of_simulate
        else:
            sys.modules[module.__name__] = target


def accept_old_names() -> None:
    """Let the old names be imported: called once, by the package."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def old_name(package: str, name: str, moved: dict[str, str]) -> Any:
    """What a package had under a name that is a module's now, with a warning.

    ``moved`` is name -> module, or ``module:name`` where the name is another one now.  Raises
    :class:`AttributeError` for a name that did not move.
    """
    if name not in moved:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module, _, new = moved[name].partition(":")
    new = new or name
    text = f"{package}.{name} is {module}.{new} now; the old name goes with the next release"
    warnings.warn(text, DeprecationWarning, stacklevel=3)
    return getattr(import_module(module), new)
