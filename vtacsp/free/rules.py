"""The rules of free schedules: which of them a machine can run.

Written over the fields of a schedule (:mod:`.schedule_fields`), in the language of the rules of the
templates.  What is a procedure and no formula is said by :mod:`.demand`, and asked only where the
formulas leave it open.  What emits programs knows nothing of this: it is the second opinion.
"""

from __future__ import annotations

from vtacsp.causes import SRAM_UOP, UOP_HAZARD, too_large
from vtacsp.expr import Bool, Int, all_of, any_of, choose, const, if_else, maximum, minimum, named
from vtacsp.free.schedule_fields import (
    acc,
    begin,
    begin_rows,
    begin_steps,
    channels,
    chunk_size,
    closing,
    columns,
    crosses,
    demanded,
    finish,
    finish_rows,
    first,
    inp,
    input_columns,
    input_rows,
    largest,
    last,
    lead,
    load_rows,
    opening,
    parts,
    pass_count,
    reduction,
    rows,
    total,
    wgt,
)
from vtacsp.machine import fields as isa
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import CI, CO, KH, KW, OH, OW, G, N, depth

__all__ = ["MOST_TOKENS", "RULES"]

MOST_TOKENS = 255
"""What a counter of tokens holds."""

# -- partitions

one_tile = named("one_tile", N * parts(channels) * parts(rows) * parts(columns) == 1)
_opening_tile = if_else(parts(first) > 0, opening(first), opening(rows))
first_tile = if_else(one_tile & (parts(last) > 0), opening(last), _opening_tile)
_closing_tile = if_else(one_tile & (parts(first) > 0), closing(first), closing(rows))
last_tile = if_else(parts(last) > 0, closing(last), _closing_tile)


def _loaded(tile: Int) -> Int:
    """Rows of a tile that are loaded at a time."""
    return if_else(load_rows > 0, minimum(load_rows, tile), tile)


first_load = named("first_load", _loaded(first_tile))
last_load = named("last_load", (last_tile - 1) % maximum(_loaded(last_tile), 1) + 1)

_ALL = (
    (channels, CO, "the output channel blocks"),
    (rows, OH, "the output rows"),
    (columns, OW, "the output columns"),
    (reduction, CI, "the input channel blocks"),
)
_SOME = (
    (lead, CI, "the input channel blocks"),
    (first, opening(rows), "the rows of the first tile"),
    (last, closing(rows), "the rows of the last tile"),
    (begin, opening(channels), "the channel blocks of the first tile"),
    (begin_rows, first_load, "the rows that the first tile loads first"),
    (finish, closing(channels), "the channel blocks of the last tile"),
    (finish_rows, last_load, "the rows that the last tile loads last"),
)


def _cut(partition: Int, whole: Int, what: str, needs: Int | None = None) -> Rule:
    """A partition is one of what it cuts."""
    assert hasattr(partition, "name")
    name: str = partition.name
    optional = any(partition is p for p, *_ in _SOME)
    adds_up = total(partition) == whole
    holds: Bool = (parts(partition) == 0) | adds_up if optional else adds_up
    where = "empty or " if optional else ""
    checks = [Check(Stage.TENSORIZE, holds)]
    message = f"{name} adds up to {{sum:,}}, and has to be {where}{{whole:,}}: {what}"
    if needs is not None:
        checks.append(Check(Stage.TENSORIZE, (parts(partition) == 0) | (parts(needs) > 0)))
        message += f" (and only where {name.removesuffix('_rows')} is not empty)"
    return Rule(
        name=f"cut:{name}",
        checks=tuple(checks),
        title=f"{name} cuts {what}",
        message=message,
        mechanism="The parts of a partition are all of what is cut, and nothing else.",
        quantities={"sum": total(partition), "whole": whole},
    )


_NEEDS = {"begin_rows": begin, "finish_rows": finish}
CUTS = tuple(
    _cut(partition, whole, what, _NEEDS.get(partition.name))
    for partition, whole, what in (*_ALL, *_SOME)
)

