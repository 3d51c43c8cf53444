"""Whether the installed TVM has AutoTVM."""

from __future__ import annotations

from importlib.util import find_spec

from vtacsp.errors import MissingDependencyError

__all__ = ["LAST_AUTOTVM", "require_autotvm"]

LAST_AUTOTVM = "0.19"
"""The last TVM release with ``tvm.autotvm``."""


def require_autotvm() -> None:
    """Import ``tvm.autotvm``, or raise the one error that says what is wrong.

    Raises :class:`~vtacsp.errors.MissingDependencyError` when TVM is missing, has no
    AutoTVM any more, or cannot be imported.
    """
    if find_spec("tvm") is None:
        raise MissingDependencyError(
            f"vtacsp.autotvm needs TVM {LAST_AUTOTVM} or older, and no TVM is installed"
        )
    try:
        import tvm

        version = getattr(tvm, "__version__", "of an unknown version")
        if find_spec("tvm.autotvm") is None:
            raise MissingDependencyError(
                f"vtacsp.autotvm needs TVM {LAST_AUTOTVM} or older, the last with AutoTVM; "
                f"installed is {version}, for which there is vtacsp.metaschedule"
            )
        import tvm.autotvm
    except MissingDependencyError:
        raise
    except Exception as error:  # a library that is missing, numpy 2 with an old TVM, ...
        raise MissingDependencyError(
            f"vtacsp.autotvm needs TVM {LAST_AUTOTVM} or older; the installed one cannot be "
            f"imported: {type(error).__name__}: {error}"
        ) from error
