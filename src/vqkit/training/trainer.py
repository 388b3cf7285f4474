"""The trainer: from an opened source and a model to a run folder, finished or stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vqkit.chance import drawing
from vqkit.data import Batches, Source
from vqkit.data.views.crops import training_size
from vqkit.errors import TrainingInterrupted
from vqkit.models.matching import readable
from vqkit.pretrained.folder import content_hash
from vqkit.seeds import later_seed
from vqkit.spelling import resuming
from vqkit.storage import atomic
from vqkit.threads import ThreadChoice, choice_of_threads
from vqkit.training.checkpoints import checkpoint
from vqkit.training.closed_form import solve
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import Processes, full
from vqkit.training.evaluators.selection import evaluator_for
from vqkit.training.finishing import Finish
from vqkit.training.generators import kept_generators, seed_generators
from vqkit.training.inputs.batch_size import batch_note, check_batch
from vqkit.training.inputs.compatibility import check_size
from vqkit.training.inputs.holdout import cut_note, validation_split
from vqkit.training.interrupt import stop_on_signal
from vqkit.training.loop import Loop
from vqkit.training.optim.frozen import Frozen, check_trainable, freezing
from vqkit.training.optim.objective import minimizing
from vqkit.training.optim.optimizer import check_compiler
from vqkit.training.recalibration import prepare
from vqkit.training.record.channels import Channels
from vqkit.training.record.provenance import made_of
from vqkit.training.record.resuming import settled
from vqkit.training.record.run import BEST, CHECKPOINTS, MODEL, PICTURES, Run, fingerprint, is_run, locked, write_config
from vqkit.training.reporting import (
    Reporting,
    interrupt,
    report_contention,
    report_data,
    report_end,
    report_once,
    reporting_warnings,
)
from vqkit.training.stopping import EarlyStop
from vqkit.training.trainable import Trainable


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
        stopped: where a run that goes on has ended before its last step, and why, unless it is to go on after all.
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
    stopped: Mapping[str, Any] | None = None

    def run(self) -> Run:
        """Train until the end.

        Raises:
            TrainingInterrupted: somebody asked to stop; what there is has been saved.
        """
        model, begun = self.model, self.saved is not None or self.model.has_trained
        frozen = Frozen.of(model) if self.frozen is None else self.frozen
        # before the first step there may be nothing to freeze yet: the first look at the data sets the codebook
        held, config = self.config.freeze if begun else (), self.config
        fixed = config.steps is not None or self.processes.world > 1 or self.model.closed_form
        choice = choice_of_threads(self.processes.device, config.threads, fixed=fixed)
        with choice as threads, frozen.applied(model), freezing(model, held):
            return self._run(frozen, threads)

    def _run(self, frozen: Frozen, threads: ThreadChoice) -> Run:
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
            gain=config.gain,
            seed=config.seed,
            rank=processes.rank,
            world=processes.world,
        )

        def write_settings() -> None:
            contents = made_of(model, source, config)
            settings = config.as_dict()
            data, held = fingerprint(source), frozen.as_dict()
            write_config(path, self.spec, data, model, settings, held, contents, initial_weights, self.stopped)

        with locked(path, processes.main), kept_generators(processes.device):
            if processes.main:
                for folder in (path, path / CHECKPOINTS, path / PICTURES, path / MODEL, path / BEST):
                    if folder.is_dir():
                        atomic.remove_leftovers(folder)
            processes.wait()
            if saved is None and processes.main and initial_weights is None and not is_run(path):
                initial_weights = content_hash(model)
            seed_generators(later_seed(config.seed), processes.device)
            model.to(processes.device)
            if saved is None and processes.main:
                with drawing():
                    prepare(model, training, config)
            processes.same_state(model)
            pictures = path / PICTURES if processes.main else None
            judge = evaluator_for(model, validation, config, pictures)
            with freezing(model, config.freeze):
                held = replace(Frozen.of(model), modules=(*frozen.modules, *config.freeze))
                finish = Finish(model, source, training, config, path, processes, judge, held)
                session = _Session(finish, reporting, write_settings)
                if model.closed_form:
                    return session.solve()
                check_trainable(model)
                shadow, run = copy.deepcopy(model), Run(path, False, 0)
                with minimizing(model, config.objective, processes) as objectives:
                    loop = Loop(model, shadow, batches, config, processes, judge, run, held, objectives, threads)
                    log_size = loop.restore(saved, self.stopped) if saved is not None else 0
                    return session.train(loop, log_size)


@dataclass(frozen=True)
class _Session:
    """What both ways to the parameters share: by gradient steps, and in closed form.

    Attributes:
        finish: what comes last.
        reporting: what to show.
        write_settings: writes ``run.json``.
    """

    finish: Finish
    reporting: Reporting
    write_settings: Callable[[], None]

    def train(self, loop: Loop, log_size: int) -> Run:
        """The one loop, from where it stands to the end, or until somebody asks to stop."""
        finish, position = self.finish, loop.position
        path, processes = finish.path, finish.processes
        channels = self.reporting.open(path, finish.source, processes, loop.early, position.step, log_size)
        try:
            with stop_on_signal(alone=processes.world == 1) as stop, channels.progress:
                report_data(channels, finish.source, new=not log_size, cut=cut_note(finish.source, finish.config))
                report_once(channels, path, position.step, batch_note(finish.training, finish.config))
                loop.begin(channels)
                self._start(channels, position.step)  # after the first checkpoint: with settings it can be resumed
                report_end(channels, position)
                report_contention(channels, loop.threads)
                if not loop.go(channels, stop):
                    interrupt(channels, path, position.step, processes)
                budget = position.budget
                return finish.run(
                    {name: full(tensor) for name, tensor in loop.average.shadow.state_dict().items()},
                    position.step,
                    channels,
                    stop,
                    seconds=budget.left_to_end(position.seconds),
                    keep=processes.world == 1 or finish.config.parallel != "fsdp",
                    shares={"seconds": position.seconds, **budget.shares()} if budget.limited else None,
                    guard=loop.guard,
                )
        except TrainingInterrupted:
            raise
        except KeyboardInterrupt:
            if processes.main and checkpoint.found(path / CHECKPOINTS):
                channels.say(f"quit at step {position.step:,}; go on with: {resuming(path)}")
            raise
        finally:
            channels.close()

    def solve(self) -> Run:
        """One or a few passes over all training items, and the equations solved."""
        finish = self.finish
        model, training, config = finish.model, finish.training, finish.config
        channels = self.reporting.open(finish.path, finish.source, finish.processes, EarlyStop(finish.path))
        with closing(channels), stop_on_signal(alone=finish.processes.world == 1) as stop, channels.progress:
            report_data(channels, finish.source, new=True, cut=cut_note(finish.source, config))
            whole = config.crop is None and not config.flip and not config.gain  # batches of another size
            report_once(channels, finish.path, 0, None if whole else batch_note(training, config))
            self._start(channels, 0)
            with reporting_warnings(channels, finish.path):
                solved = solve(model, training, config, channels.progress, stop)
            if not solved:
                interrupt(channels, finish.path, 0, finish.processes)
            return finish.run(model.state_dict(), 0, channels, stop)

    def _start(self, channels: Channels, step: int) -> None:
        if self.finish.processes.main:
            self.write_settings()
        channels.tell("on_start", Run(self.finish.path, False, step))
