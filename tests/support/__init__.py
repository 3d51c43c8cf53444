"""What several test modules share: independent witnesses, strategies, data."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
