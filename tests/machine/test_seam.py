"""Who depends on the numbers of a machine: few files, and those of one kind only on one of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, fields

import pytest

from tests.support.imports import modules, tree
from vtacsp import Dense, VTAConfig, build, compile
from vtacsp.functional import execute, random_operands, reference
from vtacsp.timing import Simulator

SIZES = {field.name for field in fields(VTAConfig)} - {"target", "extra"}
WIDTHS = {"log_inp_width", "log_wgt_width", "log_acc_width"}


def _readers(names: set[str]) -> set[str]:
    """The modules outside of ``machine/`` with an attribute of one of these names."""
    return {
        module
        for module in modules()
        if not module.startswith("vtacsp.machine.")
        and any(isinstance(n, ast.Attribute) and n.attr in names for n in _code(module))
    }


def _code(module: str) -> list[ast.AST]:
    return list(ast.walk(tree(module)))


def test_only_the_machine_reads_its_sizes():
    """All others ask for a depth, a block, a symbol; of a width they make the type of values."""
    assert len(SIZES) == 10
    assert _readers(SIZES - WIDTHS) == set()
    assert 10 < len(_readers(WIDTHS)) <= 24


@dataclass(frozen=True)
class WithAnother(VTAConfig):
    """A machine with one parameter more, of which nobody knows."""

    log_replay: int = 3


@pytest.mark.parametrize("batch", [0, 1])
def test_a_parameter_more_is_nobodys_business(batch):
    machine = WithAnother(log_batch=batch)
    layer = Dense(batch=machine.batch, in_features=64, out_features=64)
    space, plain = compile(layer, machine), compile(layer, VTAConfig(log_batch=batch))
    assert space.indices.tolist() == plain.indices.tolist()
    index = int(space.indices[0])
    operands = random_operands(layer, machine)
    right = reference(layer, machine, operands)
    assert (execute(build(layer, machine, index), operands).output == right).all()
    assert Simulator(space).cycles(index) == Simulator(plain).cycles(index)
