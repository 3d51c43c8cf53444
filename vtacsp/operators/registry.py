"""The registry of operators: the one list of them, and where the parts of each are.

An operator is a folder with a module for each part, which has these names:

``workload``
    a class with the name that :data:`OPERATORS` gives: sizes, packed shapes, symbols, knobs
``nest``
    ``NEST``, the loop nest as expressions over the symbols
``rules``
    ``RULES``, what a feasible configuration meets
``program``
    ``build(workload, hardware, config, queue)``: the program, made by doing, without the rules
``reference``
    ``accumulate(workload, hardware, operands)``: the sums in numpy;
    ``as_loaded(workload, data)``: the data as the CPU lays them out in DRAM
``task``
    ``NAME``, ``arguments`` and ``read``: the layer as AutoTVM's task, and back
``tir``
    ``multiply`` and ``LOOPS``: the sums as a TIR compute, for MetaSchedule
``geometry``
    ``geometry(workload, hardware)``: which input meets which weight, or which values meet in a
    window, for free schedules
``filling``
    ``fill(workload, hardware, members)``: the layer with zeros where it fills no block, and where
    its tensors lie then; ``members`` groups become one, None for the best number.  Without it a
    layer has to fill blocks by itself
``embedding``
    ``sizes(workload)``: those of the convolution that it is, where ``vtacsp.embedding`` takes it

``add``, ``max_pool`` and ``avg_pool`` run on the ALU alone, by programs of ours: they have no
``nest``, ``task`` and ``tir``, and the bound of their cycles is a part ``bound``,
``cycles(timing)``.  What they share is in ``vtacsp.alu``.

Parts are imported when they are asked for: a program builder is no reason to load the rules.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from vtacsp.errors import WorkloadError, shortened
from vtacsp.operators.workload import Workload

__all__ = ["OPERATORS", "has_part", "part", "task_names", "workload_type"]

OPERATORS = {
    "conv2d": ("vtacsp.operators.conv2d", "Conv2D"),
    "group_conv2d": ("vtacsp.operators.group_conv2d", "GroupConv2D"),
    "conv2d_transpose": ("vtacsp.operators.conv2d_transpose", "Conv2DTranspose"),
    "dense": ("vtacsp.operators.dense", "Dense"),
    "add": ("vtacsp.operators.add", "Add"),
    "max_pool": ("vtacsp.operators.max_pool", "MaxPool"),
    "avg_pool": ("vtacsp.operators.avg_pool", "AvgPool"),
}
"""Operator -> its folder and the class of its workload."""


def part(op: str, name: str) -> Any:
    """A part of an operator: the module ``name`` of its folder.

    Raises :class:`~vtacsp.errors.WorkloadError` for an operator that is not registered, and for a
    part that it does not have.
    """
    if op not in OPERATORS:
        raise WorkloadError(f"no operator {shortened(op)}; operators are {', '.join(OPERATORS)}")
    folder = OPERATORS[op][0]
    try:
        return import_module(f"{folder}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{folder}.{name}":
            raise
        why = f" ({_WITHOUT[name]})" if name in _WITHOUT else ""
        raise WorkloadError(f"the operator {op} has no {name}: {folder}{why}") from None


def has_part(op: str, name: str) -> bool:
    """Whether a registered operator has a part, without importing it."""
    return find_spec(f"{OPERATORS[op][0]}.{name}") is not None


_WITHOUT = {
    "task": "AutoTVM has no template for it",
    "tir": "MetaSchedule has no design space for it",
    "geometry": "no schedules beyond the template",
}
"""Why an operator may lack a part."""


@cache
def workload_type(op: str) -> type[Workload]:
    """The class of an operator's workloads; raises as :func:`part`."""
    found: type[Workload] = getattr(part(op, "workload"), OPERATORS[op][1])
    return found


def task_names() -> dict[str, str]:
    """Names of AutoTVM's tasks -> the operators that have them."""
    return {part(op, "task").NAME: op for op in OPERATORS if has_part(op, "task")}
