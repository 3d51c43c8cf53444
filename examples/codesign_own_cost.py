"""A cost of your own, in the language of the rules, as a budget: an area in square micrometres."""

from vtacsp import find_workloads
from vtacsp.codesign import COSTS, Cost, MachineSpace, codesign

# made up: 0.3 per bit of scratchpad, 900 per multiplier; integers only, so in thousands
area = Cost(
    "area",
    (COSTS["bytes"].value * 8 * 3 // 10 + COSTS["multipliers"].value * 900) // 1000,
    unit="1,000 square micrometres",
    meaning="scratchpads and multipliers",
    estimate=True,
)
space = MachineSpace(
    free={
        "LOG_BLOCK": range(3, 6),
        "LOG_INP_BUFF_SIZE": range(12, 16),
        "LOG_WGT_BUFF_SIZE": range(14, 18),
        "LOG_ACC_BUFF_SIZE": range(14, 18),
    }
)
front = codesign(find_workloads("resnet18.C11"), space, ["area<=1200"], [area])
for point in front.points:
    print(f"area {point.costs['area']:,}: {point.cycles:,} cycles on {point.hardware}")
