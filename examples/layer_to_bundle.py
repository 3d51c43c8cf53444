"""From a layer to a bundle: its best program, its data and what they must give, in a folder."""

import tempfile
from pathlib import Path

import vtacsp
from vtacsp.bundle import Bundle, pack
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
# on VTA's driver: vtacsp run mine --library libvta_fsim.so, or the runner.c in the folder
