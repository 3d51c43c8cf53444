"""Tune a layer with TVM's MetaSchedule; needs the extra: pip install '.[tvm]'."""

import logging
import tempfile

import vtacsp
from vtacsp import metaschedule
from vtacsp.tune.initial import diverse

logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)

(layer,) = vtacsp.find_workloads("resnet18.C8")
space = vtacsp.compile(layer)  # on the default machine
with tempfile.TemporaryDirectory() as folder:
    result = metaschedule.tune(space, work_dir=folder, trials=24, batch=8, initial=diverse)
    records = result.database.get_all_tuning_records()

failed = sum(float(record.run_secs[0]) > 1e9 for record in records)  # MetaSchedule writes 1e10
print(f"{len(records)} measurements, {failed or 'none'} failed")
print(f"best: {result.cycles:,} cycles with {result.config}")

# a record is a trace, and a trace is a configuration
configs = [metaschedule.config_of(record.trace) for record in records]
print("all feasible:", all(config in space for config in configs))
