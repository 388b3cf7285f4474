"""End of a run: the final weights, what is fitted last, the saved model and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vqkit.chance import drawing
from vqkit.data import Source
from vqkit.errors import DataError, ModelFolderError, TrainingInterrupted, TrainingStopped
from vqkit.pretrained.card import ModelCard
from vqkit.spelling import resuming
from vqkit.training.checkpoints.best import best_measures, describe_best, read_record, write_best
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch
from vqkit.training.interrupt import StoppedError, StopRequest
from vqkit.training.optim.frozen import Frozen
from vqkit.training.recalibration import Ending
from vqkit.training.record.channels import Channels
from vqkit.training.record.headline import describe
from vqkit.training.record.run import BEST, MODEL, Run
from vqkit.training.reporting import interrupt
from vqkit.training.sharp.guard import Guard
from vqkit.training.trainable import Trainable, load_trained


@dataclass(frozen=True)
class Finish:
    """What comes after the last step, by gradient steps and in closed form alike.

    Attributes:
        model: that was trained.
        source: the data as they were given.
        training: the training items.
        config: of the run.
        path: the run's folder.
        processes: this one's place.
        judge: of the held-out items.
        frozen: what stays as it is.
    """

    model: Trainable
    source: Source
    training: Source
    config: TrainConfig
    path: Path
    processes: Processes
    judge: Evaluator
    frozen: Frozen

    def run(
        self,
        weights: dict[str, Tensor],
        step: int,
        channels: Channels,
        stop: StopRequest,
        *,
        seconds: float | None = None,
        keep: bool = True,
        shares: dict[str, float] | None = None,
        guard: Guard | None = None,
    ) -> Run:
        """Put the final weights into a new model, fit what is fitted last, save it, and judge it on all items.

        Args:
            weights: of the model.
            step: the last one.
            channels: told of the end.
            stop: whether somebody asked to stop.
            seconds: that all this may take; None: as long as it takes.
            keep: put the weights into the model that was trained.
            shares: of a run of minutes, for the log: where they went.
            guard: of an adversary; chooses the model.

        Raises:
            TrainingInterrupted: somebody asked to stop.
        """
        clock = Watch(seconds)
        with drawing():
            kept = guard is not None and guard.troubled
            final = self._fitted(weights, step, channels, stop, clock, as_it_was=kept)
            if guard is not None:
                final = guard.choose(
                    final, lambda other: self._fitted(other, step, channels, stop, clock, as_it_was=kept), channels
                )
        if self.processes.main:
            self._save_model(final, step)
        if shares:
            channels.write(step, "time", shares)
        left = None if seconds is None else max(clock.left, 0.1 * seconds)
        watch = Watch(left, stop=stop, keeps=True, processes=self.processes, say=channels.say)
        evaluation, picture = self.judge.finalize(final, watch) or (None, None)
        if self.processes.main:
            card = ModelCard(data=self.source.describe(), measured=evaluation or {})
            try:
                final.save_card(self.path / MODEL, card)
            except OSError as error:
                channels.say(f"{self.path / MODEL}: the model card was not written ({error})", style="yellow")
        if evaluation is not None:
            channels.write(step, "final", evaluation)
            if picture is not None:
                channels.tell("on_picture", step, "reconstructions", picture)
                for sound in self.judge.sounds:
                    channels.tell("on_sound", step, *sound)
        if keep:
            self.model.load_state_dict(final.state_dict())
        self.model.eval()
        self._finish_best(channels, stop, clock)
        measured = "not evaluated" if evaluation is None else describe(evaluation)
        channels.say(f"done at step {step:,}: {measured}" if step else f"done: {measured}")
        best = describe_best(self.path) if channels.log is not None else None
        if best is not None:
            channels.say(best)
        self.processes.wait()
        run = Run(self.path, True, step, evaluation)
        channels.tell("on_end", run)
        (asked,) = self.processes.agree([float(stop.asked)])
        if asked:
            channels.say("the model is finished; its evaluation was cut short")
            raise TrainingInterrupted(run)
        return run

    def _fitted(
        self,
        weights: dict[str, Tensor],
        step: int,
        channels: Channels,
        stop: StopRequest,
        clock: Watch,
        *,
        as_it_was: bool = False,
    ) -> Trainable:
        """A new model with these weights, its codebook recalibrated, and what the loss did not fit fitted.

        With ``as_it_was`` the weights alone, where the training data are signals no longer.
        """
        final = type(self.model).from_config(self.model.config).to(self.processes.device)
        final.load_state_dict(weights)
        final.eval()
        self.frozen.apply(final)
        ending = Ending(self.training, self.config, self.processes, clock)
        try:
            with stop.at_once():
                ending.recalibrate_codebook(final, step, channels.say)
                ending.fit_last(final)
        except StoppedError:
            interrupt(channels, self.path, step, self.processes)
        except DataError as error:
            if not as_it_was:
                raise
            channels.say(f"the model is saved as it was, its codebook not recalibrated: {error}", style="yellow")
            final.load_state_dict(weights)
        return final

    def _finish_best(self, channels: Channels, stop: StopRequest, clock: Watch) -> None:
        """Fit what the loss did not in the model of the best evaluation, where one was kept; its codes stay.

        When somebody asks to stop, it stays as it is.
        """
        folder, record = self.path / BEST, read_record(self.path) if self.processes.main else None
        (kept,) = self.processes.agree([float(record is not None)])
        try:
            best = load_trained(folder).to(self.processes.device) if kept else None
        except ModelFolderError as error:
            channels.say(f"the best model stays as it is: {error}", style="yellow")
            return
        if best is None:
            return
        try:
            with stop.at_once():
                Ending(self.training, self.config, self.processes, clock).fit_last(best)
        except StoppedError:
            return
        if channels.log is None or record is None:
            return
        card = ModelCard(data=self.source.describe(), measured=best_measures(self.path))
        try:
            write_best(self.path, best, card, record)
        except OSError as error:
            channels.say(f"the best model stays as it was evaluated: not written ({error})", style="yellow")

    def _save_model(self, final: Trainable, step: int) -> None:
        """Write ``model/``.

        Raises:
            TrainingStopped: a full disk.
        """
        try:
            final.save_pretrained(self.path / MODEL)
        except OSError as error:
            raise TrainingStopped(
                f"step {step:,}: the trained model was not written ({error}). Free some space, then: "
                f"{resuming(self.path)}"
            ) from error
