"""What the tests inside MetaSchedule share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet():
    """MetaSchedule cannot set up a logger that has handlers without a name, like pytest's."""
    logger = logging.getLogger("tvm.s_tir.meta_schedule")
    logger.setLevel(logging.ERROR)
    yield
    logger.handlers.clear()
    logger.propagate = True  # pytest hangs its handlers on loggers that do not propagate
