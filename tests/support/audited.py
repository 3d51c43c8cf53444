"""Small programs of every kind, and what is to be told of their mutants.

``python -m tests.support.audited 120 5`` makes 120 mutants of each program with seed 5, executes
each in 15 legal orders, and says what the audit made of them; it exits with 1 when it missed one
that computes something else.  ``nox -s mutants`` runs it.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from tests.support.interleave import SCHEMES, Fault, orders
from tests.support.mutants import mutant
from vtacsp import (
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    VTAConfig,
    compile,
    workload_from_dict,
)
from vtacsp.audit import Target, audit
from vtacsp.audit.sources import of_bundle
from vtacsp.bundle import Bundle, Launch, pack
from vtacsp.errors import ProgramError
from vtacsp.free import emit, geometry
from vtacsp.free.moves import sample
from vtacsp.machine.instructions import encode
from vtacsp.operators.builder import build

__all__ = ["Verdict", "more_programs", "programs", "verdicts"]

MACHINE = VTAConfig(log_uop_buff_size=10, log_inp_buff_size=10, log_wgt_buff_size=14,
                    log_acc_buff_size=12)  # fmt: skip
LAYERS = (
    Conv2D(name="conv", in_channels=32, height=3, width=3, out_channels=32, kernel=(2, 2),
           padding=(1, 1), bias=True),
    Conv2D(name="point", in_channels=32, height=2, width=3, out_channels=32, kernel=(1, 1)),
    GroupConv2D(name="group", in_channels=32, height=3, width=3, out_channels=32, kernel=(2, 2),
                groups=2),
    Conv2DTranspose(name="transposed", in_channels=16, height=2, width=2, out_channels=32,
                    kernel=(2, 2), stride=(2, 2), bias=True),
    Dense(name="dense", in_features=48, out_features=64, bias=True),
)  # fmt: skip

ALU = ({"op": "add"}, {"op": "max_pool", "kernel": [2, 2], "padding": [1, 1], "stride": [1, 1]},
       {"op": "avg_pool", "kernel": [2, 2], "stride": [2, 2]})  # fmt: skip
EPILOGUES = (
    [{"op": "add", "operand": "channel"}, {"op": "shift_right", "by": 4},
     {"op": "clip", "min": -127, "max": 127}, {"op": "cast", "dtype": "int8"}],
    [{"op": "add", "operand": "channel"}, {"op": "add", "operand": "tensor"},
     {"op": "max", "value": 0}, {"op": "shift_right", "by": 5}, {"op": "cast", "dtype": "int8"}],
    [{"op": "mul", "operand": "channel"}, {"op": "shift_left", "by": 1}, {"op": "add", "value": 64},
     {"op": "shift_right", "by": 12}, {"op": "cast", "dtype": "int8"}],
)  # fmt: skip
WIDE = (
    MACHINE.replace(LOG_BATCH=1, LOG_INP_BUFF_SIZE=11, LOG_ACC_BUFF_SIZE=13),
    MACHINE.replace(LOG_BLOCK=5, LOG_INP_BUFF_SIZE=11, LOG_WGT_BUFF_SIZE=15, LOG_ACC_BUFF_SIZE=13),
)
"""Two rows, and blocks of 32."""


@dataclass(frozen=True)
class Verdict:
    """A mutant: what was changed, whether a run computed something else, what the audit found."""

    words: str
    changed: bool
    why: str
    kinds: tuple[str, ...]
    clean: bool


@cache
def programs() -> tuple[Bundle, ...]:
    """Bundles: of each layer some configurations, with and without threads, and a free schedule."""
    rng = Random(1)
    found = []
    for layer in LAYERS:
        space = compile(layer, MACHINE)
        threads = [
            i for i in space.indices.tolist()
            if any(v > 1 for n, v in space.knob_space.config(i).items() if "thread" in n)
        ]  # fmt: skip
        for index in {int(space.indices[-1]), *rng.sample(threads, min(2, len(threads)))}:
            found.append(pack(build(layer, MACHINE, index), {"kind": "template"}, seed=index))
        while True:
            try:
                free = emit(sample(geometry(layer, MACHINE), rng), layer, MACHINE)
            except ProgramError:
                continue
            found.append(pack(free, {"kind": "free"}, seed=1))
            break
    return tuple(found)


@cache
def more_programs() -> tuple[Bundle, ...]:
    """Bundles of what the ALU runs by itself, of other epilogues, and of wide machines."""
    rng, found = Random(2), []
    for machine in (MACHINE, *WIDE):
        size = {"batch": machine.batch, "height": 3, "width": 3}
        width = 2 * machine.block
        layers = [
            workload_from_dict({**size, "channels": width, "name": d["op"], **d}) for d in ALU
        ]
        conv = {"op": "conv2d", **size, "in_channels": width, "out_channels": width,
                "kernel": [2, 2], "name": "conv"}  # fmt: skip
        layers += [workload_from_dict({**conv, "epilogue": steps}) for steps in EPILOGUES]
        layers.append(Dense(name="dense", batch=machine.batch, in_features=width,
                            out_features=width, bias=True))  # fmt: skip
        for layer in layers:
            index = rng.choice(compile(layer, machine).indices.tolist())
            found.append(pack(build(layer, machine, index), {"kind": "template"}, seed=index))
    return tuple(found)


def changed(bundle: Bundle, rng: Random) -> tuple[str, Bundle, Target]:
    """A mutant of a program, as a bundle and as what is audited."""
    target = of_bundle(bundle, "mutant")
    words, ins, uops = mutant(target.instructions, target.micro_ops, bundle.hardware, rng)
    launches = (Launch(0, len(ins)),)
    manifest = replace(bundle.manifest, launches=launches)
    other = Bundle(manifest, bundle.content)
    return words, other, replace(
        target, instructions=ins, micro_ops=uops, words=encode(ins, bundle.hardware),
        launches=((0, len(ins)),), bundle=other,
    )  # fmt: skip


def verdicts(bundle: Bundle, number: int, seed: int, runs: int) -> list[Verdict]:
    """Mutants of a program, executed ``runs`` times each in legal orders, and audited."""
    rng = Random(seed)
    found: list[Verdict] = []
    for _ in range(number):
        words, other, target = changed(bundle, rng)
        why = ""
        for output in orders(other, target.instructions, target.micro_ops, runs, rng):
            if isinstance(output, Fault) or output != bundle.content["out"]:
                why = str(output) if isinstance(output, Fault) else "numbers"
                break
        result: Any = audit(target)
        kinds = tuple(sorted({finding.kind for finding in result.errors}))
        found.append(Verdict(words, bool(why), why, kinds, result.clean))
    return found


def main(number: int, seed: int) -> int:
    """Print how many mutants changed something and were found; the number that was missed."""
    tally: Counter[tuple[bool, bool]] = Counter()
    bundles = programs() + more_programs()
    for place, bundle in enumerate(bundles):
        for verdict in verdicts(bundle, number, seed=1000 * seed + place, runs=len(SCHEMES)):
            tally[verdict.changed, verdict.clean] += 1
            if verdict.changed and verdict.clean:
                print("missed:", place, bundle.manifest.layer.name, verdict, flush=True)
    print(f"{sum(tally.values()):,} mutants of {len(bundles)} programs")
    print(f"changed something: {tally[True, False] + tally[True, True]:,}, "
          f"of which found: {tally[True, False]:,}")  # fmt: skip
    print(f"did not: {tally[False, False] + tally[False, True]:,}, "
          f"of which reported: {tally[False, False]:,}")  # fmt: skip
    return tally[True, True]


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
