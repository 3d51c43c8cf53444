"""Tune a layer with AutoTVM's own XGBTuner: nothing infeasible is measured, no board is needed.

Needs a TVM with AutoTVM (0.19 or older), see docs/autotvm.md.
"""

import tempfile
from pathlib import Path

from tvm import autotvm
from tvm.autotvm.tuner import XGBTuner

import vtacsp
from vtacsp.autotvm import create_task, measure_option, prune, seed

(layer,) = vtacsp.find_workloads("resnet18.C10")
# or a task that autotvm.task.extract_from_program found: its target names the machine
task = create_task(layer, vtacsp.VTAConfig())

space = prune(task)
print(f"{task.name}: {len(space)} of {len(space.knob_space)} configurations run")

tuner = XGBTuner(task, feature_type="knob")
seed(tuner, 16, "diverse")  # measured first

with tempfile.TemporaryDirectory() as folder:
    log = str(Path(folder) / "c10.log")
    tuner.tune(96, measure_option(), callbacks=[autotvm.callback.log_to_file(log)])
    records = list(autotvm.record.load_from_file(log))

failed = sum(result.error_no != 0 for _, result in records)
print(f"{len(records)} measured, {failed} failed")
print(f"best: {tuner.best_config}, {tuner.best_flops / 1e9:.1f} GOPS")
