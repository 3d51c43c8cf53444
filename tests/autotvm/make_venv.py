"""Make a virtual environment that holds a real AutoTVM (TVM 0.17), vtacsp and pytest.

    python tests/autotvm/make_venv.py DIRECTORY && . DIRECTORY/env.sh

No TVM with AutoTVM is left on PyPI, but the wheel of BitBLAS carries one.  It is linked against
CUDA: where a CUDA library is missing, a stub takes its place that answers "no device" to every
call, so that the CPU part loads.  A directory that is complete is left as it is.

Exit codes: 0 made, 3 it cannot be made here (the reason is printed: skip the tests), 2 usage.
"""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

WHEEL = "bitblas==0.1.0.post1"
PYTHONS = ((3, 10), (3, 12))  # vtacsp needs the first, the last numpy 1 is built for the second
# what the wheel's tvm and the tests import; TVM 0.17 reads ONNX with a module that onnx then lost
NEEDS = (
    "numpy<2", "attrs", "cloudpickle", "decorator", "ml-dtypes", "psutil", "scipy", "tornado",
    "typing-extensions", "xgboost-cpu", "onnx<1.17", "pytest", "hypothesis",
)  # fmt: skip
REPO = Path(__file__).resolve().parents[2]
NO_DEVICE = 100  # cudaErrorNoDevice, CUDA_ERROR_NO_DEVICE


class CannotMakeError(Exception):
    """Not possible on this machine; the tests are to be skipped."""


def main(directory: Path) -> None:
    directory = directory.resolve()
    stamp = directory / "complete"
    key = sha256(Path(__file__).read_bytes() + (REPO / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == key:
        return
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise CannotMakeError(f"the wheel {WHEEL} is for Linux on x86_64 only")
    shutil.rmtree(directory / "venv", ignore_errors=True)
    run(find_python(), "-m", "venv", directory / "venv")
    python = directory / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--no-deps", WHEEL, REPO)
    ours = run(
        python, "-c", "import importlib.metadata as m; print(*m.requires('vtacsp'), sep='\\n')"
    )
    needs = [line for line in ours.splitlines() if line and "extra ==" not in line]
    # one resolution of everything; xgboost-cpu is xgboost without 400 MB for GPUs
    run(*pip, *(re.sub("^xgboost(?!-)", "xgboost-cpu", need) for need in {*NEEDS, *needs}))
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    tvm = Path(site) / "bitblas" / "3rdparty" / "tvm"
    stubs = directory / "stubs"
    make_stubs(tvm / "build" / "libtvm.so", stubs)
    environment = {
        "TVM_LIBRARY_PATH": str(tvm / "build"),
        "PYTHONPATH": f"{REPO}:{tvm / 'python'}",  # the working tree before the installed copy
        "LD_LIBRARY_PATH": f"{stubs}:{tvm / 'build'}",
        "OMP_NUM_THREADS": "1",
    }
    (directory / "env.sh").write_text(
        f"export PATH={shlex.quote(str(python.parent))}:$PATH\n"
        + "".join(f"export {name}={shlex.quote(v)}\n" for name, v in environment.items())
    )
    run(python, "-c", "from tvm import autotvm", env=environment)
    stamp.write_text(key)


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Output of a command; its failure is a reason to skip."""
    try:
        done = subprocess.run(
            [str(part) for part in command], env=env, capture_output=True, text=True
        )
    except OSError as error:
        raise CannotMakeError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise CannotMakeError(
            f"`{' '.join(map(str, command))}` failed: {lines[-1] if lines else done.returncode}"
        )
    return done.stdout


def find_python() -> str:
    """A Python of a version that the wheel, numpy 1 and vtacsp all support."""
    low, high = PYTHONS
    if low <= sys.version_info[:2] <= high:
        return sys.executable
    for minor in range(high[1], low[1] - 1, -1):
        name = shutil.which(f"python3.{minor}")
        # a shim of a version manager exists without the version it stands for
        if name and not subprocess.run([name, "-c", ""], capture_output=True).returncode:
            return name
    raise CannotMakeError("there is no Python 3.10, 3.11 or 3.12")


def make_stubs(library: Path, folder: Path) -> None:
    """A stub for every CUDA library that ``library`` needs and that is not there."""
    missing = re.findall(r"(lib(?:cu|nv)\S+) => not found", run("ldd", library))
    symbols = [line.split()[-1] for line in run("nm", "-D", "-u", library).splitlines()]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for soname in missing:
        stem = soname.split(".")[0].removeprefix("lib")  # cuda, cudart, nvrtc
        prefix = {"cuda": "cu(?!da)", "cudart": "cuda"}.get(stem, stem)
        names = sorted({s.split("@")[0] for s in symbols if re.match(prefix, s)})
        source = folder / f"{stem}.c"
        source.write_text("".join(map(stub, names)))
        versions = folder / f"{stem}.map"  # the symbols carry the version of the library
        versions.write_text(f"{soname} {{ global: *; }};\n")
        flags = ("-shared", "-fPIC", f"-Wl,-soname,{soname},--version-script={versions}")
        run("gcc", *flags, source, "-o", folder / soname)


def stub(name: str) -> str:
    if name.endswith("GetErrorString"):
        return f'const char* {name}(void) {{ return "no CUDA on this machine"; }}\n'
    return f"int {name}(void) {{ return {NO_DEVICE}; }}\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]))
    except CannotMakeError as error:
        print(f"no AutoTVM here: {error}", file=sys.stderr)
        sys.exit(3)
