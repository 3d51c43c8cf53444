"""``vtacsp advise --faster`` and ``--smallest``: what a change of hardware does to cycles."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vtacsp.cli.codesign import freed
from vtacsp.cli.layers import NOTHING_FEASIBLE
from vtacsp.cli.output import Row, emit, write
from vtacsp.cli.terminal import printable
from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import TimingModel

__all__ = ["advise_faster", "advise_smallest", "check_alone"]


def advise_faster(
    network: str,
    layers: Sequence[Workload],
    hardware: VTAConfig,
    timing: TimingModel,
    percent: float,
    ranges: Sequence[str],
    form: str,
    output: str | None,
) -> None:
    """The smallest change of hardware that makes the network so much faster."""
    from vtacsp.codesign.advice import faster
    from vtacsp.codesign.machines import KEYS

    answer = faster(layers, hardware, timing, percent=percent, free=freed(ranges) or None)
    if form == "table":
        write(printable(f"{network}: {answer}\n"), output)
    else:
        row: Row = {
            "network": network,
            "possible": int(answer.sizes is not None),
            "cycles_now": answer.now,
            "target": answer.target,
            "cycles": answer.cycles,
            "steps": answer.steps if answer.sizes is not None else None,
            **{key.lower(): (answer.sizes or {}).get(key) for key in KEYS},
        }
        emit([row], list(row), form, output)
    if answer.sizes is None:
        sys.exit(NOTHING_FEASIBLE)


def advise_smallest(
    network: str,
    layers: Sequence[Workload],
    hardware: VTAConfig,
    timing: TimingModel,
    word: str,
    percent: float,
    form: str,
    output: str | None,
) -> None:
    """How small a size may be before the network gets slower than so much."""
    from vtacsp.codesign.advice import key_of, smaller

    answer = smaller(layers, hardware, timing, key=key_of(word), percent=percent)
    rows: list[Row] = []
    for size, cycles in sorted(answer.cycles.items(), reverse=True):
        slower = None if cycles is None else cycles / answer.now - 1
        within = answer.least <= size
        rows.append({"key": answer.key, "size": size, "cycles": cycles, "slower": slower,
                     "within": within})  # fmt: skip
    title = f"{network}: {answer}"
    emit(rows, list(rows[0]), form, output, printable(title))


def check_alone(others: bool) -> None:
    """Raise when another question is asked too."""
    if others:
        raise SpaceError(
            "--faster, --smallest and questions about what is feasible (--index, --knob, "
            "--at-least) are different questions: ask one"
        )
