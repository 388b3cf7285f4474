"""The one training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from vqkit import host
from vqkit.data import Batches
from vqkit.errors import ConfigError, ModelFolderError, TrainingStopped
from vqkit.evaluation import psnr_db
from vqkit.objectives import Objective
from vqkit.ops import evaluating
from vqkit.priors.labels import picked
from vqkit.training.budget import Budget
from vqkit.training.callbacks import Callbacks
from vqkit.training.checkpoints import checkpoint, state
from vqkit.training.config import TrainConfig
from vqkit.training.diagnostics.codebook import Doctor
from vqkit.training.diagnostics.collapse import CodebookMonitor
from vqkit.training.diagnostics.nonfinite import NonFiniteCheck
from vqkit.training.distributed import Processes, wrap
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch
from vqkit.training.interrupt import StoppedError, StopRequest
from vqkit.training.optim.accumulation import backward
from vqkit.training.optim.average import WeightAverage
from vqkit.training.optim.frozen import Frozen
from vqkit.training.optim.groups import set_learning_rate
from vqkit.training.optim.objective import ObjectiveOptimizers
from vqkit.training.optim.optimizer import clip_gradients, compile_networks, learning_rate_factor, make_optimizer
from vqkit.training.record.headline import describe
from vqkit.training.record.log import RunLog
from vqkit.training.record.metrics import StepMetrics
from vqkit.training.record.progress import Progress
from vqkit.training.record.run import CHECKPOINTS, Run
from vqkit.training.trainable import Output, Trainable

_CLOCK_START = 5.0  # seconds before the first estimate of the time left counts


class Loop:
    """Trains a model in place and keeps its run folder.

    The state of a run is the model, the average of its weights, the optimizer (and objectives' own parameters and
    optimizers), the random generator, the step, the seconds trained and the codebook monitor; batches depend on the
    step alone. Restoring these continues bit for bit.
    """

    def __init__(
        self,
        model: Trainable,
        shadow: Trainable,
        batches: Batches,
        config: TrainConfig,
        processes: Processes,
        judge: Evaluator,
        run: Run,
        frozen: Frozen | None = None,
        objectives: Sequence[Objective] = (),
    ) -> None:
        if config.batch_size // processes.world % config.accumulate:
            raise ConfigError(
                f"accumulate={config.accumulate}: each of {processes.world} processes has "
                f"{config.batch_size // processes.world} signals of a batch; give a divisor of that"
            )
        self.config = config
        self.processes = processes
        self.model = model
        self.judge = judge
        self.run = run
        self.frozen = frozen or Frozen()
        self.budget = Budget(config.minutes)
        self.batches = batches
        self.labels = model.conditions_of(batches.source)
        self.step = 0
        self.learning_rate = config.learning_rate
        self.seconds = 0.0
        self.images_seen = 0
        quantizer = model.monitored_quantizer
        self.monitor = CodebookMonitor(quantizer.codebook_size, quantizer.num_codebooks) if quantizer else None
        looks = quantizer is not None and (processes.world == 1 or config.parallel == "ddp")
        self.doctor = Doctor(quantizer.codebook_size, quantizer.num_codebooks) if quantizer and looks else None
        self._latest: Tensor | None = None
        self.callable = wrap(model, shadow, processes, config.parallel, unused=bool(objectives))
        self.optimizer = make_optimizer(model, config)
        self.finite = NonFiniteCheck(model, config, run.path)
        self.own = ObjectiveOptimizers(objectives, config.clip_norm, processes)
        self.average = WeightAverage(model, shadow, config.average_decay)
        self.metrics = StepMetrics()
        self._evaluations_done = 0
        self._evaluation_seconds = 0.0
        self._slow_told = False
        self._log: RunLog | None = None
        self._watchers: Callbacks | None = None
        self._last_saved: int | None = None

    def restore(self, saved: checkpoint.Checkpoint) -> int:
        """Go to a checkpoint; returns the size that the log had there.

        Raises:
            ModelFolderError: it is of another model, or of no run.
        """
        try:
            return self._restored(saved, state.checked(saved.values))
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ModelFolderError(
                f"checkpoint {saved.path} is not of this run ({' '.join(str(error).split())[:300]}); remove it to go "
                "on from an older one, or start a new run"
            ) from error

    def _restored(self, saved: checkpoint.Checkpoint, loop: dict[str, Any]) -> int:
        state.restore(saved.tensors, self.model, self.average.shadow, self.optimizer)
        self.own.restore(saved.tensors)
        self.step, self.seconds = saved.step, loop["seconds"]
        self.budget.restore(loop)
        wanted = int(self.progress_fraction() * self.config.evaluations)
        self._evaluations_done = min(loop["evaluations_done"], wanted)  # fewer when the run was made longer
        self._last_saved = saved.step
        self.metrics.restore(loop, self.model.device)
        if self.monitor is not None:
            self.monitor.restore(loop["monitor"])
        if self.doctor is not None and loop.get("doctor") is not None:
            self.doctor.restore(loop["doctor"])
        if loop["restarts"] is not None:
            self.model.monitored_quantizer.restarts = loop["restarts"]
        return max(0, int(loop["log_size"]))

    def begin(self, log: RunLog | None, progress: Progress, watchers: Callbacks | None = None) -> None:
        """Write the first checkpoint of a new run, so that whatever kills it later can be resumed."""
        self._log, self._watchers = log, watchers
        self.finite.log = None if log is None else log.write
        self._save(progress, last=True)

    def go(self, progress: Progress, stop: StopRequest) -> bool:
        """Train to the end; returns False when somebody asked to stop before it.

        Raises:
            TrainingStopped: NaN or Inf, or a last checkpoint that cannot be written.
        """
        host.keep_freed_memory()
        if self.config.compile:
            compile_networks(self.model)
        last = saved = time.perf_counter()
        speed_from, speed_step = last, self.step
        with self.batches:
            while True:
                elapsed = time.perf_counter() - last
                last += elapsed
                due = last - saved >= self.budget.between_checkpoints(self.config.checkpoint_seconds)
                self.seconds, saving, stopping, watching = self.processes.agree(
                    [self.seconds + elapsed, float(due), float(stop.asked), float(self._evaluation_due(elapsed))]
                )
                if self.progress_fraction() >= 1:
                    break
                if watching and not stopping:
                    self._evaluate(progress, stop)
                    speed_from, speed_step = time.perf_counter(), self.step
                    continue
                if stopping or saving:
                    self._save(progress, last=bool(stopping))
                    saved = time.perf_counter()
                if stopping:
                    return False
                if not self._step_or_stop(stop):
                    return False
                if self.step % self.config.log_every == 0:
                    now = time.perf_counter()
                    rate = (self.step - speed_step) * self.config.batch_size / max(now - speed_from, 1e-9)
                    self._report(progress, rate)
                    speed_from, speed_step = now, self.step
        self.finite.check_now(self.step)
        self._save(progress, last=True)
        return True

    def progress_fraction(self) -> float:
        """The part of the run that is done, by steps or by the clock."""
        if self.config.steps is not None:
            return self.step / self.config.steps
        return min(self.seconds / self.budget.training_seconds, 1.0)

    def _step_or_stop(self, stop: StopRequest) -> bool:
        """One step; False where somebody asked to stop before its end and the last checkpoint holds all before it."""
        with self.budget.stepping():
            if self._last_saved != self.step:
                self.one_step()
                return True
            try:
                with stop.at_once():  # the first step may compile, or allocate, for long
                    self.one_step()
            except StoppedError:
                self.step = self._last_saved
                return False
            return True

    def one_step(self) -> None:
        """One optimiser step: batch, forward, backward, clipping, check for NaN, update, average of the weights."""
        config = self.config
        x = self.batches.batch(self.step)
        if self.model.device.type == "cuda":
            x = x.pin_memory()
        x = self.model.read_batch(x.to(self.model.device, non_blocking=True))
        warmup = config.warmup_steps if config.steps is None else min(config.warmup_steps, config.steps // 10)
        factor = learning_rate_factor(self.step, self.progress_fraction(), warmup)
        self.learning_rate = config.learning_rate * factor
        set_learning_rate(self.optimizer.param_groups, self.learning_rate)
        self.frozen.train(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        output = backward(self._forward, self.model, x, self._condition(), config.accumulate)
        norm = clip_gradients(self.model.parameters(), config.clip_norm)
        own_losses, own_norm = self.own.backward(output.decoded, self._autocast)
        self.finite.check(self.step, x, output, norm if own_norm is None else norm + own_norm)
        self.optimizer.step()
        self.own.step(factor)
        self.average.update(self.step)
        self._latest = x
        self.step += 1
        self.metrics.add({"loss": output.loss.detach(), **output.metrics, **own_losses, "gradient_norm": norm.detach()})
        if self.monitor is not None and output.indices is not None:
            self.monitor.add(output.indices.detach())

    def _forward(self, x: Tensor, *condition: Tensor) -> Output:
        with self._autocast():
            output: Output = self.callable(x, *condition)
        return output

    def _condition(self) -> tuple[Tensor, ...]:
        """The classes of this step's items, for a prior that has them; they depend on the step alone, as the items."""
        if self.labels is None:
            return ()
        return picked(self.labels, self.batches.indices(self.step), self.model.device)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.config.precision == "bfloat16":
            return torch.autocast(self.model.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _restarts(self) -> int | None:
        return getattr(self.model.monitored_quantizer, "restarts", None)

    def _report(self, progress: Progress, rate: float) -> None:
        means = self.metrics.take_means()
        warnings: list[str] = []
        values: dict[str, Any] = {"step": self.step, **means}
        signal_range = self.model.signal_range
        if signal_range is not None and "mse" in means and math.isfinite(means["mse"]):
            values["psnr_db"] = psnr_db(means["mse"], signal_range[1] - signal_range[0])
        if self.monitor is not None:
            warning = self.monitor.close_window()
            warnings += [warning] if warning else []
            values |= {"usage": self.monitor.usage, "perplexity": self.monitor.perplexity}
        found, more = self._look()
        warnings += more
        values |= {
            "restarts": self._restarts(),
            "learning_rate": self.learning_rate,
            "signals_per_second": rate,
            "seconds": self.seconds,
            **self.budget.shares(),
            "epoch": self.batches.epoch(self.step),
            **found,
        }
        fraction = self.progress_fraction()
        if self.config.steps is not None:
            left = (self.config.steps - self.step) * self.config.batch_size / max(rate, 1e-9)
        else:
            left = self.budget.training_seconds - self.seconds
        progress.update(values, fraction, left)
        if self.processes.main and self._log is not None:
            self._log.write(self.step, "train", {name: v for name, v in values.items() if name != "step"})
            for each in warnings:
                self._log.write(self.step, "warning", {"message": each})
        for each in warnings:
            progress.say(f"step {self.step}: {each}", style="yellow")

    def _look(self) -> tuple[dict[str, Any], list[str]]:
        """The doctor's look at the latest batch, in the first process."""
        model: Any = self.model
        if self.doctor is None or self._latest is None or not self.processes.main:
            return {}, []
        left = self.budget.left_to_watch(self.seconds)
        if left is not None and left <= 0:
            return {}, []
        with self.budget.watching(), torch.no_grad(), evaluating(model), self._autocast():
            latents = model.latents(self._latest[: max(1, len(self._latest) // 2)])
            return self.doctor.look(model.monitored_quantizer, latents, self.step)

    def _evaluation_due(self, since: float) -> bool:
        """Whether it is time for an evaluation, and there is time for one, ``since`` seconds after the last look."""
        wanted = int(self.progress_fraction() * self.config.evaluations)
        if not self._evaluations_done < wanted < self.config.evaluations:
            return False
        left = self.budget.left_to_watch(self.seconds + since)
        return left is None or left > self._evaluation_seconds

    def _evaluate(self, progress: Progress, stop: StopRequest) -> None:
        """Judge the average; when somebody asks to stop meanwhile it is due again, when the run goes on."""
        start = time.perf_counter()
        watch = Watch(self.budget.left_to_watch(self.seconds), stop=stop, processes=self.processes)
        try:
            with self.budget.watching():
                found = self.judge.validate(self.average.shadow, self.step, watch)
        except StoppedError:
            return
        self._evaluations_done = int(self.progress_fraction() * self.config.evaluations)
        self._evaluation_seconds = time.perf_counter() - start
        if found is None or not self.processes.main or self._log is None:
            return
        values, picture = found
        self._log.write(self.step, "validation", values)
        if picture is not None and self._watchers is not None:
            self._watchers.tell("on_picture", self.step, "reconstructions", picture)
        progress.say(f"step {self.step}: validation {describe(values)}")
        self._tell_slow(progress)

    def _tell_slow(self, progress: Progress) -> None:
        """A run of steps evaluates what it is told to; where that takes a good part of the time, say so once."""
        both = self.budget.watched + self.budget.stepped
        if self.budget.limited or self._slow_told or self.budget.watched < max(30.0, 0.25 * both):
            return
        self._slow_told = True
        progress.say(
            f"evaluations and checkpoints take {self.budget.watched / both:.0%} of the time so far; fewer "
            "evaluation_items, or evaluations, take less",
            style="yellow",
        )

    def _save(self, progress: Progress, *, last: bool = False) -> None:
        """Write a checkpoint; a full disk costs this checkpoint, not the run (unless there will be no later one)."""
        self.finite.check_now(self.step)
        if self._last_saved == self.step:
            return
        with self.budget.saving():
            tensors = {**state.collect(self.model, self.average.shadow, self.optimizer), **self.own.collect()}
            error = self._write(tensors) if self.processes.main else None
        (written,) = self.processes.agree([float(error is None)])
        if written:
            self._last_saved = self.step
        elif error is not None:
            good = checkpoint.found(self.run.path / CHECKPOINTS)
            kept = f"{good[-1]} is still there" if good else "there is none yet"
            message = f"step {self.step}: checkpoint not written ({error}); {kept}"
            if last:
                raise TrainingStopped(f"{message}. Free some space, then: vqkit train --resume {self.run.path}")
            progress.say(f"{message}. Training goes on and tries again.", style="yellow")

    def _write(self, tensors: dict[str, Tensor]) -> OSError | None:
        assert self._log is not None
        values = {
            "seconds": self.seconds,
            **self.budget.shares(),
            "evaluations_done": self._evaluations_done,
            **self.metrics.state(),
            "restarts": self._restarts(),
            "monitor": self.monitor.state() if self.monitor is not None else None,
            "doctor": self.doctor.state() if self.doctor is not None else None,
            "log_size": self._log.size(),
        }
        try:
            path = checkpoint.save(
                self.run.path / CHECKPOINTS, self.step, tensors, values, self.config.keep_checkpoints
            )
        except OSError as error:
            return error
        if self._watchers is not None:
            self._watchers.tell("on_checkpoint", self.step, path)
        return None
