"""The layers of a command, one after the other: what is done of them is kept, whatever ends it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vtacsp.cli.progress import stages
from vtacsp.cli.terminal import say
from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.rules.rule import Rule
from vtacsp.space.feasible import FeasibleSpace, compile

__all__ = ["NOTHING_FEASIBLE", "Done", "compile_all", "each", "exit_infeasible", "nothing_packed"]

NOTHING_FEASIBLE = 3

A = TypeVar("A")
B = TypeVar("B")


@dataclass
class Done(Generic[B]):
    """Results of :func:`each` by layer, in order; ``total`` is how many layers were asked for."""

    total: int
    results: list[B] = field(default_factory=list)
    interrupted: bool = False

    def end(self, feasible: bool = True) -> None:
        """End the command, when everything is printed, with the exit code that says why."""
        if self.interrupted:
            raise KeyboardInterrupt(f"interrupted: {len(self.results)} of {self.total} layers done")
        if not feasible:
            exit_infeasible()


def each(
    layers: Sequence[A],
    work: Callable[[A], B],
    refused: Callable[[A, WorkloadError], B] | None = None,
) -> Done[B]:
    """Do something for every layer, with a progress bar.

    A layer that cannot be packed is named on standard error and left out, or is what ``refused``
    makes of it; the error of the only layer is raised, and one of its own when nothing is left.
    Ctrl-C ends the work and keeps what is done; :meth:`Done.end` raises it again.
    """
    done: Done[B] = Done(len(layers))
    try:
        with stages({"layers": len(layers)}) as advance:
            for layer in layers:
                try:
                    done.results.append(work(layer))
                except WorkloadError as refusal:
                    if refused is not None:
                        done.results.append(refused(layer, refusal))
                    elif len(layers) == 1:
                        raise
                    else:
                        say(f"skipped: {refusal}")
                advance()
    except KeyboardInterrupt:
        done.interrupted = True
        if not done.results:
            done.end()
    if not done.results:
        raise nothing_packed()
    return done


def compile_all(
    layers: Sequence[Workload],
    hardware: VTAConfig,
    stack_only: bool = False,
    rules: Sequence[Rule] = (),
) -> Done[FeasibleSpace]:
    """The compiled space of every layer that can be packed, under ``rules`` too."""
    return each(layers, lambda layer: compile(layer, hardware, rules, stack_only=stack_only))


def nothing_packed() -> WorkloadError:
    """What a command ends with when the machine can pack none of its layers: bad input."""
    return WorkloadError("no layer can be packed for this machine")


def exit_infeasible() -> None:
    """End the command with its own exit code: no layer has a feasible configuration."""
    say("nothing is feasible; `vtacsp advise` says what would help")
    sys.exit(NOTHING_FEASIBLE)
