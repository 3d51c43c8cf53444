"""Epilogues of free schedules: random chains, operators and machines, bit for bit; the limit."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from tests.support.layers import ON_ALU, OPERATORS, random_layer, random_machine, random_timing
from tests.support.schedules import CAST, random_chain
from vtacsp import VTAConfig, build, compile
from vtacsp.epilogue.steps import DEFAULT, Epilogue
from vtacsp.errors import ProgramError, WorkloadError
from vtacsp.free import Schedule, emit, limit, search
from vtacsp.free.emit import slots_that_fit
from vtacsp.free.moves import mutate, sample
from vtacsp.functional import execute, random_operands, reference
from vtacsp.network.find import find_workloads
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.geometry import geometry
from vtacsp.operators.workload import Workload
from vtacsp.timing import simulate_timing

MACHINE = VTAConfig()


def above_the_limit(program, layer: Workload, machine: VTAConfig, rng: Random) -> float:
    """How many times the limit a program takes on a random timing model; it is never below."""
    timing = random_timing(rng) if rng.random() < 0.8 else None
    model = {} if timing is None else {"timing": timing}
    bound = limit(layer, machine, **model)
    cycles = simulate_timing(program, *model.values()).cycles
    assert cycles >= bound.cycles, f"{layer} on {machine} with {timing}: {bound}"
    return cycles / bound.cycles


@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_random_epilogues_compute_the_layer_and_stay_above_the_limit(operator: str) -> None:
    rng = Random(f"epilogue {operator}")
    kinds: dict[str, int] = {}
    for seed in range(45):
        machine = random_machine(rng)
        layer = replace(random_layer(operator, rng), bias=False, epilogue=random_chain(rng))
        try:
            g = geometry(layer, machine)
        except WorkloadError:  # a batch of one on a machine of two
            continue
        operands = random_operands(layer, machine, seed)
        right = reference(layer, machine, operands)
        for drawn in (sample(g, rng) for _ in range(2)):
            for _ in range(rng.randint(0, 6)):
                drawn = mutate(drawn, g, rng)  # noqa: PLW2901
            fit = slots_that_fit(drawn, layer, machine)
            try:
                program = emit(fit or drawn, layer, machine)
            except ProgramError:
                continue
            result = execute(program, operands, seed=seed)
            assert np.array_equal(result.output, right), f"{layer} on {machine}: {drawn}"
            assert set(result.tokens.values()) == {0}
            above_the_limit(program, layer, machine, rng)
            for kind in {*layer.epilogue.operands, "any"}:
                kinds[kind] = kinds.get(kind, 0) + 1
    assert kinds["any"] > 20
    assert min(kinds["channel"], kinds["tensor"]) > 3, kinds


@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_no_program_of_the_template_is_below_the_limit(operator: str) -> None:
    rng = Random(f"template {operator}")
    built, closest = 0, 9.0
    for _ in range(12):
        machine, layer = random_machine(rng), random_layer(operator, rng)
        if rng.random() < 0.5:
            layer = replace(layer, bias=False, epilogue=random_chain(rng))
        try:
            space = compile(layer, machine, stack_only=True)  # races do not matter for cycles
            limit(layer, machine)
        except WorkloadError:
            continue
        mine = space.indices.tolist()
        for index in rng.sample(mine, min(len(mine), 3)):
            ratio = above_the_limit(build(layer, machine, index), layer, machine, rng)
            built, closest = built + 1, min(closest, ratio)
    assert built > 10
    assert closest < 4


TINY = Schedule(channels=(1,), rows=(1,), columns=(1,), reduction=(1,), inp=1, wgt=1, acc=1)


@pytest.mark.parametrize("outputs", [1, 64])
def test_the_limit_is_close_where_nothing_overlaps(outputs: int) -> None:
    """One tile of one product: what comes before and after it is nearly all there is."""
    layer = Dense(batch=1, in_features=16, out_features=16 * outputs)
    program = emit(replace(TINY, channels=(outputs,)), layer, MACHINE)
    cycles, bound = simulate_timing(program).cycles, limit(layer, MACHINE)
    assert bound.cycles <= cycles
    assert outputs > 1 or cycles < 1.5 * bound.cycles


def test_a_tensor_that_is_added_first_takes_the_place_of_the_reset() -> None:
    size = {"in_channels": 32, "height": 6, "width": 6, "out_channels": 32, "kernel": (1, 1)}
    cuts = Schedule(channels=(2,), rows=(3, 3), columns=(6,), reduction=(2,))
    resets = []
    for op in ("add", "max"):
        chain = Epilogue.from_list([{"op": op, "operand": "tensor"}, *DEFAULT.to_list()])
        program = emit(cuts, Conv2D(**size, epilogue=chain), MACHINE)
        counters = program.counters()
        assert counters["acc_load_nbytes"] == 2 * 36 * 64
        resets.append(counters["gemm_reset"])
    assert resets == [0, 2]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"op": "add", "operand": "tensor8"}, CAST], "stage 1 .* is a cast .8-bit|an 8-bit"),
        ([{"op": "cast", "dtype": "int8"}, {"op": "add", "value": 1}, CAST], "the ALU has none"),
        ([{"op": "sub", "operand": "tensor"}, CAST], "stage 1 .*subtracts an operand"),
        ([{"op": "add", "value": 1}], "does not end with a cast"),
        ([{"op": "cast", "dtype": "int16"}], "another width"),
        ([{"op": "max", "value": 70000}, CAST], "outside of -32,768 to 32,767"),
    ],
)
def test_what_the_alu_cannot_do_is_refused_by_name(steps, words: str) -> None:
    (layer,) = find_workloads("resnet18.C10")
    other = replace(layer, epilogue=Epilogue.from_list(steps))
    for function in (limit, search):
        with pytest.raises(WorkloadError, match=rf"resnet18\.C10: .*{words}"):
            function(other, MACHINE)
