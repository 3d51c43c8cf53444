"""The code blocks of a page of documentation, run as they are printed, in order, in one process.

A comment in the line before a block says where it runs when that is not here::

    <!-- ci: NAME -->            .ci/run executes it, in a fresh environment
    <!-- run: STAGE, REASON -->  the tests of a stage do: autotvm, metaschedule; never: nobody
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
STAGES = ("autotvm", "metaschedule", "never")
_BLOCK = re.compile(r"(?:<!-- ([^\n]*?) -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Snippet:
    """A block in ``sh`` or ``python``; ``where`` is empty when it runs here."""

    language: str
    code: str
    where: str
    reason: str


def snippets(page: Path) -> list[Snippet]:
    """The blocks of a page that are commands or Python, in order."""
    found = []
    for comment, language, code in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in ("sh", "python"):
            kind, _, rest = comment.partition(": ")
            where, _, reason = rest.partition(", ") if kind == "run" else (kind, "", rest)
            found.append(Snippet(language, code, where, reason))
    return found


def run(page: Path, folder: Path, stage: str = "") -> int:
    """Run the blocks of a page that run here; how many there were.

    Python blocks share their names; commands stop at the first that fails.  With a ``stage``, its
    blocks run too, and the commands, which run without any stage, do not: what the Python needs of
    them has to be in the folder.
    """
    parts = [
        "import subprocess",
        'def sh(code): subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)',
    ]
    wanted = [
        snippet
        for snippet in snippets(page)
        if snippet.where in ("", stage) and (snippet.language == "python" or not stage)
    ]
    for snippet in wanted:
        code = snippet.code
        parts.append(code if snippet.language == "python" else f"sh({code!r})")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(parts)],
        cwd=folder,
        # vtacsp is the command of the Python that runs the tests
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{page.name}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return len(wanted)
