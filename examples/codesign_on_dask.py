"""The same on a Dask cluster, and continued: what is simulated is kept in a file."""

import sys
import tempfile
from pathlib import Path

from vtacsp import find_workloads
from vtacsp.codesign import MachineSpace, Store, circumstances, codesign

try:
    from dask.distributed import Client
except ImportError:
    sys.exit("this example needs Dask: pip install '.[dask]'")

if __name__ == "__main__":  # workers import this file
    space = MachineSpace(
        free={
            "LOG_BLOCK": range(4, 6),
            "LOG_INP_BUFF_SIZE": range(12, 16),
            "LOG_WGT_BUFF_SIZE": range(15, 18),
            "LOG_ACC_BUFF_SIZE": range(14, 18),
        }
    )
    network = find_workloads("resnet18")[:4]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        # Client("tcp://scheduler:8786") is a cluster; this one is made of threads, for the example
        with Client(
            processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None
        ) as dask:
            store = Store(path, circumstances(space))
            first = codesign(network, space, executor=dask.get_executor(), store=store)
            store.close()
        store = Store(path, circumstances(space))  # another day, in one process
        again = codesign(network, space, store=store)
        store.close()
    print(f"{first.proof.programs} programs simulated on Dask, {again.proof.programs} more later")
    print("the same front" if first.points == again.points else "another front")
