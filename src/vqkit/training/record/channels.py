"""Channels of a run: the person who watches it, its log, and callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vqkit.training.callbacks import Callbacks
from vqkit.training.record.log import RunLog
from vqkit.training.record.progress import Progress


@dataclass(frozen=True)
class Channels:
    """Where a run says what happens.

    Attributes:
        progress: what a person sees.
        log: of the first process; None in the others.
        watchers: callbacks of the first process; None in the others.
    """

    progress: Progress
    log: RunLog | None = None
    watchers: Callbacks | None = None

    @property
    def say(self) -> Callable[..., None]:
        """Show a line that stays: ``Progress.say``."""
        return self.progress.say

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Write a line into the log."""
        if self.log is not None:
            self.log.write(step, kind, values)

    def tell(self, event: str, *arguments: Any) -> None:
        """Tell callbacks of an event."""
        if self.watchers is not None:
            self.watchers.tell(event, *arguments)

    def listen(self, event: str) -> bool:
        """Return True if any callback has something to do at an event."""
        return self.watchers is not None and self.watchers.listen(event)

    def close(self) -> None:
        """Let the callbacks go, after the last event."""
        if self.watchers is not None:
            self.watchers.release()
