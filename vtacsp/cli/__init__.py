"""The command line: ``vtacsp COMMAND WORKLOAD``.

Exit codes: 0 fine, 2 bad input (one message on standard error), 3 nothing feasible, or wrong,
130 interrupted (what was finished is printed, what was measured is in the log).
"""

from __future__ import annotations

import click

from vtacsp.cli import (
    audits,
    bundles,
    calibrate,
    codesign,
    compare,
    configurations,
    cycles,
    embed,
    logs,
    machine,
    network,
    programs,
    reasons,
    report,
    spaces,
    study,
    tuning,
    words,
)
from vtacsp.cli.root import BAD_INPUT, Root

__all__ = ["BAD_INPUT", "main"]


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vtacsp")
def main() -> None:
    """Exact feasible schedule spaces for the VTA tensor accelerator.

    WORKLOAD is a suite (resnet18, resnet50, mobilenet, mobilenet_v2, mlperf_tiny, dcgan,
    deepbench), a suite member (resnet18.C8), an ONNX model, a network.json, a JSON file with one
    workload or a list of them, or - for JSON on standard input.
    """


NOUNS = (
    report,
    network,
    configurations,
    spaces,
    embed,
    reasons,
    machine,
    programs,
    cycles,
    bundles,
    audits,
    tuning,
    codesign,
    compare,
    logs,
    calibrate,
    study,
    words,
)

for command in (command for noun in NOUNS for command in noun.COMMANDS):
    main.add_command(command)
