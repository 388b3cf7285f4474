"""Time budget of a run: the share of training steps, and of everything that only watches them.

A run of minutes ends when they are over, on any machine. The last 5 % are for what comes after the last step (the
codebook is recalibrated, scales are fitted, the final evaluation), and before that evaluations, pictures, looks at the
codebook and checkpoints get 5 %: an evaluation judges as many items as fit, or waits until there is time for it. A run
of steps does what its settings say, so that it gives the same lines of the log on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

WATCHING = 0.05
"""Of the time so far, for what watches a run while it trains."""
ENDING = 0.05
"""Of all the time, for what comes after the last step."""
_LEAST_ENDING = 5.0
"""Seconds that the end of a run may take at any rate."""
_SAVING = 0.02
"""Of the time so far, for checkpoints."""


class Budget:
    """The clock of a run.

    Args:
        minutes: of the whole run; None: a run of steps, whose watchers have all the time that they need.
    """

    def __init__(self, minutes: float | None) -> None:
        self.seconds = None if minutes is None else 60 * minutes
        self.watched = 0.0
        self.stepped = 0.0
        self._saving = 0.0

    @property
    def limited(self) -> bool:
        """True if the time is limited."""
        return self.seconds is not None

    @property
    def training_seconds(self) -> float:
        """The time for training steps in seconds, without the ending; only with a limit."""
        assert self.seconds is not None
        return (1 - ENDING) * self.seconds

    def left_to_watch(self, elapsed: float) -> float | None:
        """Seconds that watching may take now, ``elapsed`` seconds after the beginning; None: as many as it needs."""
        return None if self.seconds is None else WATCHING * elapsed - self.watched

    def left_to_end(self, elapsed: float) -> float | None:
        """Seconds for what comes after the last step; None: as many as it needs."""
        return None if self.seconds is None else max(self.seconds - elapsed, _LEAST_ENDING)

    def between_checkpoints(self, wanted: float) -> float:
        """Seconds between two checkpoints: as many as wanted, or more where writing one takes long."""
        return wanted if self.seconds is None else max(wanted, self._saving / _SAVING)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time spent within the block is watching."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.watched += time.perf_counter() - start

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time spent within the block is the writing of a checkpoint."""
        start = time.perf_counter()
        try:
            with self.watching():
                yield
        finally:
            self._saving = time.perf_counter() - start

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Time spent within the block is training."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stepped += time.perf_counter() - start

    def shares(self) -> dict[str, float]:
        """Return the seconds spent in steps and in evaluations and checkpoints, for the log and a checkpoint."""
        return {"step_seconds": self.stepped, "watching_seconds": self.watched}

    def restore(self, shares: dict[str, float]) -> None:
        """Go on from ``shares()``."""
        self.stepped, self.watched = shares.get("step_seconds", 0.0), shares.get("watching_seconds", 0.0)
