"""Report of a window of training steps: one line of the log, the progress display, and warnings."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Tensor

from vqkit.data import Batches
from vqkit.evaluation import psnr_db
from vqkit.ops import evaluating
from vqkit.training.config import TrainConfig
from vqkit.training.diagnostics.health import CodebookHealth
from vqkit.training.optim.accumulation import autocast
from vqkit.training.position import Position
from vqkit.training.record.channels import Channels
from vqkit.training.record.metrics import StepMetrics
from vqkit.training.trainable import Output, Trainable


class WindowReport:
    """What is said of the steps since the last report: means of their metrics, speed, and the codebook's health.

    Args:
        model: that is trained.
        batches: of the training.
        config: of the training.
        position: where the run stands.
        health: of the codebook.
        main: whether this is the first process, which looks at latents.

    Attributes:
        metrics: sums of the steps since the last report.
        latest: metrics of the latest step, scalars on the device.
    """

    def __init__(
        self,
        model: Trainable,
        batches: Batches,
        config: TrainConfig,
        position: Position,
        health: CodebookHealth,
        *,
        main: bool,
    ) -> None:
        self._model = model
        self._batches = batches
        self._config = config
        self._position = position
        self._health = health
        self._main = main
        self.metrics = StepMetrics(model.device)
        self._batch: Tensor | None = None
        self.latest: dict[str, Tensor] = {}
        self.start_clock()

    def start_clock(self) -> None:
        """Measure the speed from here on."""
        self._since, self._first = time.perf_counter(), self._position.step

    def add(self, x: Tensor, output: Output, more: dict[str, Tensor]) -> None:
        """Take in a step: its batch, the model's output and further numbers."""
        self._batch, self.latest = x, {"loss": output.loss.detach(), **output.metrics, **more}
        self.metrics.add(self.latest)
        self._health.add(output.indices)

    def write(self, channels: Channels, learning_rate: float) -> None:
        """Close the window: write its line, show it, and warn of what is off."""
        position, now = self._position, time.perf_counter()
        step = position.step
        rate = (step - self._first) * self._config.batch_size / max(now - self._since, 1e-9)
        values: dict[str, Any] = self.metrics.take_means()
        signal_range = self._model.signal_range
        if signal_range is not None and "mse" in values and math.isfinite(values["mse"]):
            values["psnr_db"] = psnr_db(values["mse"], signal_range[1] - signal_range[0])
        usage, warnings = self._health.close_window()
        warnings = [*warnings, *self._health.discriminators.look(values)]
        distances, more = self._look()
        values |= {
            **usage,
            "restarts": self._health.restarts,
            "learning_rate": learning_rate,
            "signals_per_second": rate,
            "seconds": position.seconds,
            **position.budget.shares(),
            "epoch": self._batches.epoch(step),
            **distances,
        }
        channels.progress.update({"step": step, **values}, position.fraction, position.seconds_left(rate))
        channels.write(step, "train", values)
        for warning in (*warnings, *more):
            channels.write(step, "warning", {"message": warning})
            channels.say(f"step {step}: {warning}", style="yellow")
        self._since, self._first = now, step

    def _look(self) -> tuple[dict[str, Any], list[str]]:
        """The look at the latents of the latest batch, in the first process, where there is time for it."""
        if not self._health.looks or self._batch is None or not self._main:
            return {}, []
        left = self._position.budget.left_to_watch(self._position.seconds)
        if left is not None and left <= 0:
            return {}, []
        few = self._batch[: max(1, len(self._batch) // 2)]
        with self._position.budget.watching(), torch.no_grad(), evaluating(self._model), autocast(self._config, few):
            return self._health.look(few, self._position.step)
