"""From a layer to a bundle that runs: its best program, its data and what they must give.

With a library of VTA's driver (``python layer_to_bundle.py libvta_fsim.so``) it is run there too.
"""

import sys
import tempfile
from pathlib import Path

import vtacsp
from vtacsp.audit import audit, load
from vtacsp.bundle import Bundle, pack
from vtacsp.bundle.run import run
from vtacsp.timing import Simulator, simulate_all

layer = vtacsp.Conv2D(
    name="mine", in_channels=32, height=14, width=14, out_channels=32, kernel=(3, 3), padding=(1, 1)
)
simulator = Simulator(vtacsp.compile(layer))
best = simulate_all(simulator)
index = int(best.space.indices[best.best])
program = simulator.program(index)

bundle = pack(program, {"kind": "template", "index": index, "config": dict(program.config)}, seed=1)
with tempfile.TemporaryDirectory() as folder:
    bundle.save(Path(folder) / "mine")
    again = Bundle.load(Path(folder) / "mine")
    for name, file in again.manifest.files.items():
        print(f"{name:12} {file.bytes:7,} bytes at address {file.address:#x}")
    print(f"{again.manifest.count} instructions, {again.manifest.cycles:,} cycles")
    clean = audit(load(Path(folder) / "mine")).clean  # also computes it, and compares
    print("the audit finds nothing" if clean else "the audit finds something")
    for library in sys.argv[1:]:
        done = run(Path(folder) / "mine", library)
        print(f"{library}: {done.bytes - done.wrong} of {done.bytes} bytes right")
# by hand: vtacsp run mine --library libvta_fsim.so, or the runner.c in the folder
