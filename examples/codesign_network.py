"""Which machine is best for a network within a budget; the proof is written and checked."""

import json
import sys
import tempfile
from pathlib import Path

from vtacsp import find_workloads
from vtacsp.codesign import MachineSpace, certificate, check, codesign

# a layer of a network runs several times: ResNet-18 has three convolutions like C8
counts = {"resnet18.C2": 4, "resnet18.C5": 3, "resnet18.C8": 3, "resnet18.C11": 3}
network = [(layer, counts.get(layer.name, 1)) for layer in find_workloads("resnet18")]
space = MachineSpace(
    free={
        "LOG_BLOCK": range(4, 6),
        "LOG_BUS_WIDTH": range(6, 8),  # log2 of bits: 8 and 16 bytes
        "LOG_UOP_BUFF_SIZE": [12, 13],
        "LOG_INP_BUFF_SIZE": range(13, 16),
        "LOG_WGT_BUFF_SIZE": range(15, 18),
        "LOG_ACC_BUFF_SIZE": range(15, 18),
    }
)
front = codesign(network, space, ["kib<=300", "multipliers<=256"])
print(front.proof)
best = min(front.points, key=lambda point: point.cycles)
print(f"the fastest: {best.hardware}, bus of {best.timing.bus_bytes} bytes, {best.cycles:,} cycles")
with tempfile.TemporaryDirectory() as folder:
    proof = Path(folder) / "proof.json"
    proof.write_text(json.dumps(certificate(front)))
    result = check(json.loads(proof.read_text()))
print("\n".join(result.done))
print("the certificate holds" if result.holds else sys.exit("\n".join(result.wrong)))
