"""Rules of your own behave like the built-in ones everywhere."""

import vtacsp
from vtacsp.rules.symbols import h_nthread, oc_nthread

need = vtacsp.quantity("conv2d", "sram:acc", "need")
depth = vtacsp.quantity("conv2d", "sram:acc", "depth")
rules = [
    vtacsp.Rule.of(
        "half_accumulator",
        2 * need <= depth,
        "{need:,} elements are more than half of the accumulator's {depth:,}",
        need=need,
        depth=depth,
    ),
    vtacsp.Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "virtual threads are used"),
]

(workload,) = vtacsp.find_workloads("resnet18.C8")
space = vtacsp.compile(workload, rules=rules)
print(f"{len(vtacsp.compile(workload))} feasible, {len(space)} with the rules")
print(space.explain({**space[0], "tile_h": 14, "tile_w": 14, "tile_co": 8}))
print(vtacsp.statistics(space).any)
