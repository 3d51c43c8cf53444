"""Where a page comes from: version, date, command and seed, for its footer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape

from vtacsp.version import __version__

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """What made a page: the ``command`` as typed, quoted for a shell; empty from Python.

    ``seed`` is None where nothing is drawn at random.
    """

    made: datetime
    command: str = ""
    seed: int | None = None
    version: str = __version__

    @classmethod
    def now(cls, command: str = "", seed: int | None = None) -> Origin:
        """A page that is made at this moment."""
        return cls(datetime.now(timezone.utc), command, seed)

    def html(self) -> str:
        """The line of the footer."""
        # file names need not be text
        typed = self.command.encode("utf-8", "backslashreplace").decode("utf-8")
        by = f"<code>{escape(typed)}</code>" if typed else "made from Python"
        seed = "no seed: nothing is random" if self.seed is None else f"seed {self.seed}"
        date = f"{self.made:%Y-%m-%d %H:%M %Z}"
        return " · ".join((f"vtacsp {escape(self.version)}", date, by, seed))
