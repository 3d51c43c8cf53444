"""The page of an audit: what was found, the timeline of the program, its instructions."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import islice
from pathlib import Path

from vtacsp.audit.audit import Audit
from vtacsp.audit.findings import ERROR, KINDS
from vtacsp.files import write_text
from vtacsp.program.listing import disassemble
from vtacsp.report.gantt import draw_timeline
from vtacsp.report.origin import Origin
from vtacsp.report.overview import number_class
from vtacsp.report.page import header, page

__all__ = ["render", "write_audit_html"]

MOST = 2000  # findings and instructions of a page
_DOT = "display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.5em"
WRONG, REMARK = "#c4472b", "#8a7440"


def write_audit_html(path: str | Path, result: Audit, origin: Origin | None = None) -> None:
    """Write the page of an audit to a file, whole or not at all."""
    write_text(path, render(result, origin))


def render(result: Audit, origin: Origin | None = None) -> str:
    """The page as text."""
    body = f"{_findings(result)}{_time(result)}{_assumed(result)}{_listing(result)}"
    name = f"{result.target.name}: audit"
    return page(name, _header(result), _keys(), body, origin or Origin.now())


def _header(result: Audit) -> str:
    target, timing = result.target, result.timing
    notes = len(result.findings) - len(result.errors)
    tiles = [
        ("clean", "verdict") if result.clean else (f"{len(result.errors):,}", _errors(result)),
        (f"{notes:,}", "note" if notes == 1 else "notes"),
        (f"{len(target.instructions):,}", "instructions"),
    ]
    if timing is not None:
        tiles.append((f"{timing.cycles:,}", "cycles"))
        if result.limit is not None:
            tiles.append((f"{1 - result.limit / timing.cycles:.1%}", "a better schedule may save"))
    return header(target.name, f"Audit of a program for {target.hardware.model}", tiles)


def _errors(result: Audit) -> str:
    return "error" if len(result.errors) == 1 else "errors"


def _keys() -> str:
    marks = ((WRONG, "error: a defect"), (REMARK, "note: cannot change the result"))
    shown = "".join(
        f'<span class="mark"><i style="background:{colour}"></i>{label}</span>'
        for colour, label in marks
    )
    return f'<div class="keys"><b>Findings</b><div>{shown}</div></div>'


def _findings(result: Audit) -> str:
    if not result.findings:
        return "<section><h2>Findings</h2><p>None: no order that matters is left open, nothing is "\
               "read before it is written, everything is in its bounds.</p></section>"  # fmt: skip
    head = "".join(
        f"<th{number_class(narrow)}>{name}</th>" if number else f"<th>{name}</th>"
        for name, number, narrow in (
            ("Kind", False, True), ("Instruction", True, True), ("Times", True, False),
            ("What", False, True),
        )
    )  # fmt: skip
    rows = "".join(_rows(result))
    more = len(result.findings) - MOST
    rest = f'<p class="note">{more:,} more are not shown.</p>' if more > 0 else ""
    used = {finding.kind for finding in result.findings}
    words = "".join(
        f"<div><dt>{escape(kind)}</dt><dd>{escape(KINDS[kind][1])}</dd></div>"
        for kind in KINDS
        if kind in used
    )
    return (
        f"<section><h2>Findings</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
        f'</table>{rest}<div class="words"><dl>{words}</dl></div></section>'
    )


def _rows(result: Audit) -> Iterator[str]:
    for finding in islice(result.findings, MOST):
        colour = WRONG if finding.severity == ERROR else REMARK
        at = "" if finding.instruction is None else f"{finding.instruction:,}"
        yield (
            f'<tr><td style="white-space:nowrap"><i style="background:{colour};{_DOT}"></i>'
            f"{escape(finding.kind)}</td>"
            f"<td{number_class(True)}>{at}</td><td{number_class(False)}>{finding.count:,}</td>"
            f"<td>{escape(finding.text)}</td></tr>"
        )


def _time(result: Audit) -> str:
    timing = result.timing
    if timing is None:
        return "<section><h2>Time</h2><p>A program with such errors has no time.</p></section>"
    bound = (
        f"{timing.cycles:,} cycles, bound by {timing.bound}: GEMM core "
        f"{timing.gemm_utilisation:.1%}, memory reads {timing.read_utilisation:.1%}, writes "
        f"{timing.write_utilisation:.1%} of the time. Timing: {timing.timing.note}."
    )
    if result.limit is not None:
        bound += f" No program of this layer needs fewer than {result.limit:,} cycles."
    return (
        f'<section><h2>Time</h2><p>{escape(bound)}</p><div class="search"><div>'
        f"{draw_timeline(timing)}</div></div></section>"
    )


def _assumed(result: Audit) -> str:
    if not result.target.remarks:
        return ""
    items = "".join(f"<li>{escape(remark)}</li>" for remark in result.target.remarks)
    return f"<section><h2>Assumed</h2><ul>{items}</ul></section>"


def _listing(result: Audit) -> str:
    lines = "\n".join(islice(disassemble(result.program), MOST))
    total = len(result.target.instructions)
    title = f"{total:,} instructions" + (f", {MOST:,} lines shown" if total > MOST else "")
    return (
        f"<section><h2>Program</h2><details><summary>{title}</summary>"
        f'<pre style="overflow-x:auto">{escape(lines)}</pre></details></section>'
    )
