"""Rules over a machine and its memory bus: what the Chisel design of tvm-vta can be built for.

The stack's runtime and functional simulator know none of them: a configuration is feasible by the
other rules, on any bus.  Each was measured, on machines on both sides: the design was elaborated
for them.  Of the rules of tags that is so for UOP; one line of the sources makes the others too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vtacsp.expr import Env, Int, Symbol, all_of, any_of, const, if_else, maximum
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import (
    LOG_ACC_WIDTH,
    LOG_BATCH,
    LOG_BLOCK,
    LOG_INP_WIDTH,
    LOG_WGT_WIDTH,
    acc_bits,
    inp_bits,
    uop_bits,
    wgt_bits,
)

if TYPE_CHECKING:
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.timing.model import TimingModel

__all__ = [
    "BUILDABLE",
    "LOG_BUS_BYTES",
    "UNCHANGED",
    "WHOLE",
    "broken",
    "design_changes",
    "design_hazards",
    "design_limits",
    "design_rules",
]

LOG_BUS_BYTES = Symbol("LOG_BUS_BYTES", "log2 of bytes of a beat of the memory bus")

_TAG_BITS = 21  # VMEParams: clientTagBitWidth
_FIELDS = {"uop": 13, "inp": 11, "wgt": 10, "acc": 11}  # ISAConstants: C_*_BITS

BUS = Rule(
    name="rtl:bus",
    checks=(Check(Stage.TENSORIZE, LOG_BUS_BYTES >= 3),),
    title="the bus carries half an instruction",
    message="the memory bus has 2^{bus} bytes: the design has a fetch module for 8 and more",
    mechanism=(
        "`core/Fetch.scala` has one fetch module for a bus of 8 bytes and one for wider ones; "
        "the design does not elaborate for less."
    ),
    quantities={"bus": LOG_BUS_BYTES},
)

_row = LOG_BLOCK + LOG_INP_WIDTH - 3  # log2 of bytes of a row of an OUT tensor

STORE_ROW = Rule(
    name="rtl:store_row",
    checks=(
        Check(
            Stage.TENSORIZE,
            any_of(LOG_BATCH + _row <= LOG_BUS_BYTES, _row >= LOG_BUS_BYTES),
        ),
    ),
    title="an OUT tensor fits a beat, or each of its rows fills one",
    message=(
        "an OUT tensor of 2^{tensor} bytes is wider than the memory bus of 2^{bus} bytes and its "
        "rows of 2^{row} are narrower: the store sends whole beats of a row"
    ),
    mechanism=(
        "`core/TensorStoreNarrowVME.scala` stores a tensor that is wider than the bus row by row, "
        "in whole beats; the design does not elaborate for a row of less than a beat."
    ),
    quantities={"tensor": LOG_BATCH + _row, "row": _row, "bus": LOG_BUS_BYTES},
)


def _tag(name: str, what: str, depth: Int, element: Int) -> Rule:
    """``depth`` and ``element`` are log2 of elements and of bytes."""
    fits = LOG_BUS_BYTES - element  # log2 of the elements in a beat
    # place in the scratchpad: a beat of it, or an element and what of the first and last beat count
    need = if_else(element > LOG_BUS_BYTES, depth - fits, depth + 2 * (maximum(fits, 0) + 1))
    return Rule(
        name=f"rtl:tag:{name}",
        checks=(Check(Stage.TENSORIZE, need <= _TAG_BITS),),
        title=f"a place in {what} fits the tag of a request",
        message=(
            f"a request for {what} needs a tag of {{need}} bits on a "
            f"memory bus of 2^{{bus}} bytes, the design has {_TAG_BITS}"
        ),
        mechanism=(
            "A request carries where its data go: the beat of the scratchpad "
            "(`core/TensorLoadNarrowVME.scala`), or the element and how many elements of the "
            "first and of the last beat count (`core/TensorLoadWideVME.scala`). The design does "
            "not elaborate where `VMEParams.clientTagBitWidth` is too narrow for it."
        ),
        quantities={"need": need, "bus": LOG_BUS_BYTES},
    )


TAGS = (
    _tag("fetch", "the instruction buffer", const(9), const(3)),  # words of 8 bytes
    _tag("uop", "the UOP scratchpad", uop_bits, const(2)),
    _tag("inp", "the INP scratchpad", inp_bits, LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH - 3),
    _tag("wgt", "the WGT scratchpad", wgt_bits, LOG_BLOCK + LOG_BLOCK + LOG_WGT_WIDTH - 3),
    _tag("acc", "the ACC scratchpad", acc_bits, LOG_BATCH + LOG_BLOCK + LOG_ACC_WIDTH - 3),
    _tag("out", "the OUT scratchpad", acc_bits, LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH - 3),
)

BUILDABLE = (BUS, STORE_ROW, *TAGS)
"""The design does not elaborate for a machine and a bus that break one of these."""

BATCH_ONE = Rule(
    name="rtl:batch",
    checks=(Check(Stage.TENSORIZE, LOG_BATCH <= 0),),
    title="the ALU computes one row",
    message=(
        "LOG_BATCH is {batch}: the ALU of the design has outputs for one row and the design does "
        "not elaborate; cycles are those of a design whose ALU has all rows"
    ),
    mechanism=(
        "`AluVector` of `core/TensorAlu.scala` connects row 0 of its tensors only. With the other "
        "rows connected alike the design elaborates, computes right numbers, and takes the cycles "
        "that the model says."
    ),
    quantities={"batch": LOG_BATCH},
)

_depths = {"uop": uop_bits, "inp": inp_bits, "wgt": wgt_bits, "acc": acc_bits}

FIELDS_OF_DEFAULT = Rule(
    name="rtl:fields",
    checks=(
        Check(
            Stage.TENSORIZE,
            all_of(*((bits >= _FIELDS[b]) & (bits <= _FIELDS[b]) for b, bits in _depths.items())),
        ),
    ),
    title="the fields of instructions are those of the default machine",
    message=(
        "the runtime writes fields of {uop}/{inp}/{wgt}/{acc} bits (uop/inp/wgt/acc), as the "
        f"scratchpads are deep, and the design reads {'/'.join(map(str, _FIELDS.values()))}, until "
        "the constants of its instruction set say so too"
    ),
    mechanism=(
        "The runtime's fields are as wide as log2 of a scratchpad's depth, those of "
        "`core/ISA.scala` and `core/Decode.scala` are constants, written for depths of 8,192, "
        "2,048, 1,024 and 2,048. With the constants of the machine the design computes right "
        "numbers, and takes the cycles that the model says."
    ),
    quantities=_depths,
)

UNCHANGED = (BATCH_ONE, FIELDS_OF_DEFAULT)
"""Where one of these does not hold, the design needs its own sources changed for the machine."""


_LOG_BURST = 8  # F1Config: lenBits, log2 of beats
_LOG_REQUESTS = 4  # VMEParams: RequestQueueDepth


def _whole(buffer: str, bits: Int, element: Int) -> Rule:
    """``bits`` and ``element`` are log2 of elements and of bytes."""
    beats = bits + element - LOG_BUS_BYTES
    name = buffer.upper()
    return Rule(
        name=f"rtl:whole:{buffer}",
        checks=(
            Check(
                Stage.RESULT,
                any_of(element <= LOG_BUS_BYTES, beats > _LOG_BURST + _LOG_REQUESTS),
            ),
        ),
        title=f"no load of the whole {name} scratchpad is in flight at once",
        message=(
            f"a load of the whole {name} scratchpad, 2^{{beats}} beats of the memory bus, may be "
            "requested before its first beat arrives, and ends early then, with wrong numbers"
        ),
        mechanism=(
            "`blocksInFlight` of `core/TensorLoadNarrowVME.scala` counts the beats that were "
            "requested and have not arrived, with as many bits as the scratchpad's beats have "
            "places: all of them at once are none. That takes a load of every element, all of its "
            "requests among the 16 of 256 beats that the memory engine has in flight, and a memory "
            "that has not answered meanwhile. A tensor that fits the bus has a wider count. "
            "Measured: a load of 1,024 elements of 16 bytes on a bus of 8 is right with a latency "
            "of 1 cycle and wrong with 16 and 64, and right on a bus of 16."
        ),
        quantities={"beats": beats},
    )


WHOLE = (
    _whole("inp", inp_bits, LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH - 3),
    _whole("wgt", wgt_bits, LOG_BLOCK + LOG_BLOCK + LOG_WGT_WIDTH - 3),
    _whole("acc", acc_bits, LOG_BATCH + LOG_BLOCK + LOG_ACC_WIDTH - 3),
)
"""Where one of these does not hold, the design gets programs with such a load wrong."""


def broken(rules: Iterable[Rule], hardware: VTAConfig, timing: TimingModel) -> tuple[Rule, ...]:
    """Those of the rules that do not hold for a machine and the bus of a timing model."""
    env = _values(hardware, timing)
    return tuple(rule for rule in rules if not env.evaluate(rule.holds))


def design_rules(hardware: VTAConfig, timing: TimingModel) -> dict[str, tuple[str, ...]]:
    """Names of the rules that do not hold for a machine and a bus, by what follows.

    ``cannot_be_built`` is :data:`BUILDABLE`, ``sources_changed`` :data:`UNCHANGED`, and
    ``may_be_wrong`` :data:`WHOLE`.
    """
    kinds = {"cannot_be_built": BUILDABLE, "sources_changed": UNCHANGED, "may_be_wrong": WHOLE}
    return {
        kind: tuple(rule.name for rule in broken(rules, hardware, timing))
        for kind, rules in kinds.items()
    }


def design_limits(hardware: VTAConfig, timing: TimingModel) -> tuple[str, ...]:
    """Why the design cannot be built for a machine and a bus, one line a rule; empty if it can."""
    return _messages(BUILDABLE, hardware, timing)


def design_changes(hardware: VTAConfig, timing: TimingModel) -> tuple[str, ...]:
    """What of the design's own sources stands against a machine, one line a rule."""
    return _messages(UNCHANGED, hardware, timing)


def design_hazards(hardware: VTAConfig, timing: TimingModel) -> tuple[str, ...]:
    """What programs the design may get wrong on a machine and a bus, one line a rule.

    They depend on the schedule and on the memory's latency; most programs have no such load.
    """
    return _messages(WHOLE, hardware, timing)


def _values(hardware: VTAConfig, timing: TimingModel) -> Env:
    return Env({**hardware.symbols, LOG_BUS_BYTES.name: timing.bus_bytes.bit_length() - 1})


def _messages(rules: Iterable[Rule], hardware: VTAConfig, timing: TimingModel) -> tuple[str, ...]:
    env = _values(hardware, timing)
    return tuple(
        rule.message.format(**{name: env.evaluate(q) for name, q in rule.quantities.items()})
        for rule in broken(rules, hardware, timing)
    )
