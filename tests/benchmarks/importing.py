"""A model imported here and into today's TVM, in turns: the table of ``docs/networks.md``.

``python tests/benchmarks/importing.py PYTHON [ROUNDS [MODEL.onnx]]`` with the interpreter of an
environment that has ``apache-tvm`` and ``onnx``.  Every measurement has a process of its own; what
is counted begins when both packages are imported: reading the file, and making of it what the
package works with, for the first time in a process and again.  Here that is every node placed and
every layer ready to be searched, and then every feasible program of every layer is simulated; there
it is a Relax module.  Compiled code is in its cache.  Seconds are those of the processor, of one
thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

OURS = """
import json, sys, time
import onnx
from vtacsp.network import load_network, solve
from vtacsp.timing.simulator import compile_simulator
compile_simulator()
begin = time.process_time()
network = load_network(sys.argv[1])
imported = time.process_time()
load_network(sys.argv[1])
again = time.process_time()
answer = solve(network)
solved = time.process_time()
print(json.dumps({"import": imported - begin, "again": again - imported, "solve": solved - again,
                  "layers": len(network.layers), "nodes": len(network.nodes),
                  "programs": sum(len(x.space) for x in answer.layers),
                  "cycles": answer.cycles}))
"""
THEIRS = """
import json, sys, time
import onnx, tvm
from tvm.relax.frontend.onnx import from_onnx
begin = time.process_time()
module = from_onnx(onnx.load(sys.argv[1]))
imported = time.process_time()
from_onnx(onnx.load(sys.argv[1]))
again = time.process_time()
print(json.dumps({"import": imported - begin, "again": again - imported, "version": tvm.__version__,
                  "functions": len(module.functions)}))
"""


def light() -> Path:
    """A model that is here already: a test of the ``onnx`` package."""
    import onnx

    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return folder / "light_resnet50.onnx"


def measured(python: str, code: str, model: Path, cache: str) -> dict[str, float]:
    """What a process of its own says; ``cache`` has the byte code of modules."""
    own = {"OMP_NUM_THREADS": "1", "TVM_NUM_THREADS": "1", "PYTHONPYCACHEPREFIX": cache}
    there = {key: v for key, v in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [python, "-c", code, str(model)], capture_output=True, text=True, env={**there, **own}
    )
    if done.returncode:
        sys.exit(f"{python}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(python: str, rounds: int = 5, model: Path | None = None) -> None:
    """Measure in turns and print a table."""
    model = model or light()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as cache:
        for counted in (False, *[True] * rounds):  # the first round fills the caches
            here = measured(sys.executable, OURS, model, cache)
            there = measured(python, THEIRS, model, cache)
            if counted:
                ours.append(here)
                theirs.append(there)

    def middle(rows: list[dict[str, float]], key: str) -> float:
        return median(row[key] for row in rows)

    print(f"{model.name}, {rounds} rounds in turns, medians of CPU seconds (least to most)")
    for name, rows, key in (
        ("vtacsp: import", ours, "import"),
        ("vtacsp: import again", ours, "again"),
        ("vtacsp: solve", ours, "solve"),
        (f"TVM {theirs[0]['version']}: import", theirs, "import"),
        ("TVM: import again", theirs, "again"),
    ):
        values = sorted(row[key] for row in rows)
        print(f"{name:28} {median(values):8.3f} ({values[0]:.3f} to {values[-1]:.3f})")
    for key in ("import", "again"):
        ratio = middle(ours, key) / middle(theirs, key)
        print(f"{key}: ours takes {ratio:.2f} times as long as TVM's")
    ratio = (middle(ours, "import") + middle(ours, "solve")) / middle(theirs, "import")
    print(f"import and solve take {ratio:.0f} times as long as TVM's import")
    print({key: ours[0][key] for key in ("layers", "nodes", "programs", "cycles")})


if __name__ == "__main__":
    words = sys.argv[1:]
    if not 1 <= len(words) <= 3:
        sys.exit(__doc__)
    main(words[0], *map(int, words[1:2]), *map(Path, words[2:]))
