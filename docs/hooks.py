"""What ``mkdocs build`` does to pages: links that leave the documentation become plain text."""

from __future__ import annotations

import re
from typing import Any

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """``[the example](../examples/x.py)`` leads somewhere in the repository, not on the site."""
    return OUTSIDE.sub(r"\1", markdown)
