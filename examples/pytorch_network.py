"""A PyTorch model to the network's answer: torch.onnx.export, then every layer solved.

``pip install torch onnx onnxscript`` first; vtacsp itself does not need torch.
"""

import sys
import tempfile
from pathlib import Path

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("this example needs PyTorch: pip install torch onnx onnxscript")

from vtacsp.network import Options, load_network, solve


class Block(nn.Module):
    """A block of a residual network: two convolutions, and the input or a third one added."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first = nn.BatchNorm2d(outputs)
        self.two = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        """What an image becomes."""
        y = torch.relu(self.first(self.one(x)))
        return torch.relu(self.second(self.two(y)) + self.shortcut(x))


model = nn.Sequential(
    nn.Conv2d(3, 16, 3, padding=1),
    nn.ReLU(),
    Block(16, 16, 1),
    Block(16, 32, 2),
    Block(32, 64, 2),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
).eval()

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "small_resnet.onnx"
    torch.onnx.export(model, (torch.zeros(1, 3, 32, 32),), str(path), verbose=False)
    # the first layer with several kernel taps in one block, residuals in the layers before them
    network = load_network(str(path), options=Options(first_layer="fold", residual="fuse"))

answer = solve(network)  # every configuration that can run, of every distinct layer
for layer in answer.layers:
    work, run = layer.layer.workload, layer.result
    print(f"{layer.layer.name} ({work.op}, x {layer.layer.count}): {layer.cycles:,} cycles, "
          f"GEMM core busy {run.gemm_utilisation:.0%}, bound by {run.bound}")  # fmt: skip
for node in network.host:
    print(f"{node.name} ({node.op}) on the host: {node.why}")
total = answer.total()
print(f"{total['count']} layers on VTA: {total['cycles']:,} cycles, {total['ms']:.3f} ms")
