"""Evaluations along the way of a training: when they are due, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from vqkit.training.checkpoints.best import BestModel
from vqkit.training.distributed import Processes
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch
from vqkit.training.interrupt import StoppedError, StopRequest
from vqkit.training.position import Position
from vqkit.training.record.channels import Channels
from vqkit.training.record.headline import describe
from vqkit.training.trainable import Trainable

_SLOW_SECONDS, _SLOW_SHARE = 30.0, 0.25
"""Time of evaluations and checkpoints, and its share of all time, from which on it is told."""


class EvaluationSchedule:
    """Evaluations of the average of the weights, evenly spread over a run.

    Args:
        evaluator: of the held-out items.
        average: the model that is judged.
        position: where the run stands.
        evaluations: of the whole run, the last one after the last step included.
        processes: all of them evaluate together.
        best: keeps the model of the best evaluation; None: none is kept.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        average: Trainable,
        position: Position,
        evaluations: int,
        processes: Processes,
        best: BestModel | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._average = average
        self._position = position
        self._evaluations = evaluations
        self._processes = processes
        self._best = best
        self._done = 0
        self._took = 0.0
        self._slow_told = False

    def due(self, since: float) -> bool:
        """Whether it is time for an evaluation, and there is time for one, ``since`` seconds after the last look."""
        if not self._done < self._wanted() < self._evaluations:
            return False
        left = self._position.budget.left_to_watch(self._position.seconds + since)
        return left is None or left > self._took

    def evaluate(self, channels: Channels, stop: StopRequest) -> None:
        """Judge the average; when somebody asks to stop meanwhile it is due again, when the run goes on."""
        position, budget = self._position, self._position.budget
        watched = budget.watched
        watch = Watch(budget.left_to_watch(position.seconds), stop=stop, processes=self._processes)
        try:
            with budget.watching():
                evaluation = self._evaluator.validate(self._average, position.step, watch)
        except StoppedError:
            return
        self._done = self._wanted()
        if evaluation is not None:
            values, picture = evaluation
            if self._best is not None:
                with budget.watching():
                    self._best.consider(values, position.step, channels)
            self._report(values, picture, channels)
        self._took = budget.watched - watched

    def _report(self, values: dict[str, Any], picture: Image.Image | None, channels: Channels) -> None:
        """Write the line of an evaluation, show it, and tell callbacks; in the first process."""
        if channels.log is None:
            return
        step = self._position.step
        channels.write(step, "validation", values)
        if picture is not None:
            channels.tell("on_picture", step, "reconstructions", picture)
            for sound in self._evaluator.sounds:
                channels.tell("on_sound", step, *sound)
        channels.tell("on_evaluation", step, values)
        channels.say(f"step {step}: validation {describe(values)}")
        self._tell_slow(channels)

    def _tell_slow(self, channels: Channels) -> None:
        """A run of steps evaluates what it is told to; where that takes a good part of the time, say so once."""
        budget = self._position.budget
        both = budget.watched + budget.stepped
        if budget.limited or self._slow_told or budget.watched < max(_SLOW_SECONDS, _SLOW_SHARE * both):
            return
        self._slow_told = True
        channels.say(
            f"evaluations and checkpoints take {budget.watched / both:.0%} of the time so far; fewer "
            "evaluation_items, or evaluations, take less",
            style="yellow",
        )

    def state(self) -> dict[str, Any]:
        """Return JSON values for a checkpoint."""
        best = {} if self._best is None else {"best": self._best.state()}
        return {"evaluations_done": self._done, **best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to the state of a checkpoint, after the position has; fewer are done when the run was made longer."""
        self._done = min(state["evaluations_done"], self._wanted())
        if self._best is not None:
            self._best.restore(state.get("best"))

    def _wanted(self) -> int:
        """How many should be done by now."""
        return int(self._position.fraction * self._evaluations)
