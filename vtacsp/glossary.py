"""The words that reports, explanations and docs use, for people who have never seen TVM.

``python -m vtacsp.glossary docs/glossary.md`` writes the page; a test keeps it current.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

from vtacsp import causes
from vtacsp.causes import DEADLOCK, SHAPE, TOO_LONG

__all__ = ["CAUSES", "SECTIONS", "TERMS", "glossary_page", "look_up"]

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "The machine": {
        "VTA": "The accelerator: a GEMM core and an ALU between scratchpads, with modules that "
        "load, compute and store at the same time.",
        "scratchpad": "On-chip memory that the program manages itself: UOP (micro-ops), INP "
        "(inputs), WGT (weights), ACC (accumulators) and OUT (results, as many elements as ACC).",
        "element": "What one address of a scratchpad holds, a small tensor: BATCH x BLOCK inputs, "
        "BLOCK x BLOCK weights, BATCH x BLOCK accumulators or outputs, or one 32-bit micro-op.",
        "depth": "The number of elements that a scratchpad holds.",
        "block": "BLOCK channels, the width of the GEMM core; layers are cut into blocks of "
        "channels, and tiles count blocks, not channels.",
        "tensor intrinsic": "What the GEMM core does in one cycle: BATCH x BLOCK inputs times "
        "BLOCK x BLOCK weights.",
        "DMA": "The engine behind loads and stores. One instruction moves a 2-D pattern: rows of "
        "equal length at one stride; a load can add zeros around it.",
        "GEMM": "The matrix unit, and its instruction: it multiplies and adds into ACC, as its "
        "micro-ops say, inside up to two hardware loops. A reset is a GEMM that writes zeros.",
        "ALU": "The vector unit for the epilogue: shift, add, minimum, maximum on ACC.",
        "micro-op": "One step of a GEMM or ALU instruction: an index each into ACC, INP (or ACC) "
        "and WGT, in 32 bits. The UOP scratchpad holds them. Short: uop.",
        "hardware loop": "GEMM and ALU instructions repeat their micro-ops in two nested loops; "
        "every further loop has to be written out as micro-ops.",
        "load, compute and store": "The three modules; each runs the instructions of its queue "
        "in order, and all three run at once.",
        "token": "A signal from one module to its neighbour: done, go on. Instructions "
        "pop and push tokens; nothing else orders the modules.",
        "race": "Two accesses to one place that no token orders; if either order can come first "
        "and the numbers differ, the program is wrong on some runs.",
        "RTL": "The register-transfer description of VTA's hardware (its Chisel design), and its "
        "cycle-exact simulation.",
    },
    "The layer and its program": {
        "layer": "One operator with its sizes: conv2d, grouped or transposed conv2d, dense, or "
        "what the ALU runs by itself: add, max_pool, avg_pool. Also: workload. A list of layers "
        "is a suite.",
        "embedding": "A layer that VTA can take in place of one that it cannot: channels are "
        "filled to whole blocks, or pixels and kernel taps are moved into them. `vtacsp embed` "
        "lists them.",
        "tile": "The piece of a layer that is in the scratchpads at one time.",
        "epilogue": "What happens to the accumulators before the store: shift, bias, clip, cast "
        "to 8 bits.",
        "virtual thread": "Two tiles in flight at once: the instructions of both are interleaved, "
        "so that one loads while the other computes. Every buffer is needed twice. "
        "Short: vthread.",
        "micro-op kernel": "The micro-ops of one GEMM or ALU instruction. The runtime keeps "
        "kernels in the UOP scratchpad and evicts some when it is full.",
        "program": "The instructions and micro-ops of one configuration. Configurations that "
        "differ only in a knob without effect are one program.",
        "cycles": "Clock cycles from launch to finish on the RTL, the host's work not counted.",
        "simulate": "Say how many cycles a program takes, without its numbers: `vtacsp simulate`, "
        "`Simulator`.",
        "execute": "Compute the numbers of a program, bit by bit, without its cycles: "
        "`vtacsp.functional.execute`. What does it is a functional simulator.",
        "bound (by)": "What holds a program up: compute, load or store, or latency when the "
        "modules mostly wait for each other.",
        "lower bound": "Cycles that no feasible configuration can undercut, from a formula.",
        "gap": "How far the cycles of a configuration are above the lower bound.",
    },
    "The search": {
        "upstream": "TVM 0.17 with its VTA compiler and runtime: the software that our answers "
        "are about, unchanged. Also: the stack.",
        "knob": "One choice of a schedule: tile_b, tile_h, tile_w, tile_ci, tile_co (the size of "
        "the tile along batch, rows, columns, input and output channel blocks), oc_nthread and "
        "h_nthread (virtual threads over output channels and rows, 1 or 2).",
        "split": "A tile knob cuts an axis into an outer loop and an inner one; the knob's value "
        "is the size of the inner one, always a divisor of the axis.",
        "candidate": "One possible value of a knob.",
        "configuration": "A value for every knob; what a tuner tries.",
        "index": "The number of a configuration in AutoTVM's order of the whole grid, feasible "
        "or not.",
        "grid": "Every combination of candidates. Also: the space of AutoTVM.",
        "feasible": "It builds, runs and computes the right numbers.",
        "cause": "Why the stack refuses a configuration: the first check that fails, by a short "
        "label such as dma_pad.",
        "rule": "A condition that a feasible configuration meets; each belongs to one cause, and "
        "several rules may be broken at once.",
        "inert knob": "A knob that the schedule of an operator ignores, such as tile_b of a "
        "convolution.",
        "trial": "One measurement of a tuner. A failed trial is a measurement wasted.",
        "AutoTVM, MetaSchedule": "TVM's two tuners; AutoTVM up to 0.19, MetaSchedule since.",
        "CP-SAT": "The constraint solver of Google's OR-tools; here the reference that the fast "
        "answers are tested against.",
    },
}
"""Section -> word -> meaning, one or two sentences each."""

_UNSEEN = (SHAPE, DEADLOCK, TOO_LONG)  # no rule has them: they are not in reports

CAUSES: Mapping[str, str] = {
    label: cause.meaning for label, cause in causes.CAUSES.items() if label not in _UNSEEN
}
"""Cause -> what it means, one sentence."""

TERMS: Mapping[str, str] = {
    **CAUSES,
    **{word: text for words in SECTIONS.values() for word, text in words.items()},
}
"""Every cause and every word; ``race`` is both, and means the word."""


def look_up(word: str) -> dict[str, str]:
    """Entries whose name has ``word`` in it, whatever its case; an exact match alone."""
    wanted = word.casefold()
    exact = {name: text for name, text in TERMS.items() if name.casefold() == wanted}
    return exact or {name: text for name, text in TERMS.items() if wanted in name.casefold()}


def glossary_page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for title, words in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(f"**{word}**: {meaning}") for word, meaning in words.items()]
        parts.append("")
    parts.append("## Causes\n\nWhat exactly is checked: [the catalogue of rules](rules.md).\n")
    parts += [_entry(f"`{cause}`: {meaning}") for cause, meaning in CAUSES.items()]
    return "\n".join(parts) + "\n"


def _entry(text: str) -> str:
    return fill(text, 100, initial_indent="* ", subsequent_indent="  ", break_on_hyphens=False)


_INTRODUCTION = """\
# Glossary

Generated from `vtacsp/glossary.py` by `python -m vtacsp.glossary docs/glossary.md`; do not edit.
`vtacsp glossary WORD` prints an entry.
"""

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(glossary_page(), encoding="utf-8")