_steps = if_else(parts(lead) > 0, parts(lead), parts(reduction))
_cut_tile = if_else(parts(last) > 0, parts(last), parts(first))
PIECES = Rule(
    name="pieces",
    checks=(
        Check(
            Stage.TENSORIZE,
            ~all_of(
                parts(begin) > 0, parts(finish) > 0, one_tile, _cut_tile < 2, begin_steps >= _steps
            ),
        ),
    ),
    title="begin and finish cut different steps",
    message=(
        "begin_steps is {begin_steps} and the only tile has {steps} steps: begin and finish would "
        "cut the same one"
    ),
    mechanism="A step is in pieces because the program begins with it, or because it ends with it.",
    quantities={"begin_steps": begin_steps, "steps": _steps},
)

_whole_groups = all_of(CO == G, parts(reduction) == 1, parts(lead) < 2)
GROUPS = Rule(
    name="groups",
    checks=(
        Check(Stage.TENSORIZE, any_of(G == 1, _whole_groups, crosses(channels, CO // G) == 0)),
    ),
    title="no tile crosses a group",
    message="a tile crosses a group of {per_group} output blocks",
    mechanism=(
        "Outputs of different groups need different inputs. A tile of several groups takes the "
        "inputs of all of them, which is done for groups of one block that need a single step."
    ),
    quantities={"per_group": CO // G},
)

# -- scratchpads

plain = named("plain", (parts(first) == 0) & (parts(last) == 0))
wgt_chunk = named(
    "wgt_chunk", largest(channels) * maximum(largest(reduction), largest(lead)) * (KH * KW)
)
_together = if_else(all_of(G > 1, CO == G, largest(channels) > 1), CI * largest(channels), 0)
_blocks = maximum(maximum(largest(reduction), largest(lead)), _together)
plain_inp = named("plain_inp", _blocks * (input_rows() * input_columns()))
plain_acc = named("plain_acc", largest(channels) * (largest(rows) * largest(columns)))
_inp_chunk, _acc_tile = chunk_size("inp_chunk"), chunk_size("acc_tile")
_operands = named("operands", pass_count(1) * CO)
_shared = pass_count(2) > 0


def _acc_need(tile: Int) -> Int:
    return acc * tile + _operands + if_else(_shared, tile, 0)


def _slots(buffer: str, plain_need: Int, need: Int, what: str, mechanism: str) -> Rule:
    size = depth(buffer)
    # a tile that is cut may be the only one of its size
    varying = plain_need is not need
    holds = choose(plain, plain_need <= size, need <= size) if varying else need <= size
    return Rule(
        name=too_large(buffer),
        checks=(Check(Stage[f"TOTAL_{buffer.upper()}"], holds),),
        title=f"the slots of {what} fit",
        message="the slots take {need:,} elements, the scratchpad has {depth:,}",
        mechanism=mechanism,
        quantities={"need": need, "depth": size},
        grows=f"LOG_{buffer.upper()}_BUFF_SIZE",
    )


INP = _slots(
    "inp", inp * plain_inp, inp * _inp_chunk, "the input",
    "Every slot of a ring holds the largest chunk that a step of some tile needs.",
)  # fmt: skip
_wgt_need = wgt * wgt_chunk
WGT = _slots(
    "wgt", _wgt_need, _wgt_need, "the weights",
    "Every slot of a ring holds the weights of the largest tile and step.",
)  # fmt: skip
ACC = _slots(
    "acc", _acc_need(plain_acc), _acc_need(_acc_tile), "the accumulator",
    "Every slot of the ring holds the largest tile. Behind the ring lie the operands of one value "
    "per channel, and a tile's part of a tensor, which all tensors share.",
)  # fmt: skip


def _whole(buffer: str, what: str, chunk: Bool, need: Int) -> Rule:
    return Rule(
        name=f"whole_load:{buffer}",
        cause=too_large(buffer),
        checks=(Check(Stage[f"{buffer.upper()}_2D"], chunk | (need < depth(buffer))),),
        title=f"no load fills the {what} scratchpad",
        message="a single load has {need:,} elements, the scratchpad {depth:,}: its end is lost",
        mechanism="The counter of a load wraps when it fills the scratchpad (see docs/timing.md).",
        quantities={"need": need, "depth": depth(buffer)},
        grows=f"LOG_{buffer.upper()}_BUFF_SIZE",
    )


# a load is at most a chunk: only where that fills the scratchpad every load is looked at
WHOLE = (
    _whole("inp", "input", plain & (plain_inp < depth("inp")), demanded("whole")),
    _whole("wgt", "weight", wgt_chunk < depth("wgt"), demanded("whole_wgt")),
)

# -- micro-ops, instructions, tokens

UOP = Rule(
    name=SRAM_UOP,
    checks=(Check(Stage.UOP_SIZE, demanded("fits") == 1),),
    title="all micro-op kernels fit together",
    message="after {used:,} micro-ops the next kernel does not fit, the scratchpad holds {depth:,}",
    mechanism=(
        "A kernel is loaded once and stays. Kernels of the same micro-ops are one; another slot, "
        "another place in a tile or an edge that meets padding makes another. A product whose "
        "kernels do not fit in the form that is asked for takes the next form."
    ),
    quantities={"used": demanded("micro_ops"), "depth": depth("uop")},
    grows="LOG_UOP_BUFF_SIZE",
)

HAZARD = Rule(
    name=UOP_HAZARD,
    checks=(Check(Stage.UOP_HAZARD, demanded("rewritten") == 0),),
    title="no micro-op writes an accumulator that one of the two before it wrote",
    message="in every form, a micro-op writes the accumulator of one of the two before it",
    mechanism=(
        "The runtime refuses such a kernel (`UopKernel::VerifyDep`): the sum before may not be "
        "written yet. A form that would do so gives way to the next; a product over one or two "
        "accumulators has none that does not."
    ),
)

_LIMITS = {
    "size": (demanded("size"), 1 << isa.SIZE),
    "stride": (demanded("stride"), 1 << isa.STRIDE),
    "loop": (demanded("loop"), 1 << isa.LOOP_EXTENT),
}
_FACTORS = (("wide_acc", "acc"), ("wide_src", "inp"), ("wide_wgt", "wgt"))
FIELDS = Rule(
    name="isa",
    checks=(
        *(Check(Stage.RESULT, need < limit) for need, limit in _LIMITS.values()),
        *(Check(Stage.RESULT, demanded(name) < depth(buffer)) for name, buffer in _FACTORS),
    ),
    title="numbers fit their instruction fields",
    message=(
        "the largest size of a copy is {size:,}, the largest stride {stride:,} (16 bits each), "
        "the longest loop {loop:,} (14 bits), the largest factors {acc:,} of {acc_depth:,} "
        "accumulators, {src:,} of {inp_depth:,} inputs, {wgt:,} of {wgt_depth:,} weights"
    ),
    mechanism=(
        "Sizes and strides of copies have 16 bits, loops 14, factors as many as an index into the "
        "scratchpad; that of a GEMM's source has those of INP, that of an ALU instruction's of ACC."
    ),
    quantities={
        **{name: need for name, (need, _) in _LIMITS.items()},
        "acc": demanded("wide_acc"), "src": demanded("wide_src"), "wgt": demanded("wide_wgt"),
        **{f"{b}_depth": depth(b) for b in ("acc", "inp", "wgt")},
    },
)  # fmt: skip

TOKENS = Rule(
    name="tokens",
    checks=(Check(Stage.RESULT, demanded("tokens") <= MOST_TOKENS),),
    title="no queue holds more tokens than it counts",
    message="{tokens:,} tokens in a queue, whose counter ends at {most}",
    mechanism=(
        "A module that has to wait for nothing runs ahead, and each chunk that it leaves behind is "
        "a token: at most one per piece of a slot."
    ),
    quantities={"tokens": demanded("tokens"), "most": const(MOST_TOKENS)},
)

RULES = (
    *CUTS, PIECES, GROUPS, INP, WGT, ACC, ISA_WIDTH, *WHOLE, UOP, HAZARD, FIELDS, TOKENS
)  # fmt: skip
"""Every rule of a free schedule; a schedule that meets them all can run."""
