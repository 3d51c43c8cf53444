"""``vtacsp advise --faster`` and ``--smallest``: what a change of hardware does to cycles."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vtacsp.cli.buildable import say_limits
from vtacsp.cli.codesign import described, freed
from vtacsp.cli.layers import NOTHING_FEASIBLE
from vtacsp.cli.options import load_hardware
from vtacsp.cli.output import Row, check_outputs, print_rows, write
from vtacsp.cli.preset import timing_model
from vtacsp.cli.terminal import printable
from vtacsp.errors import SpaceError, VtacspError

if TYPE_CHECKING:
    from vtacsp.codesign.side_by_side import Machine
    from vtacsp.codesign.workloads import CountedLayer

__all__ = ["advise_cycles", "check_alone"]


def advise_cycles(
    network: str,
    hardware_file: str | None,
    preset: str,
    overrides: Sequence[str],
    percent: float | None,
    size: str | None,
    slower: float | None,
    ranges: Sequence[str],
    form: str,
    output: str | None,
) -> None:
    """Answer ``--faster`` (``percent``) or ``--smallest`` (``size``), whichever is given."""
    from vtacsp.codesign.workloads import load_counted

    if network == hardware_file == "-":
        raise VtacspError("NETWORK and --hardware cannot both be read from standard input")
    machine = described(load_hardware(hardware_file), timing_model(preset, overrides), overrides)
    layers = load_counted("/dev/stdin" if network == "-" else network, machine.hardware)
    check_outputs(output)
    if percent is not None:
        _faster(network, layers, machine, percent, ranges, form, output)
        return
    if ranges:
        raise SpaceError("--free goes with --faster; with --smallest all other sizes stay")
    assert size is not None
    _smallest(network, layers, machine, size, 1.0 if slower is None else slower, form, output)


def _faster(
    network: str,
    layers: Sequence[CountedLayer],
    machine: Machine,
    percent: float,
    ranges: Sequence[str],
    form: str,
    output: str | None,
) -> None:
    """The smallest change of hardware that makes the network so much faster."""
    from vtacsp.codesign.machines import KEYS, MachineSpace
    from vtacsp.codesign.upgrade import faster

    answer = faster(
        layers, machine.hardware, machine.timing, percent=percent, free=freed(ranges) or None
    )
    if answer.sizes is not None:
        then = MachineSpace(
            machine.hardware, {key: [size] for key, size in answer.sizes.items()}, machine.timing
        )
        say_limits(then.hardware(0), then.timing_of(0))
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
        print_rows([row], list(row), form, output)
    if answer.sizes is None:
        sys.exit(NOTHING_FEASIBLE)


def _smallest(
    network: str,
    layers: Sequence[CountedLayer],
    machine: Machine,
    word: str,
    percent: float,
    form: str,
    output: str | None,
) -> None:
    """How small a size may be before the network gets slower than so much."""
    from vtacsp.codesign.upgrade import key_of, smaller

    answer = smaller(layers, machine.hardware, machine.timing, key=key_of(word), percent=percent)
    rows: list[Row] = []
    for size, cycles in sorted(answer.cycles.items(), reverse=True):
        slower = None if cycles is None else cycles / answer.now - 1
        within = answer.least <= size
        rows.append({"key": answer.key, "size": size, "cycles": cycles, "slower": slower,
                     "within": within})  # fmt: skip
    title = f"{network}: {answer}"
    print_rows(rows, list(rows[0]), form, output, printable(title))


def check_alone(others: bool) -> None:
    """Raise when another question is asked too."""
    if others:
        raise SpaceError(
            "--faster, --smallest and questions about what is feasible (--index, --knob, "
            "--at-least) are different questions: ask one"
        )
