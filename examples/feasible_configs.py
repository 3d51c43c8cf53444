"""Generate configurations that run: count, sample, enumerate one layer."""

import vtacsp

(workload,) = vtacsp.find_workloads("resnet18.C8")
space = vtacsp.compile(workload)  # default hardware

print(
    f"{space.count()} of {len(space.knob_space)} configurations run ({space.programs()} programs)"
)
print("first:", space[0])

# a first batch for a tuner: spread over the feasible set, the same every time
for config in space.sample(5, seed=1, method="diverse"):
    index = space.knob_space.index(config)
    print(f"AutoTVM index {index:4d}, rank {space.rank(config):3d}:", config)

# the next step of an annealing move, feasible by construction
print("neighbours of the first:", len(space.neighbours(space[0])))
