"""Position of a run: the steps and seconds that are done, and the part of the whole that they are."""

from __future__ import annotations

from typing import Any

from vqkit.training.budget import Budget
from vqkit.training.config import TrainConfig


class Position:
    """Where a run stands, by steps or by the clock.

    Args:
        config: of the training: its steps, or its minutes.

    Attributes:
        step: optimizer steps done.
        seconds: trained.
        budget: the time of the whole run.
        last_step: where the run ends before its length is over; None: it has that length.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.budget = Budget(config.minutes)
        self.step = 0
        self.seconds = 0.0
        self.last_step: int | None = None
        self._steps = config.steps
        self._batch_size = config.batch_size

    @property
    def fraction(self) -> float:
        """The part of the run that is done."""
        if self._steps is not None:
            return self.step / self._steps
        return min(self.seconds / self.budget.training_seconds, 1.0)

    @property
    def over(self) -> bool:
        """True after the last step."""
        return self.fraction >= 1 or (self.last_step is not None and self.step >= self.last_step)

    def seconds_left(self, signals_per_second: float) -> float:
        """Return how long the steps to the last one take, at this speed."""
        if self._steps is not None:
            return (self._steps - self.step) * self._batch_size / max(signals_per_second, 1e-9)
        return self.budget.training_seconds - self.seconds

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint, which has the step beside them."""
        return {"seconds": self.seconds, **self.budget.shares()}

    def restore(self, step: int, state: dict[str, Any]) -> None:
        """Go to the state of a checkpoint."""
        self.step, self.seconds = step, state["seconds"]
        self.budget.restore(state)
