"""Recalibration: passes over training batches before the first step and after the last one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vqkit.data import Batches, Source
from vqkit.data.views.crops import training_size
from vqkit.priors.labels import picked
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes
from vqkit.training.evaluators.watch import Watch
from vqkit.training.trainable import Trainable

_FINISHING_ITEMS, _FINISHING_CROPS = 8192, 16
_FINISHING_VALUES, _LEAST_FINISHING_ITEMS = 1 << 22, 256
"""What is fitted last is a few numbers: items of many values (seconds of sound) are enough when they hold so many."""
_SAYS_FROM = 8192
_MOST_VALUES = 1 << 26
_PREPARATION_ITEMS = 1024
_PREPARATION_VALUES = 1 << 23
"""At most so many items, and values, to measure the signal's scale and find the first codebook; more for many codes."""
_RECALIBRATING, _FITTING = 0.3, 0.3
"""Of the time that is left when it is limited; the rest is for the evaluation."""


@dataclass(frozen=True)
class Ending:
    """The work between the last training step and the evaluation, within its time.

    Attributes:
        training: the training items.
        config: of the run.
        processes: this one's place; all of them take the same number of batches.
        watch: the time for the whole ending.
    """

    training: Source
    config: TrainConfig
    processes: Processes
    watch: Watch

    def recalibrate_codebook(self, final: Trainable, step: int, say: Callable[[str], None]) -> None:
        """Show the finished encoder more training batches, this process's share of each, for its codebook."""
        if not final.recalibration_positions:
            return
        config = self.config
        (one,) = some_batches(self.training, config, 1, final.device)
        start = time.perf_counter()
        positions = config.batch_size * final.count_positions(one[:1])
        count = -(-final.recalibration_positions // positions)
        seconds = (time.perf_counter() - start) * config.batch_size
        if count * config.batch_size > _SAYS_FROM and not self.watch.limited:
            say(f"the codebook is recalibrated on {count * config.batch_size:,} more signals")
        with self._batches() as batches:
            final.recalibrate_codebook(self._in_time(batches, step, count, _RECALIBRATING, seconds))

    def fit_last(self, final: Trainable) -> None:
        """Fit what the loss did not, on some training batches."""
        enough = max(_LEAST_FINISHING_ITEMS, _FINISHING_VALUES // _values(self.training, self.config))
        items = min(_FINISHING_ITEMS, _FINISHING_CROPS * len(self.training), enough)
        if not self.watch.limited:
            final.finish(self._with_conditions(final, items))
            return
        (one,) = self._with_conditions(final, 1)
        start = time.perf_counter()
        final.finishing_pass(one)
        fitting = int(_FITTING * self.watch.left / max(time.perf_counter() - start, 1e-6))
        (fitting,) = (int(each) for each in self.processes.agree([float(fitting)]))
        items = min(items, max(1, fitting) * self.config.batch_size)
        final.finish(self._with_conditions(final, items))

    def _with_conditions(self, final: Trainable, items: int) -> list[Any]:
        """The first training batches, with the conditions of their items for a model that has some."""
        labels, batches = final.conditions_of(self.training), self._batches(whole=True)
        with batches:
            return [
                final.with_condition(batch, *picked(labels, batches.indices(step), final.device))
                for step, batch in enumerate(some_batches(self.training, self.config, items, final.device))
            ]

    def _in_time(self, batches: Batches, step: int, count: int, share: float, seconds: float) -> Iterator[Tensor]:
        """Batches from this step on, as many as there is time for, one at least; all alike on all processes."""
        start, limit = time.perf_counter(), share * self.watch.left
        for number in range(count):
            passed = time.perf_counter() - start
            (over,) = self.processes.agree([float(passed + (passed / number if number else seconds) > limit)])
            if number and over:
                return
            yield batches.batch(step + number)

    def _batches(self, *, whole: bool = False) -> Batches:
        """The training batches as the loop draws them: this process's share of each, or all of it."""
        return Batches(
            self.training,
            self.config.batch_size,
            crop=self.config.crop,
            flip=self.config.flip,
            gain=self.config.gain,
            seed=self.config.seed,
            rank=0 if whole else self.processes.rank,
            world=1 if whole else self.processes.world,
        )


def prepare(model: Trainable, training: Source, config: TrainConfig) -> None:
    """Show the model some of the first training batches, whole (not this process's share)."""
    wanted, positions = model.preparation_positions, 1
    if wanted:
        (first,) = some_batches(training, config, 1, model.device)
        positions = model.count_positions(first[:1])
    few = min(_PREPARATION_ITEMS, _PREPARATION_VALUES // _values(training, config))
    items = max(few, min(wanted // max(positions, 1), 16 * _PREPARATION_ITEMS))
    model.prepare(some_batches(training, config, items, model.device))


def some_batches(training: Source, config: TrainConfig, items: int, device: torch.device) -> list[Tensor]:
    """The first training batches, as the loop draws them, until they hold so many items."""
    with Batches(
        training, config.batch_size, crop=config.crop, flip=config.flip, gain=config.gain, seed=config.seed
    ) as batches:
        within = min(items, max(1, _MOST_VALUES // _values(training, config)))
        if config.crop is None:  # without crops a second pass shows nothing new
            within = min(within, len(training))
        count = max(1, -(-within // config.batch_size))
        return [batches.batch(step).to(device) for step in range(count)]


def _values(training: Source, config: TrainConfig) -> int:
    """Numbers in one training item."""
    size = training_size(training, config.crop) or training.item_size(0)
    return training.channels * math.prod(size)
