"""The examples run, and print what they promise."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.support import ROOT

EXAMPLES = ROOT / "examples"
PROMISES = {
    "codesign_layer.py": "24 machines, of which 3 are the front",
    "codesign_network.py": "the certificate holds",
    "codesign_on_dask.py": "the same front",
    "codesign_own_cost.py": "area 633: 1,395,297 cycles on 1x16",
    "calibrate_board.py": "memory_latency: 53, between 52 and 53 (hidden: 52)",
    "feasible_configs.py": "103 of 1600 configurations run",
    "epilogues.py": "182 run under both",
    "explain_config.py": "reported first: dma_pad",
    "free_hardware.py": "machines with a configuration per layer",
    "layer_to_bundle.py": "37 instructions, 10,190 cycles",
    "metaschedule_tuning.py": "24 measurements, none failed",
    "own_measurer.py": "8 measured on pynq stand-in, 0 failed",
    "own_rule.py": "half_accumulator: 1,568 elements",
    "own_searcher.py": "HillClimber: 4.651 ms after 20 measurements",
    "tune_layer.py": "32 measured, 0 failed",
    "tune_onnx.py": "17 records, one per AutoTVM task",
    "tune_on_dask.py": "24 measured on Dask, 0 failed",
}
ELSEWHERE = {"autotvm_tune.py"}  # needs an AutoTVM: tests/autotvm/test_example.py


EXTRAS = {  # example -> (module, extra)
    "codesign_on_dask.py": ("distributed", "dask"),
    "metaschedule_tuning.py": ("tvm.s_tir", "tvm"),
    "tune_onnx.py": ("onnx", "onnx"),
    "tune_on_dask.py": ("distributed", "dask"),
}


def test_every_example_is_tested():
    known = {*PROMISES, *ELSEWHERE, "pytorch_network.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == known


def test_the_pytorch_example(tmp_path):
    """With PyTorch it runs, without it says so in one line: one of the two on every machine."""
    name = EXAMPLES / "pytorch_network.py"
    if importlib.util.find_spec("torch") is not None:
        pytest.importorskip("onnx", reason="needs the extra onnx: pip install '.[onnx]'")
        done = subprocess.run([sys.executable, name], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "10 layers on VTA: 124,924 cycles, 1.249 ms" in done.stdout
    # as if it were not there
    (tmp_path / "torch.py").write_text("raise ImportError('no torch')")
    hidden = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, name], capture_output=True, text=True, env=hidden)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "this example needs PyTorch: pip install torch onnx onnxscript\n"


@pytest.mark.parametrize("name", sorted(PROMISES))
def test_example(name):
    module, extra = EXTRAS.get(name, ("vtacsp", None))
    pytest.importorskip(module, reason=f"needs the extra {extra}: pip install '.[{extra}]'")
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert PROMISES[name] in done.stdout
