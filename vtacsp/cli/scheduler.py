"""A Dask scheduler to search on: ``--scheduler tcp://HOST:PORT``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from vtacsp.errors import VtacspError, shortened

__all__ = ["scheduler_client"]

PATIENCE = 10  # seconds for the scheduler to answer


@contextmanager
def scheduler_client(address: str | None) -> Iterator[Any]:
    """A client of a scheduler, None without an address.

    Raises :class:`~vtacsp.errors.VtacspError` without Dask, and when nobody answers.
    """
    if address is None:
        yield None
        return
    if not address.startswith(("tcp://", "tls://")):
        raise VtacspError(f"--scheduler {shortened(address)} is not tcp://HOST:PORT")
    try:
        distributed: Any = import_module("dask.distributed")
    except ImportError:
        raise VtacspError("--scheduler needs Dask: pip install 'vtacsp[dask]'") from None
    try:
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as failure:
        raise VtacspError(
            f"--scheduler {shortened(address)} does not answer: {shortened(str(failure))}"
        ) from None
    try:
        if not client.scheduler_info().get("workers"):
            raise VtacspError(f"--scheduler {shortened(address)} has no workers")
        yield client
    finally:
        client.close()
