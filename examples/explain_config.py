"""Why a configuration does not run, and what would have to change."""

import vtacsp

(workload,) = vtacsp.find_workloads("resnet18.C8")
space = vtacsp.compile(workload)

explanation = space.explain(space.knob_space.config(700))
print(explanation)

print("\nreported first:", explanation.cause)
for violation in explanation.violations:
    print(f"- {violation.rule}: {dict(violation.quantities)} {violation.remedy}")
