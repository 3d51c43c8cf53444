"""Modules and names that have moved: the old ones work for one release, and say where to go."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["MOVED", "RENAMED", "accept_old_names", "keep_old_names"]

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
    "vtacsp.functional.simulation": "vtacsp.functional.program_execution",
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
    "vtacsp.simulate.functional": "vtacsp.functional.program_execution",
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

_EXECUTED = {
    "SimulationResult": "vtacsp.functional:ExecutionResult",
    "simulate": "vtacsp.functional:execute",
}

RENAMED = {
    "vtacsp": {"SimulationResult": "vtacsp.functional:ExecutionResult"},
    "vtacsp.autotvm.seeding": {"Method": "vtacsp.autotvm.seeding:SamplingMethod"},
    "vtacsp.codesign": {
        "Layer": "vtacsp.codesign:CountedLayer",
        "load_network": "vtacsp.codesign:load_counted",
    },
    "vtacsp.embedding": {"Layer": "vtacsp.embedding:UnpackedLayer"},
    "vtacsp.expr.nodes": {"Node": "vtacsp.expr.nodes:Expression"},
    "vtacsp.free": {"Axis": "vtacsp.free:AxisGeometry"},
    "vtacsp.functional": _EXECUTED,
    "vtacsp.functional.interpreter": {
        "Dram": "vtacsp.functional.interpreter:DramContents",
        "Scratchpads": "vtacsp.functional.interpreter:ScratchpadContents",
    },
    "vtacsp.functional.program_execution": _EXECUTED,
    "vtacsp.machine.fields": {
        "INSTRUCTION": "vtacsp.machine.fields:INSTRUCTION_BITS",
        "UOP": "vtacsp.machine.fields:UOP_BITS",
    },
    "vtacsp.machine.instructions": {"Stage": "vtacsp.machine.instructions:Module"},
    "vtacsp.metaschedule": {"TuningResult": "vtacsp.metaschedule.tune:BestRecord"},
    "vtacsp.program": {"build": "vtacsp.operators.builder:build"},
    "vtacsp.program.copies": {
        "Axis": "vtacsp.program.copies:StridedAxis",
        "Pads": "vtacsp.program.copies:PaddedAxis",
    },
    "vtacsp.program.loops": {"Node": "vtacsp.program.loops:Statement"},
    "vtacsp.program.scratchpad": {"Scratchpads": "vtacsp.program.scratchpad:ScratchpadAllocator"},
    "vtacsp.report.layer_facts": {"Layer": "vtacsp.report.layer_facts:LayerFacts"},
    "vtacsp.rules": {
        "catalogue": "vtacsp.operators.catalogue:catalogue",
        "quantity": "vtacsp.operators.catalogue:quantity",
    },
    "vtacsp.space.cpsat": {"Model": "vtacsp.space.cpsat:ProblemModel"},
    "vtacsp.study": {"search": "vtacsp.study:run_search"},
}
"""Module -> its names that are others now -> ``module:name``, for :func:`keep_old_names`.

What 0.1.0 had, and what a package of the reference hands out.
"""


def _of_simulate(name: str) -> object:
    """What ``vtacsp.simulate`` had: it is two packages now."""
    for package in ("vtacsp.functional", "vtacsp.timing"):
        module = import_module(package)
        if name in module.__all__ or name in RENAMED.get(package, ()):
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


def keep_old_names(module: str) -> None:
    """Let a module answer to its names of :data:`RENAMED`, with a warning; it calls this itself.

    Set from here and not defined there: for type checkers a module with a ``__getattr__`` has
    every name.
    """
    names = sys.modules[module].__dict__
    otherwise: Callable[[str], Any] | None = names.get("__getattr__")

    def old_name(name: str) -> Any:
        if name not in RENAMED[module]:
            if otherwise is not None:
                return otherwise(name)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new = RENAMED[module][name].partition(":")
        text = f"{module}.{name} is {place}.{new} now; the old name goes with the next release"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(import_module(place), new)

    names["__getattr__"] = old_name
