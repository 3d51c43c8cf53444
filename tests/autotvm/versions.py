"""Run the tests of this folder with the AutoTVM of other TVM releases.

    . DIRECTORY/env.sh && python tests/autotvm/versions.py TVM_GIT [TAG ...]

AutoTVM is Python.  For each tag its package is taken from a clone of TVM and put in the place of
the wheel's, on top of the wheel's library (TVM 0.17); the tests then run with it, also in
AutoTVM's worker processes.  Not part of ``.ci/run``: it needs a clone.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TAGS = tuple(f"v0.{minor}.0" for minor in range(9, 20))
OLD_XGBOOST = ("xgboost==1.5.2", "v0.12.0")  # up to this tag AutoTVM uses what xgboost has dropped


def main(clone: Path, tags: list[str]) -> int:
    spec = find_spec("tvm")
    if spec is None or spec.origin is None:
        sys.exit("there is no tvm: source the env.sh that make_venv.py writes")
    wheel = Path(spec.origin).parent
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        xgboost, last = OLD_XGBOOST
        for tag in tags:
            path = [REPO, overlay(clone, tag, wheel, folder / tag)]
            if TAGS.index(tag) <= TAGS.index(last):
                if not (folder / "xgboost").is_dir():
                    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target")
                    subprocess.run([*pip, folder / "xgboost", xgboost], check=True)
                path.append(folder / "xgboost")
            env = {**os.environ, "PYTHONPATH": ":".join(map(str, path))}
            print(f"== {tag}", flush=True)
            tests = ("-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider")
            command = [sys.executable, *tests, REPO / "tests" / "autotvm"]
            failed += bool(subprocess.run(command, env=env, cwd=REPO, check=False).returncode)
    return failed


def overlay(clone: Path, tag: str, wheel: Path, folder: Path) -> Path:
    """A tvm package that is the wheel's but for autotvm."""
    archive = ["git", "-C", clone, "archive", f"refs/tags/{tag}", "python/tvm/autotvm"]
    done = subprocess.run(archive, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    tvm = folder / "python" / "tvm"
    for part in wheel.iterdir():
        if part.name != "autotvm":
            (tvm / part.name).symlink_to(part)
    return tvm.parent


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] or list(TAGS)))
