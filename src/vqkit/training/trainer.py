"""The trainer: from an opened source and a model to a run folder, finished or stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from vqkit.data import Batches, Source
from vqkit.data.views.crops import training_size
from vqkit.errors import TrainingInterrupted
from vqkit.models.matching import readable
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.folder import content_hash
from vqkit.seeds import later_seed
from vqkit.storage import atomic
from vqkit.training.budget import WATCHING
from vqkit.training.callbacks import Callback, Callbacks, TensorBoard, is_utf8
from vqkit.training.checkpoints import checkpoint
from vqkit.training.closed_form import solve
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes, full
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.selection import evaluator_for
from vqkit.training.evaluators.watch import Watch
from vqkit.training.inputs.batch_size import batch_note, check_batch
from vqkit.training.inputs.compatibility import check_size
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.interrupt import StoppedError, StopRequest, stop_on_signal
from vqkit.training.loop import Loop
from vqkit.training.optim.frozen import Frozen, check_trainable, freezing
from vqkit.training.optim.objective import minimizing
from vqkit.training.optim.optimizer import check_compiler
from vqkit.training.recalibration import Ending, prepare
from vqkit.training.record.headline import describe
from vqkit.training.record.log import RunLog, read_log
from vqkit.training.record.progress import Progress, duration
from vqkit.training.record.provenance import made_of
from vqkit.training.record.resuming import settled
from vqkit.training.record.run import CHECKPOINTS, MODEL, PICTURES, Run, fingerprint, is_run, locked, write_config
from vqkit.training.trainable import Trainable

_SKIPPED_IN_LOG = 1000


@dataclass(frozen=True)
class Reporting:
    """What a person wants to see of a run."""

    quiet: bool = False
    tensorboard: bool = True
    console: Console | None = None
    callbacks: Sequence[Callback] = ()

    def watchers(self, path: Path, step: int) -> Callbacks:
        """Return who is told of the events of a run in ``path``, from ``step`` on: TensorBoard, and the callbacks."""
        board = [TensorBoard(path, step)] if self.tensorboard and is_utf8(path) else []
        return Callbacks([*board, *self.callbacks], path)


@dataclass
class Trainer:
    """One training session of a run: from its beginning, or a checkpoint, to the end or until somebody asks to stop.

    Attributes:
        model: trained in place; what is frozen in it stays so.
        source: the data.
        spec: how ``run.json`` names them.
        config: how to train.
        path: the run's folder.
        processes: this one's place.
        reporting: what to show.
        saved: where to go on from.
        frozen: of a run that goes on; None: what is frozen in the model.
        initial_weights: the digest that a run that goes on has recorded, if it has; of a new one, it is made here.
    """

    model: Trainable
    source: Source
    spec: str
    config: TrainConfig
    path: Path
    processes: Processes
    reporting: Reporting
    saved: checkpoint.Checkpoint | None = None
    frozen: Frozen | None = None
    initial_weights: str | None = None

    def run(self) -> Run:
        """Train until the end.

        Raises:
            TrainingInterrupted: somebody asked to stop; what there is has been saved.
        """
        model, begun = self.model, self.saved is not None or self.model.has_trained
        frozen = Frozen.of(model) if self.frozen is None else self.frozen
        # before the first step there may be nothing to freeze yet: the first look at the data sets the codebook
        with frozen.applied(model), freezing(model, self.config.freeze if begun else ()):
            return self._run(frozen)

    def _run(self, frozen: Frozen) -> Run:
        model, source, config, path, processes = self.model, self.source, self.config, self.path, self.processes
        saved, reporting, initial_weights = self.saved, self.reporting, self.initial_weights
        model.check_items(source)
        if config.compile and not model.closed_form:
            check_compiler(processes.device)
        training, validation = validation_split(source, config)
        config = settled(config, source)
        validation = readable(model, validation)
        model.conditions_of(validation)
        check_size(model, training_size(training, config.crop))
        check_batch(training, config, processes.world)
        batches = Batches(
            training,
            config.batch_size,
            crop=config.crop,
            flip=config.flip,
            seed=config.seed,
            rank=processes.rank,
            world=processes.world,
        )
        with locked(path, processes.main):
            if processes.main:
                for folder in (path, path / CHECKPOINTS, path / PICTURES, path / MODEL):
                    if folder.is_dir():
                        atomic.remove_leftovers(folder)
            processes.wait()
            if saved is None and processes.main and initial_weights is None and not is_run(path):
                initial_weights = content_hash(model)
            torch.manual_seed(later_seed(config.seed))
            model.to(processes.device)
            if saved is None and processes.main:
                prepare(model, training, config)
            processes.same_state(model)
            pictures = path / PICTURES if processes.main else None
            judge = evaluator_for(model, validation, config, pictures)
            with freezing(model, config.freeze):
                held = replace(Frozen.of(model), modules=(*frozen.modules, *config.freeze))
                session = _Session(model, training, config, path, processes, judge, reporting, source, held)

                def write_settings() -> None:
                    contents = made_of(model, source, config)
                    settings = config.as_dict()
                    write_config(
                        path,
                        self.spec,
                        fingerprint(source),
                        model,
                        settings,
                        frozen.as_dict(),
                        contents,
                        initial_weights,
                    )

                if model.closed_form:
                    return session.solve(write_settings)
                check_trainable(model)
                shadow, run = copy.deepcopy(model), Run(path, False, 0)
                with minimizing(model, config.objective, processes) as objectives:
                    loop = Loop(model, shadow, batches, config, processes, judge, run, held, objectives)
                    log_size = loop.restore(saved) if saved is not None else 0
                    return session.train(loop, log_size, write_settings)


@dataclass
class _Session:
    """What both ways to the parameters share: by gradient steps, and in closed form."""

    model: Trainable
    training: Source
    config: TrainConfig
    path: Path
    processes: Processes
    judge: Evaluator
    reporting: Reporting
    source: Source
    frozen: Frozen

    def _report_batch(self, log: RunLog | None, progress: Progress, step: int = 0) -> None:
        """Say, and write into the log once, where a batch is larger than the data."""
        whole = self.model.closed_form and self.config.crop is None and not self.config.flip  # batches of another size
        note = None if whole else batch_note(self.training, self.config)
        if note is None:
            return
        progress.say(note, style="yellow")
        if log is not None and all(line.get("message") != note for line in read_log(self.path)):
            log.write(step, "warning", {"message": note})

    def train(self, loop: Loop, log_size: int, write_settings: Callable[[], None]) -> Run:
        """The one loop, from where it stands to the end, or until somebody asks to stop."""
        path, processes = self.path, self.processes
        watchers = self.reporting.watchers(path, loop.step) if processes.main else None
        log = self._log(log_size, watchers)
        progress = self._progress(f", from step {loop.step:,}" if log_size else "")
        try:
            with stop_on_signal(alone=processes.world == 1) as stop, progress:
                self._report_data(None if log_size else log, progress)
                self._report_batch(log, progress, loop.step)
                loop.begin(log, progress, watchers)
                if processes.main:  # after the first checkpoint: a folder with settings can always be resumed
                    write_settings()
                if watchers is not None:
                    watchers.tell("on_start", Run(path, False, loop.step))
                self._announce(loop, progress)
                if not loop.go(progress, stop):
                    return self._stopped(loop.step, progress, watchers)
                sharded = processes.world > 1 and self.config.parallel == "fsdp"
                weights = {name: full(tensor) for name, tensor in loop.average.shadow.state_dict().items()}
                left = loop.budget.left_to_end(loop.seconds)
                shares = {"seconds": loop.seconds, **loop.budget.shares()} if loop.budget.limited else None
                return self._finish(
                    weights, loop.step, log, progress, stop, left, watchers, keep=not sharded, shares=shares
                )
        except TrainingInterrupted:
            raise
        except KeyboardInterrupt:
            if processes.main and checkpoint.found(path / CHECKPOINTS):
                progress.say(f"quit at step {loop.step:,}; go on with: vqkit train --resume {path}")
            raise

    def solve(self, write_settings: Callable[[], None]) -> Run:
        """One or a few passes over all training items, and the equations solved."""
        watchers = self.reporting.watchers(self.path, 0) if self.processes.main else None
        log = self._log(0, watchers)
        progress = self._progress("")
        with stop_on_signal(alone=self.processes.world == 1) as stop, progress:
            self._report_data(log, progress)
            self._report_batch(log, progress)
            if self.processes.main:
                write_settings()
            if watchers is not None:
                watchers.tell("on_start", Run(self.path, False, 0))
            if not solve(self.model, self.training, self.config, progress, stop):
                return self._stopped(0, progress, watchers)
            return self._finish(self.model.state_dict(), 0, log, progress, stop, None, watchers, keep=True)

    def _log(self, size: int, watchers: Callbacks | None) -> RunLog | None:
        """The log, in the first process; says in it where TensorBoard cannot write."""
        if watchers is None:
            return None
        log = RunLog(self.path, size, watchers.tell)
        if self.reporting.tensorboard and not is_utf8(self.path):
            message = "no TensorBoard events: it cannot write to a path that is not UTF-8"
            log.write(0, "warning", {"message": message})
        return log

    def _announce(self, loop: Loop, progress: Progress) -> None:
        """Say when a run of minutes will be over, and what is in them."""
        total = loop.budget.seconds
        if total is not None and loop.progress_fraction() < 1:
            until, ending = total - loop.seconds, total - loop.budget.training_seconds
            progress.say(
                f"{duration(until)} from now to the end: training, and {duration(ending)} to finish and evaluate; at "
                f"most {WATCHING:.0%} of the training for evaluations and checkpoints"
            )

    def _stopped(self, step: int, progress: Progress, watchers: Callbacks | None) -> Run:
        """Somebody asked to stop before the end: say how to go on, and end what the training is a part of."""
        how = f"stopped at step {step:,}; go on" if step else "stopped; begin again"
        progress.say(f"{how} with: vqkit train --resume {self.path}")
        self.processes.wait()
        run = Run(self.path, False, step)
        if watchers is not None:
            watchers.tell("on_end", run)
        raise TrainingInterrupted(run)

    def _finish(
        self,
        weights: dict[str, Tensor],
        step: int,
        log: RunLog | None,
        progress: Progress,
        stop: StopRequest,
        seconds: float | None,
        watchers: Callbacks | None,
        *,
        keep: bool,
        shares: dict[str, float] | None = None,
    ) -> Run:
        """Put the final weights into a new model, fit what is fitted last, save it, and judge it on all items.

        Args:
            weights: of the model.
            step: the last one.
            log: of the first process.
            progress: what a person sees.
            stop: whether somebody asked to stop.
            seconds: that all this may take; None: as long as it takes.
            watchers: told of the end, in the first process.
            keep: put the weights into the model that was trained.
            shares: of a run of minutes, for the log: where they went.
        """
        model, processes = self.model, self.processes
        clock = Watch(seconds)
        final = type(model).from_config(model.config).to(processes.device)
        final.load_state_dict(weights)
        final.eval()
        self.frozen.apply(final)
        ending = Ending(self.training, self.config, processes, clock)
        try:
            with stop.at_once():
                ending.recalibrate_codebook(final, step, progress.say)
                ending.fit_last(final)
        except StoppedError:
            return self._stopped(step, progress, watchers)
        if processes.main:
            final.save_pretrained(self.path / MODEL)
        watch = Watch(
            None if seconds is None else max(clock.left, 0.1 * seconds),
            stop=stop,
            keeps=True,
            processes=processes,
            say=progress.say,
        )
        if log is not None and shares:
            log.write(step, "time", shares)
        found = self.judge.finalize(final, watch)
        evaluation, picture = (None, None) if found is None else found
        if processes.main:
            final.save_card(self.path / MODEL, ModelCard(data=self.source.describe(), measured=evaluation or {}))
        if log is not None and evaluation is not None:
            log.write(step, "final", evaluation)
            if picture is not None and watchers is not None:
                watchers.tell("on_picture", step, "reconstructions", picture)
        if keep:
            model.load_state_dict(final.state_dict())
        model.eval()
        told = "not evaluated" if evaluation is None else describe(evaluation)
        progress.say(f"done at step {step:,}: {told}" if step else f"done: {told}")
        processes.wait()
        run = Run(self.path, True, step, evaluation)
        if watchers is not None:
            watchers.tell("on_end", run)
        (asked,) = processes.agree([float(stop.asked)])
        if asked:
            progress.say("the model is finished; its evaluation was cut short")
            raise TrainingInterrupted(run)
        return run

    def _report_data(self, log: RunLog | None, progress: Progress) -> None:
        """Say, and write into a new log, what of the data was skipped or read otherwise than it was."""
        skipped, notes = self.source.skipped, self.source.notes
        for note in notes:
            progress.say(f"  note: {note}")
        for line in self.source.skip_report():
            progress.say(f"  skipped {line}", style="yellow")
        if log is not None and (skipped or notes):
            named = [f"{each.name}: {each.reason}" for each in skipped[:_SKIPPED_IN_LOG]]
            log.write(0, "data", {"notes": notes, "skipped_items": len(skipped), "skipped": named})

    def _progress(self, more: str) -> Progress:
        show = self.processes.main and not self.reporting.quiet
        return Progress(f"{self.source.describe()} -> {self.path}{more}", show=show, console=self.reporting.console)
