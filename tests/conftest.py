"""Golden data and strategies that several tests share."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "vtacsp",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("vtacsp")


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as in a pipe: workers of pytest-xdist set COLUMNS to 80."""
    monkeypatch.delenv("COLUMNS", raising=False)


# minutes in all: what starts last must not be what takes longest
LONG = ("test_snippets", "test_cli_free", "test_cli_streams", "test_tune_initial", "test_races")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, the rest in its order."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker that has nothing left takes over what waits for another one."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files of this package"
    )
