"""A layer as a network runs it: its own epilogues, and one configuration that suits all of them."""

from dataclasses import replace

import vtacsp
from vtacsp.epilogue.steps import Epilogue
from vtacsp.timing import robust

(tuned,) = vtacsp.find_workloads("resnet18.C2")  # shift right 8, min 127, max 0, cast

# what relay makes of a quantised ResNet-18
relu = Epilogue.from_list(
    [
        {"op": "add", "operand": "channel"},
        {"op": "max", "value": 0},
        {"op": "add", "value": 512},
        {"op": "shift_right", "by": 10},
        {"op": "clip", "min": -127, "max": 127},
        {"op": "cast", "dtype": "int8"},
    ]
)
plain = Epilogue(relu.steps[2:])  # the same without bias and relu
# the bound of a ReLU6 does not fit an instruction
relu6 = Epilogue.from_list(
    [
        {"op": "add", "operand": "channel"},
        {"op": "clip", "min": 0, "max": 49152},
        {"op": "shift_right", "by": 9},
        {"op": "cast", "dtype": "int8"},
    ]
)

for name, epilogue in ("tuned for", None), ("relu", relu), ("plain", plain), ("relu6", relu6):
    space = vtacsp.compile(replace(tuned, epilogue=epilogue))
    print(f"{name:9} {len(space):4} of {len(space.knob_space)} run: {space.workload.chain}")

refused = vtacsp.compile(replace(tuned, epilogue=relu6))
print(refused.explain(refused.knob_space.config(0)))

choice = robust([replace(tuned, name=n, epilogue=e) for n, e in (("relu", relu), ("plain", plain))])
print(f"{len(choice.indices)} run under both; best is {choice.best_config}")
print(f"cycles {choice.total.min():,}, {choice.price:.1%} more than the best of each")
