"""Leave the scratchpad sizes free: the smallest change that helps, one machine for a network."""

import vtacsp

layers = vtacsp.suite("resnet18")

# the smallest change of hardware that gives one layer 110 feasible configurations
tight = vtacsp.VTAConfig().replace(LOG_ACC_BUFF_SIZE=13, LOG_WGT_BUFF_SIZE=16)
print(vtacsp.advise(layers[0], tight))
print(vtacsp.advise(layers[0], tight, at_least=110))

# every machine with one of these sizes, shared by all ten layers: counted, not listed
machines = vtacsp.HardwareSpace(
    LOG_INP_BUFF_SIZE=range(12, 20),
    LOG_WGT_BUFF_SIZE=range(14, 22),
    LOG_ACC_BUFF_SIZE=range(13, 21),
)
joint = vtacsp.compile_network(layers, machines)
print(f"{joint.count():,} machines with a configuration per layer")
point = joint.sample(1, seed=0)[0]
print("one of them:", point.hardware, *point.configs[:2], "...", sep="\n  ")
