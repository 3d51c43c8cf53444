"""Which scratchpads are best for one layer: every machine of the ranges, with a proof."""

from vtacsp import find_workloads
from vtacsp.codesign import MachineSpace, codesign

layer = find_workloads("resnet18.C8")
space = MachineSpace(free={"LOG_INP_BUFF_SIZE": range(12, 17), "LOG_WGT_BUFF_SIZE": range(14, 19)})
front = codesign(layer, space)
print(front.proof)
for point in front.points:
    sizes = ", ".join(f"{key} {point.sizes[key]}" for key in space.free)
    print(f"{point.costs['kib']} KiB: {point.cycles:,} cycles with {sizes}")
