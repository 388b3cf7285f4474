"""The one training loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vqkit import host
from vqkit.chance import drawing
from vqkit.data import Batches
from vqkit.errors import ConfigError, DataError, TrainingStopped
from vqkit.objectives import Objective
from vqkit.priors.labels import picked
from vqkit.spelling import resuming
from vqkit.threads import ThreadChoice
from vqkit.training.checkpoints import checkpoint
from vqkit.training.checkpoints.best import best_model
from vqkit.training.checkpoints.run_state import RunState
from vqkit.training.checkpoints.writer import CheckpointWriter
from vqkit.training.config import TrainConfig
from vqkit.training.diagnostics.health import CodebookHealth
from vqkit.training.diagnostics.nonfinite import NonFiniteCheck, NonFiniteError
from vqkit.training.distributed import Processes, wrap
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.schedule import EvaluationSchedule
from vqkit.training.interrupt import StoppedError, StopRequest
from vqkit.training.optim.accumulation import autocast, backward
from vqkit.training.optim.average import WeightAverage
from vqkit.training.optim.frozen import Frozen
from vqkit.training.optim.groups import set_learning_rate
from vqkit.training.optim.objective import ObjectiveOptimizers
from vqkit.training.optim.optimizer import clip_gradients, compile_networks, make_optimizer
from vqkit.training.optim.schedules import LearningRate
from vqkit.training.position import Position
from vqkit.training.record.channels import Channels
from vqkit.training.record.report import WindowReport
from vqkit.training.record.run import Run
from vqkit.training.sharp.guard import Guard
from vqkit.training.stopping import EarlyStop
from vqkit.training.trainable import Output, Trainable


class Loop:
    """Trains a model in place and keeps its run folder.

    What changes while it trains is ``RunState``; batches depend on the step alone. Restoring these continues bit for
    bit.
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
        threads: ThreadChoice | None = None,
    ) -> None:
        if config.batch_size // processes.world % config.accumulate:
            raise ConfigError(
                f"accumulate={config.accumulate}: each of {processes.world} processes has "
                f"{config.batch_size // processes.world} signals of a batch; give a divisor of that"
            )
        self.config = config
        self.processes = processes
        self.model = model
        self.frozen = frozen or Frozen()
        self.batches = batches
        self.labels = model.conditions_of(batches.source)
        self.position = Position(config)
        self.early = EarlyStop(run.path)
        self.rate = LearningRate(config.learning_rate, config.warmup_steps, config.steps, config.schedule)
        looks = processes.world == 1 or config.parallel == "ddp"
        self.health = CodebookHealth(model, looks=looks)
        best = best_model(judge, model, shadow, config, batches.source, processes, self.early)
        self.callable = wrap(model, shadow, processes, config.parallel, unused=bool(objectives))
        self.optimizer = make_optimizer(model, config)
        self.finite = NonFiniteCheck(model, config, run.path)
        self.own = ObjectiveOptimizers(objectives, config.clip_norm, processes)
        self.threads = threads or ThreadChoice([torch.get_num_threads()])
        self.average = WeightAverage(model, shadow, config.average_decay)
        guard = None
        if config.sharp:
            guard = Guard(model, shadow, objectives, judge.source, config, processes, run.path, self.position)
        self.report = WindowReport(model, batches, config, self.position, self.health, main=processes.main)
        self.evaluations = EvaluationSchedule(judge, shadow, self.position, config.evaluations, processes, best)
        self.state = RunState(
            model,
            shadow,
            self.optimizer,
            self.own,
            self.position,
            self.evaluations,
            self.report.metrics,
            self.health,
            guard,
        )
        self.guard = guard
        if guard is not None:
            guard.attach(self.state.tensors, self.state.put_back)
        self.checkpoints = CheckpointWriter(self.state, run.path, config, processes)

    def restore(self, saved: checkpoint.Checkpoint, stopped: Mapping[str, Any] | None = None) -> int:
        """Go to a checkpoint; returns the size that the log had there. ``stopped``: where the run has ended early.

        Raises:
            ModelFolderError: it is of another model, or of no run.
        """
        log_size = self.state.restore(saved)
        self.checkpoints.last_saved = saved.step
        if stopped is not None:
            self.position.last_step, self.early.reason = stopped["step"], stopped["reason"]
        return log_size

    def begin(self, channels: Channels) -> None:
        """Write the first checkpoint of a new run, so that whatever kills it later can be resumed."""
        self.finite.log = channels.write
        self.threads.say = channels.say
        self._save(channels, last=True)

    def go(self, channels: Channels, stop: StopRequest) -> bool:
        """Train to the end; returns False when somebody asked to stop before it.

        Raises:
            TrainingStopped: NaN or Inf, or a last checkpoint that cannot be written.
        """
        host.keep_freed_memory()
        if self.config.compile:
            compile_networks(self.model)
        position, told = self.position, channels.listen("on_step")
        last = time.perf_counter()
        self.report.start_clock()
        with self.batches:
            while True:
                elapsed = time.perf_counter() - last
                last += elapsed
                due, watch = self.checkpoints.due(last), self.evaluations.due(elapsed)
                position.seconds, saving, stopping, watching, ending = self.processes.agree(
                    [position.seconds + elapsed, float(due), float(stop.asked), float(watch), float(self.early.asked)]
                )
                if ending and position.fraction < 1:
                    position.last_step = position.step
                if watching and not stopping and position.fraction < 1:  # where a run ends early, too
                    self.evaluations.evaluate(channels, stop)
                    self.report.start_clock()
                    continue
                if self.guard is not None and self.guard.due and not stopping:
                    self.guard.look(channels)
                    self.report.start_clock()
                    continue
                if position.over:
                    break
                if stopping or saving:
                    self._save(channels, last=bool(stopping))
                if saving and not stopping:
                    continue  # somebody may have asked for the end meanwhile
                if not stopping:
                    self._move_rate(channels)
                if stopping or not self._step_or_stop(stop, channels):
                    return False
                if told:
                    channels.tell("on_step", position.step, self.report.latest)
                if position.step % self.config.log_every == 0:
                    self.report.write(channels, self.rate.value)
        if self.report.metrics.steps:  # the last steps too, and in a short run all of them
            self.report.write(channels, self.rate.value)
        self.early.record(position, channels)
        self._save(channels, last=True)
        return True

    def _move_rate(self, channels: Channels) -> None:
        """Ask the schedule for the learning rate of the next step; where it fails, all before that step is saved.

        Raises:
            TrainingStopped: it failed, or gave no factor; names it.
        """
        try:
            self.rate.move(self.position.step, self.position.fraction)
        except TrainingStopped as error:
            self._save(channels, last=True)
            raise TrainingStopped(
                f"{error}. What was trained before is saved; repair it, then: {resuming(self.early.path)}"
            ) from error

    def _save(self, channels: Channels, *, last: bool) -> None:
        """Write a checkpoint, of finite numbers only."""
        try:
            self.finite.check_now(self.position.step)
        except NonFiniteError as error:
            self._recover(channels, error)
        self.checkpoints.save(channels, last=last)

    def _recover(self, channels: Channels, error: NonFiniteError | DataError) -> None:
        """Go back to what the guard has kept, and end there where it comes again and again; raises the error where
        there is nothing."""
        self.finite.quiet = False
        if self.guard is None or not self.guard.recover(channels, str(error).partition(". ")[0]):
            channels.write(self.position.step, "error", {"message": str(error)})
            raise error
        self.finite.forget()
        if self.guard.given_up:
            self.early.ask(f"no finite step in spite of going back again and again ({str(error).partition('. ')[0]})")

    def _step_or_stop(self, stop: StopRequest, channels: Channels) -> bool:
        """One step; False where somebody asked to stop before its end and the last checkpoint holds all before it."""
        with self.position.budget.stepping(), self.threads.step(), drawing():
            if self.checkpoints.last_saved != self.position.step:
                self._one_step_or_back(channels)
                return True
            try:
                with stop.at_once():  # the first step may compile, or allocate, for long
                    self._one_step_or_back(channels)
            except StoppedError:
                self.position.step = self.checkpoints.last_saved
                return False
            return True

    def _one_step_or_back(self, channels: Channels) -> None:
        """One step; where it is not finite and there is something to go back to, that, and the batch is passed over."""
        self.finite.quiet = self.guard is not None
        try:
            self.one_step()
        except (NonFiniteError, DataError) as error:
            if isinstance(error, DataError) and self.processes.world > 1:  # the others have no such items
                raise
            self._recover(channels, error)
            self.position.step += 1  # as the adversaries

    def one_step(self) -> None:
        """One optimizer step: batch, forward, backward, clipping, check for NaN, update, average of the weights."""
        config, step = self.config, self.position.step
        x = self.batches.batch(step)
        if self.model.device.type == "cuda":
            x = x.pin_memory()
        x = self.model.read_batch(x.to(self.model.device, non_blocking=True))
        factor = self.rate.move(step, self.position.fraction)
        set_learning_rate(self.optimizer.param_groups, self.rate.value)
        self.frozen.train(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        output = backward(self._forward, self.model, x, self._condition(), config.accumulate)
        norm = clip_gradients(self.model.parameters(), config.clip_norm)
        own_losses, own_norm = self.own.backward(output.decoded, partial(autocast, config, x))
        self.finite.check(step, x, output, norm if own_norm is None else norm + own_norm)
        self.optimizer.step()
        self.own.step(factor)
        self.average.update(step)
        self.position.step += 1
        self.report.add(x, output, {**own_losses, "gradient_norm": norm.detach()})

    def _forward(self, x: Tensor, *condition: Tensor) -> Output:
        with autocast(self.config, x):
            output: Output = self.callable(*self.model.forward_arguments(x, *condition))
        return output

    def _condition(self) -> tuple[Tensor, ...]:
        """The classes of this step's items, for a prior that has them; they depend on the step alone, as the items."""
        if self.labels is None:
            return ()
        return picked(self.labels, self.batches.indices(self.position.step), self.model.device)
