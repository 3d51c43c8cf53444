"""The rules of free schedules of what the ALU runs by itself.

As :mod:`.rules`, without what is about inputs and weights; most of the fields have one value.
"""

from __future__ import annotations

from dataclasses import replace

from vtacsp.causes import too_large
from vtacsp.expr import all_of, any_of, if_else
from vtacsp.free.rules import CUTS, FIELDS, MOST_TOKENS, TOKENS, UOP
from vtacsp.free.schedule_fields import (
    X,
    Y,
    acc,
    begin,
    begin_rows,
    begin_steps,
    clear_ahead,
    finish,
    finish_rows,
    form,
    gather,
    inp,
    join,
    lead,
    load_rows,
    loop,
    own_tap,
    parts,
    pass_count,
    snake,
    wgt,
    window_demanded,
)
from vtacsp.machine import fields as isa
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import CO, KH, KW, depth

__all__ = ["WINDOW_RULES"]

_ZERO = (clear_ahead, load_rows, snake, join, loop)
_EMPTY = (lead, begin, begin_rows, finish, finish_rows)
_one = KH * KW == 1

FIXED = Rule(
    name="fixed",
    checks=(
        Check(Stage.TENSORIZE, all_of(*(parts(name) == 0 for name in _EMPTY))),
        Check(
            Stage.TENSORIZE,
            all_of(*(name == 0 for name in _ZERO), begin_steps == 1, inp == 2, wgt == 2),
        ),
        Check(
            Stage.TENSORIZE,
            any_of(gather == 1, all_of(gather == 2, ~_one, own_tap(*Y) >= 0, own_tap(*X) >= 0)),
        ),
        Check(Stage.TENSORIZE, any_of(form == 0, ~_one)),
    ),
    title="what says nothing of a layer without products has its usual value",
    message=(
        "a layer without products has no steps, inputs and weights: {pieces} of lead, begin, "
        "begin_rows, finish and finish_rows are not empty, clear_ahead is {clear_ahead}, load_rows "
        "{load_rows}, snake {snake}, join {join}, loop {loop}, begin_steps {begin_steps}, "
        "inp {inp}, wgt {wgt}, gather {gather}, form {form}"
    ),
    mechanism=(
        "The ALU runs the layer by itself. `gather` 2 loads one value of each window where its "
        "output is computed, which takes a value that no other window has; a window of one value "
        "always is, in one form."
    ),
    quantities={
        "pieces": sum((if_else(parts(name) > 0, 1, 0) for name in _EMPTY[1:]),
                      if_else(parts(lead) > 0, 1, 0)),
        "clear_ahead": clear_ahead, "load_rows": load_rows, "snake": snake, "join": join,
        "loop": loop,
        "begin_steps": begin_steps, "inp": inp, "wgt": wgt, "gather": gather, "form": form,
    },
)  # fmt: skip

_tile = window_demanded("acc_tile")
_need = acc * _tile + pass_count(1) * CO + if_else(pass_count(2) > 0, _tile, 0)
_need = _need + window_demanded("windows")

WINDOW_ACC = Rule(
    name=too_large("acc"),
    checks=(Check(Stage.TOTAL_ACC, _need <= depth("acc")),),
    title="tiles, operands and windows fit the accumulators",
    message="the slots take {need:,} elements, the scratchpad has {depth:,}",
    mechanism=(
        "Every slot of the ring holds the largest tile. Behind the ring lie the operands of the "
        "epilogue and the windows of one tile: rows that stay for the next tile in two places that "
        "tiles take in turns, the others, and what is left of the rows of values in place."
    ),
    quantities={"need": _need, "depth": depth("acc")},
    grows="LOG_ACC_BUFF_SIZE",
)

WHOLE = Rule(
    name="whole_load:acc",
    cause=too_large("acc"),
    checks=(Check(Stage.TOTAL_ACC, window_demanded("whole_acc") < depth("acc")),),
    title="no load of data fills the accumulators",
    message="a single load has {need:,} elements, the scratchpad {depth:,}: its end is lost",
    mechanism="The counter of a load wraps when it fills the scratchpad (see docs/timing.md).",
    quantities={"need": window_demanded("whole_acc"), "depth": depth("acc")},
    grows="LOG_ACC_BUFF_SIZE",
)

_UOP = replace(
    UOP,
    checks=(Check(Stage.UOP_SIZE, window_demanded("fits") == 1),),
    quantities={"used": window_demanded("micro_ops"), "depth": depth("uop")},
)

_LIMITS = {
    "size": (window_demanded("size"), 1 << isa.SIZE),
    "stride": (window_demanded("stride"), 1 << isa.STRIDE),
    "loop": (window_demanded("loop"), 1 << isa.LOOP_EXTENT),
}
_FACTORS = {"acc": window_demanded("wide_acc"), "src": window_demanded("wide_src")}
_ISA = replace(
    FIELDS,
    checks=(
        *(Check(Stage.RESULT, need < limit) for need, limit in _LIMITS.values()),
        Check(Stage.RESULT, _FACTORS["acc"] < depth("acc")),
        Check(Stage.RESULT, _FACTORS["src"] < depth("inp")),
    ),
    message=(
        "the largest size of a copy is {size:,}, the largest stride {stride:,} (16 bits each), "
        "the longest loop {loop:,} (14 bits), the largest factors {acc:,} of {acc_depth:,} "
        "accumulators, {src:,} of {inp_depth:,} sources"
    ),
    quantities={
        **{name: need for name, (need, _) in _LIMITS.items()},
        **_FACTORS,
        **{f"{b}_depth": depth(b) for b in ("acc", "inp")},
    },
)
_TOKENS = replace(
    TOKENS,
    checks=(Check(Stage.RESULT, window_demanded("tokens") <= MOST_TOKENS),),
    quantities={**TOKENS.quantities, "tokens": window_demanded("tokens")},
)

WINDOW_RULES = (*CUTS, FIXED, WINDOW_ACC, ISA_WIDTH, WHOLE, _UOP, _ISA, _TOKENS)
"""Every rule of a free schedule of what the ALU runs by itself."""
