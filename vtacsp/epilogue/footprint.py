"""What an epilogue takes on the machine, as constants of a workload that rules are written in."""

from __future__ import annotations

from vtacsp.epilogue.steps import CHANNEL, NARROW, TENSOR, Epilogue, Pass

__all__ = ["CUT_IMMEDIATE", "NEVER", "OTHER_WIDTH", "UNCAST", "epilogue_symbols"]

NEVER = 99
"""Position of a stage that a chain does not have; the first stage is 1."""

UNCAST = "the epilogue does not end with a cast: the store is not recognised"
OTHER_WIDTH = "the last cast of the epilogue is to another width than VTA's output values have"
CUT_IMMEDIATE = (
    "a constant of the epilogue is outside of -32,768 to 32,767, is cut to 16 bits, and the "
    "program computes wrong numbers"
)
"""What the symbols STORES, STORES_RIGHT and CUT refuse an epilogue for, in words.

The rules of the templates say it, and so does what makes free schedules, which knows no rule.
"""

_IMMEDIATE, _TENSOR, _CHANNEL, _SELF = range(1, 5)
_BASE = 5


def epilogue_symbols(chain: Epilogue, log_out_width: int, most: int) -> dict[str, int]:
    """Values of the epilogue's symbols; ``vtacsp.rules.symbols`` says what they mean.

    ``log_out_width`` is log2 of bits of an output value, ``most`` the largest magnitude that a
    sum of the operator can have.
    """
    stages, passes = chain.stages, chain.passes
    near, far = _slots(chain, near=True), _slots(chain, near=False)
    left = [p.kind for p in stages if p.left]
    cast = chain.cast
    matching = cast is not None and cast.bits in (None, 1 << log_out_width)
    return {
        "BIAS": int(CHANNEL in chain.operands),
        "STAGES": len(stages),
        "PASSES": len(passes),
        "PAIRS": sum(_is_pair(p) for p in passes),
        "PASS_CODE": sum(_code(p) * _BASE**i for i, p in enumerate(passes)),
        "TENSORS": chain.operands.count(TENSOR),
        "CHANNELS": chain.operands.count(CHANNEL),
        "NARROWS": chain.operands.count(NARROW),
        "LEFT_TENSORS": left.count(TENSOR),
        "LEFT_CHANNELS": left.count(CHANNEL),
        "NEAR_TILES": near.count(TENSOR),
        "NEAR_CHANNELS": near.count(CHANNEL),
        "FAR_TILES": far.count(TENSOR),
        "FAR_CHANNELS": far.count(CHANNEL),
        "PAIR_AT": _first([_is_pair(p) for p in stages]),
        "CAST_AT": _first([p.op == "cast" for p in stages]),
        "SUB_AT": _first([p.op == "sub" for p in stages]),
        "CUT": int(chain.is_cut(most)),
        "STORES": int(cast is not None),
        "STORES_RIGHT": int(cast is None or matching),
    }


def _is_pair(p: Pass) -> bool:
    return p.value is None and p.op not in ("copy", "cast")


def _code(p: Pass) -> int:
    if not _is_pair(p):
        return _IMMEDIATE
    return {TENSOR: _TENSOR, CHANNEL: _CHANNEL}.get(p.kind, _SELF)


def _first(which: list[bool]) -> int:
    return which.index(True) + 1 if True in which else NEVER


def _slots(chain: Epilogue, *, near: bool) -> list[str]:
    """What the slots of the operands hold at most, when they are given out as they get free.

    ``near`` says that a tile is at most 16 times as large as one value per channel: a slot is
    then taken for either.  Source: ``StoragePlanRewriter::FindAlloc`` of ``storage_rewrite.cc``.
    """
    slots: list[str] = []
    free: list[int] = []
    held: dict[int, int] = {}

    def take(number: int, kind: str) -> None:
        # as large or larger first, then what is too small and grows
        for wanted in dict.fromkeys((kind, TENSOR, CHANNEL) if near else (kind,)):
            for slot in free:
                if slots[slot] == wanted:
                    free.remove(slot)
                    slots[slot] = TENSOR if TENSOR in (kind, wanted) else CHANNEL
                    held[number] = slot
                    return
        slots.append(kind)
        held[number] = len(slots) - 1

    takes = {p.operand: p for p in chain.stages if p.operand is not None}
    for number in chain.loads:
        if takes[number].left:
            take(number, takes[number].kind)
    for p in chain.stages:
        if p.operand is not None:
            if not p.left:
                take(p.operand, p.kind)
            free.append(held[p.operand])
    return slots
