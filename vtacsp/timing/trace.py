"""A schedule as a trace that Perfetto and Chrome show (``ui.perfetto.dev``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtacsp.files import write_text
from vtacsp.program.listing import line
from vtacsp.timing.breakdown import KINDS, MODULES, TimingResult, kinds, spans

__all__ = ["trace", "write_trace"]

_LANES = ("fetch", *MODULES, "memory")

Event = dict[str, Any]


def trace(result: TimingResult) -> dict[str, Any]:
    """Events of the Chrome trace format: a lane per module, one for reads of the memory.

    Slices are instructions, and what a module waited for between them; times are in
    microseconds at the clock of the timing model.

    >>> result = Simulator(Dense(in_features=32, out_features=32)).run(0)
    >>> len(trace(result)["traceEvents"]) > len(result.program)
    True
    """
    events: list[Event] = [
        {"ph": "M", "pid": 0, "name": "process_name", "args": {"name": _title(result)}}
    ]
    for lane, name in enumerate(_LANES):
        events.append(
            {"ph": "M", "pid": 0, "tid": lane, "name": "thread_name", "args": {"name": name}}
        )
        events.append(
            {"ph": "M", "pid": 0, "tid": lane, "name": "thread_sort_index",
             "args": {"sort_index": lane}}
        )  # fmt: skip
    events.extend(_slices(result))
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"cycles": result.cycles, "timing": result.timing.note},
    }


def write_trace(result: TimingResult, path: str | Path) -> None:
    """Write the trace as JSON, whole or not at all.

    Raises :class:`~vtacsp.errors.VtacspError` when the file cannot be written.

    >>> write_trace(Simulator(Dense(in_features=32, out_features=32)).run(0), "trace.json")
    """
    write_text(path, json.dumps(trace(result)))


def _title(result: TimingResult) -> str:
    program = result.program
    knobs = " ".join(f"{name}={value}" for name, value in program.config.items())
    return f"{program.workload.name}: {knobs}"


def _slices(result: TimingResult) -> Iterator[Event]:
    program = result.program
    kind = kinds(program)
    microseconds = 1e6 / result.timing.clock_hz
    begun = 0

    def event(lane: int, name: str, start: int, end: int, **args: Any) -> Event:
        return {
            "ph": "X",
            "pid": 0,
            "tid": lane,
            "name": name,
            "ts": round((begun + start) * microseconds, 3),
            "dur": round((end - start) * microseconds, 3),
            "args": {**args, "cycles": end - start},
        }

    for segment, launch in zip(program.segments, result.launches, strict=True):
        for granted, arrived, last, count in launch.fetches.tolist():
            yield event(0, "read instructions", granted, arrived + 1, instructions=count)
            yield event(0, "dispatch", arrived + 1, last + 1, instructions=count)
        for number, module in enumerate(MODULES):
            for i, idle, start, end, waited_for in spans(launch, module):
                at = segment.start + i
                if waited_for:
                    yield event(number + 1, f"waits for {waited_for}", idle, start)
                text = " ".join(line(program, at).split()[1:])
                yield event(number + 1, KINDS[kind[at]], start, end, instruction=at, listing=text)
        lane = len(_LANES) - 1
        for i, granted, first, last in launch.reads.tolist():
            name = "instructions" if i < 0 else KINDS[kind[segment.start + i]]
            args = {} if i < 0 else {"instruction": segment.start + i}
            yield event(lane, name, first, last + 1, granted=granted, **args)
        begun += int(launch.cycles)
