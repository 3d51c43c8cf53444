"""``vtacsp audit``: what is wrong with an instruction stream, of whatever compiler."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from vtacsp.cli.options import load_hardware
from vtacsp.cli.output import Row, check_outputs, print_rows, rows_as_text, write, wrote
from vtacsp.cli.preset import timing_options
from vtacsp.cli.terminal import printable
from vtacsp.cli.typed import typed_command
from vtacsp.errors import VtacspError

if TYPE_CHECKING:
    from vtacsp.audit import Audit

__all__ = ["COMMANDS"]

FOUND = 3  # something is wrong with the program
COLUMNS = ("kind", "severity", "instruction", "other", "memory", "element", "count", "text")
TABLE = ("kind", "at", "times", "what")
SHOWN = 20  # findings of a table for people

hardware_option = click.option(
    "--hardware",
    "hardware_file",
    metavar="FILE",
    help="The machine that a stream is for, a vta_config.json; the default one when not given. "
    "A bundle knows its own.",
)


@click.command()
@click.argument("file", metavar="FILE|DIR")
@hardware_option
@click.option(
    "--micro-ops", metavar="FILE", help="Micro-ops of a stream; uop.bin beside it when not given."
)
@click.option(
    "--held",
    type=click.IntRange(0, 255),
    default=0,
    metavar="N",
    help="Tokens that the program before left from store to compute.",
)
@timing_options
@click.option(
    "--format", "form", type=click.Choice(("table", "csv", "json")), default="table",
    show_default=True,
)  # fmt: skip
@click.option("--output", metavar="FILE", help="Write there instead of printing.")
@click.option("--html", metavar="FILE", help="Also write a page with the timeline.")
@click.option("--list", "listed", is_flag=True, help="Also print the instructions, decoded.")
@click.option("--all", "everything", is_flag=True, help="All findings, not the first 20.")
def audit(
    file: str,
    hardware_file: str | None,
    micro_ops: str | None,
    held: int,
    preset: str,
    overrides: tuple[str, ...],
    form: str,
    output: str | None,
    html: str | None,
    listed: bool,
    everything: bool,
) -> None:
    """What is wrong with a program: order, bounds, reads of what nothing wrote, lost time.

    FILE is a stream (instructions.bin with uop.bin beside it), or a dump of VTA's runtime; DIR is a
    bundle of `vtacsp export`, or holds such a stream.  Exit codes: 0 clean, 2 it is none of these,
    3 something is wrong.  Notes, which cannot change the result, are no reason for 3.
    """
    from dataclasses import replace

    from vtacsp.audit import audit as examine
    from vtacsp.audit import load
    from vtacsp.timing.model import PRESETS

    if listed and form != "table":
        raise VtacspError("--list goes with --format table; `--format json` has findings only")
    timing = PRESETS[preset].override(overrides)
    hardware = None if hardware_file is None else load_hardware(hardware_file)
    check_outputs(output, html)
    target = load(file, hardware, micro_ops)
    if held:
        target = replace(target, held=(0, 0, held, 0))
    result = examine(target, timing)
    rows = [finding.to_dict() for finding in result.findings]
    if form == "json":
        write(json.dumps(result.to_dict(), indent=1) + "\n", output)
    elif form == "csv":
        print_rows(rows, COLUMNS, form, output)
    else:
        text = _text(result, everything, to_file=output is not None)
        write(text + ("\n".join(_listing(result)) + "\n" if listed else ""), output)
    if html is not None:
        from vtacsp.report.audit_page import write_audit_html
        from vtacsp.report.origin import Origin

        write_audit_html(html, result, Origin.now(typed_command()))
    wrote(html)
    if not result.clean:
        raise click.exceptions.Exit(FOUND)


def _text(result: Audit, everything: bool, *, to_file: bool) -> str:
    lines = [*_headline(result), ""]
    rows = [_row(finding) for finding in result.findings]
    shown = rows if everything else rows[:SHOWN]
    if rows:
        if len(shown) < len(rows):
            lines.insert(-1, f"the first {SHOWN} findings of {len(rows):,}; --all shows them all")
        head = printable("\n".join(lines[:-1]))
        return f"{head}\n{rows_as_text(shown, TABLE, 'table', to_file=to_file)}"
    return printable("\n".join(lines[:-1])) + "\n"


def _row(finding: Any) -> Row:
    return {
        "kind": f"{finding.kind}{'' if finding.severity == 'error' else ' (note)'}",
        "at": "" if finding.instruction is None else str(finding.instruction),
        "times": finding.count,
        "what": finding.text,
    }


def _headline(result: Audit) -> list[str]:
    target, timing = result.target, result.timing
    counts = ", ".join(f"{n:,} {name}" for name, n in target.counts.items() if n)
    errors, notes = len(result.errors), len(result.findings) - len(result.errors)
    verdict = "clean" if result.clean else _some(errors, "{} error")
    lines = [
        f"{target.name}: {verdict}{_some(notes, ', {} note') if notes else ''}",
        f"machine {target.hardware.model}; {len(target.instructions):,} instructions ({counts}), "
        f"{_some(len(target.micro_ops), '{} micro-op')}, {len(target.launches):,} "
        f"{'launch' if len(target.launches) == 1 else 'launches'}",
        f"{result.stored:,} bytes stored; {result.doubtful:,} of them depend on an order that no "
        "token fixes, or on what was there before",
    ]
    if timing is not None:
        lines.append(
            f"{timing.cycles:,} cycles, bound by {timing.bound}; GEMM core "
            f"{timing.gemm_utilisation:.1%}, memory reads {timing.read_utilisation:.1%}, writes "
            f"{timing.write_utilisation:.1%}"
        )
        if result.limit is not None:
            saved = 1 - result.limit / timing.cycles
            lines.append(
                f"no program of this layer needs fewer than {result.limit:,} cycles: a better "
                f"schedule saves {saved:.1%} at most"
            )
        lines.append(f"timing: {timing.timing.note}")
    return lines + [f"assumed: {remark}" for remark in target.remarks]


def _some(number: int, words: str) -> str:
    return words.format(f"{number:,}") + ("" if number == 1 else "s")


def _listing(result: Audit) -> list[str]:
    from vtacsp.program.listing import disassemble

    return [printable(text) for text in disassemble(result.program)]


COMMANDS = (audit,)
