"""``vtacsp hardware``: a machine, described by a ``vta_config.json``."""

from __future__ import annotations

import json
import os

import click

from vtacsp.cli.options import load_hardware, output_options
from vtacsp.cli.output import Row, check_outputs, rows_as_text, write, wrote
from vtacsp.cli.terminal import printable, say
from vtacsp.errors import HardwareError
from vtacsp.files import read_text
from vtacsp.machine.configuration import BUFFERS, VTAConfig

__all__ = ["COMMANDS"]

COLUMNS = ("scratchpad", "bytes", "element_bytes", "depth")


@click.command()
@click.argument("file", required=False)
@output_options
@click.option(
    "--write",
    "target",
    metavar="FILE",
    help="Write the description there, to edit: of the default machine when FILE is not given.",
)
@click.option("--force", is_flag=True, help="With --write: replace a file that says otherwise.")
def hardware(
    file: str | None, form: str, output: str | None, target: str | None, force: bool
) -> None:
    """What follows from a vta_config.json: scratchpad depths, elements, instruction fields."""
    from vtacsp.codesign.side_by_side import described_machine
    from vtacsp.machine.design import design_changes, design_hazards, design_limits

    machine = load_hardware(file)
    check_outputs(output, target)
    if target is not None:
        _write_description(machine, target, force)
        return
    rows: list[Row] = [
        {
            "scratchpad": name,
            "bytes": machine.bytes(name),
            "element_bytes": machine.element_bytes(name),
            "depth": machine.depth(name),
        }
        for name in (*BUFFERS, "out")
    ]
    title = f"{machine.target}: {machine}"
    text = rows_as_text(rows, COLUMNS, form, title, to_file=output is not None)
    if form == "table":
        fields = ", ".join(f"{name} {bits}" for name, bits in machine.isa_fields.items())
        text += printable(f"instruction fields (bits): {fields}\n")
        described = described_machine(machine)
        about = (machine, described.timing)
        lines = (*design_limits(*about), *design_changes(*about), *design_hazards(*about))
        for line in lines:
            text += printable(
                f"the Chisel design, bus {described.timing.bus_bytes} bytes: {line}\n"
            )
    write(text, output)


def _write_description(machine: VTAConfig, target: str, force: bool) -> None:
    text = json.dumps(machine.to_dict(), indent=2) + "\n"
    if os.path.isfile(target) and not force:
        if read_text(target, HardwareError) != text:
            raise HardwareError(f"{target} is there and says otherwise; --force replaces it")
        say(f"{target} is there and says the same")
        return
    write(text, target)
    wrote(target)


COMMANDS = (hardware,)
