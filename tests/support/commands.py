"""The command line, called in this process, and layers in JSON for it."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from vtacsp.cli import main

TIGHT = {"LOG_INP_BUFF_SIZE": 5, "LOG_WGT_BUFF_SIZE": 9, "LOG_ACC_BUFF_SIZE": 7}
SPATIAL = {"batch": 1, "stride": [1, 1], "bias": False}
CONV = {**SPATIAL, "op": "conv2d", "name": "<conv>", "in_channels": 32, "height": 8, "width": 8,
        "out_channels": 32, "kernel": [3, 3], "padding": [1, 1]}  # fmt: skip
DENSE = {"op": "dense", "name": "fc", "batch": 4, "in_features": 64, "out_features": 64,
         "bias": False}  # fmt: skip
THIN = {**CONV, "name": "thin", "in_channels": 3}


def run(*arguments: object, code: int = 0) -> Result:
    """A command, which has to end with this exit code, and without a traceback.

    ``tune`` ends with the template, unless it is told to go beyond it: that takes seconds.
    """
    words = [str(a) for a in arguments]
    if words[:1] == ["tune"] and not {"--free", "--no-free"} & {*words}:
        words.append("--no-free")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    if code:
        assert "Traceback" not in result.output
    return result


def tuned(*arguments: object, code: int = 0) -> Any:
    """The rows of ``vtacsp tune``."""
    return json.loads(run("tune", *arguments, "--format", "json", code=code).stdout)
