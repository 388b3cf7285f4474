"""One sitting of a run: from an opened source and a model to a run folder, finished or stopped."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from vqkit import atomic
from vqkit.codec.encoding import fitting_batch
from vqkit.data import Batches, Source, default_crop
from vqkit.errors import ConfigError
from vqkit.models import VQVAE, Model
from vqkit.priors import PixelPrior, Prior
from vqkit.seeds import later_seed
from vqkit.training import checkpoint
from vqkit.training.closed import solve
from vqkit.training.config import TrainConfig
from vqkit.training.holdout import readable, validation_split
from vqkit.training.interrupt import stop_on_signal
from vqkit.training.judge import Judge
from vqkit.training.judge_pixels import PixelJudge
from vqkit.training.judge_prior import PriorJudge
from vqkit.training.labels import labels_for
from vqkit.training.loop import AnyJudge, Loop, describe
from vqkit.training.optimisation import check_compiler
from vqkit.training.parallel import Processes, full
from vqkit.training.progress import Progress
from vqkit.training.run import CHECKPOINTS, MODEL, PICTURES, Run, fingerprint, locked, write_config
from vqkit.training.runlog import RunLog
from vqkit.training.trainable import Trainable

_FINISHING_ITEMS, _FINISHING_CROPS = 8192, 16
_SETTLING_SAYS = 8192
_MOST_VALUES = 1 << 26
_PREPARATION_ITEMS = 1024
_PREPARATION_VALUES = 1 << 23
"""At most so many items, and values, to measure the signal's scale and find the first codebook; more for many codes."""


@dataclass(frozen=True)
class Reporting:
    """What a person wants to see of a run."""

    quiet: bool = False
    tensorboard: bool = True
    console: Console | None = None


def sit(
    model: Trainable,
    source: Source,
    spec: str,
    config: TrainConfig,
    path: Path,
    processes: Processes,
    saved: checkpoint.Checkpoint | None,
    reporting: Reporting,
) -> Run:
    """Train ``model`` from the beginning, or from a checkpoint, until the end or until somebody asks to stop."""
    check_fit(model, source)
    if config.compile and not model.closed_form:
        check_compiler(processes.device)
    training, validation = validation_split(source, config)
    if config.crop is None and source.axes == 2:
        config = replace(config, crop=default_crop(source))
    validation = readable(model, validation)
    labels_for(model, validation)
    _check_size(model, training.size if config.crop is None else (config.crop,) * source.axes)
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
        torch.manual_seed(later_seed(config.seed))
        model.to(processes.device)
        if saved is None and processes.main:
            _prepare(model, training, config)
        processes.same_state(model)
        pictures = path / PICTURES if processes.main else None
        judge = _judge(model, validation, config, pictures)
        sitting = _Sitting(model, training, config, path, processes, judge, reporting, source.describe())
        if model.closed_form:
            return sitting.solve(lambda: write_config(path, spec, fingerprint(source), model, config.as_dict()))
        loop = Loop(model, copy.deepcopy(model), batches, config, processes, judge, Run(path, False, 0))
        log_size = loop.restore(saved) if saved is not None else 0
        return sitting.train(
            loop, log_size, lambda: write_config(path, spec, fingerprint(source), model, config.as_dict())
        )


@dataclass
class _Sitting:
    """What both ways to the parameters share: by gradient steps, and in closed form."""

    model: Trainable
    training: Source
    config: TrainConfig
    path: Path
    processes: Processes
    judge: AnyJudge
    reporting: Reporting
    description: str

    def train(self, loop: Loop, log_size: int, write_settings: Callable[[], None]) -> Run:
        """The one loop, from where it stands to the end, or until somebody asks to stop."""
        path, processes = self.path, self.processes
        log = RunLog(path, log_size, loop.step, self.reporting.tensorboard) if processes.main else None
        progress = self._progress(f", from step {loop.step:,}" if log_size else "")
        try:
            with stop_on_signal() as stop, progress:
                loop.begin(log, progress)
                if processes.main:  # after the first checkpoint: a folder with settings can always be resumed
                    write_settings()
                if not loop.go(progress, stop):
                    progress.say(f"stopped at step {loop.step:,}; go on with: vqkit train --resume {path}")
                    processes.wait()
                    return Run(path, False, loop.step)
                sharded = processes.world > 1 and self.config.parallel == "fsdp"
                weights = {name: full(tensor) for name, tensor in loop.average.shadow.state_dict().items()}
                return self._finish(weights, loop.step, log, progress, keep=not sharded)
        except KeyboardInterrupt:
            if processes.main and checkpoint.found(path / CHECKPOINTS):
                progress.say(f"quit at step {loop.step:,}; go on with: vqkit train --resume {path}")
            raise
        finally:
            if log is not None:
                log.close()

    def solve(self, write_settings: Callable[[], None]) -> Run:
        """One or a few passes over all training items, and the equations solved."""
        log = RunLog(self.path, 0, 0, self.reporting.tensorboard) if self.processes.main else None
        progress = self._progress("")
        try:
            with stop_on_signal() as stop, progress:
                if self.processes.main:
                    write_settings()
                if not solve(self.model, self.training, self.config, progress, stop):
                    progress.say(f"stopped; begin again with: vqkit train --resume {self.path}")
                    return Run(self.path, False, 0)
                return self._finish(self.model.state_dict(), 0, log, progress, keep=True)
        finally:
            if log is not None:
                log.close()

    def _finish(
        self, weights: dict[str, Tensor], step: int, log: RunLog | None, progress: Progress, *, keep: bool
    ) -> Run:
        """Put the final weights into a new model, fit what is fitted last, save it, and judge it on all items."""
        model, processes = self.model, self.processes
        final = type(model).from_config(model.config).to(processes.device)
        final.load_state_dict(weights)
        final.eval()
        if isinstance(final, Model) and final.settling_positions:
            self._settle(final, step, progress)
        items = min(_FINISHING_ITEMS, _FINISHING_CROPS * len(self.training))
        final.finish(_some_batches(self.training, self.config, items, final.device))
        if processes.main:
            final.save_pretrained(self.path / MODEL)
        evaluation, picture = self.judge.at_the_end(final)
        if log is not None:
            log.write(step, "final", evaluation)
            if picture is not None:
                log.picture(step, "reconstructions", picture)
        if keep:
            model.load_state_dict(final.state_dict())
        model.eval()
        progress.say(f"done at step {step:,}: {describe(evaluation)}" if step else f"done: {describe(evaluation)}")
        processes.wait()
        return Run(self.path, True, step, evaluation)

    def _settle(self, final: Model, step: int, progress: Progress) -> None:
        """Show the finished encoder more training batches, this process's share of each, for its codebook."""
        config, processes = self.config, self.processes
        (one,) = _some_batches(self.training, config, 1, final.device)
        positions = config.batch_size * final.encode(one[:1])[0].numel() // getattr(final, "num_codebooks", 1)
        count = -(-final.settling_positions // positions)
        if count * config.batch_size > _SETTLING_SAYS:
            progress.say(f"the codebook settles on {count * config.batch_size:,} more signals")
        share = Batches(
            self.training,
            config.batch_size,
            crop=config.crop,
            flip=config.flip,
            seed=config.seed,
            rank=processes.rank,
            world=processes.world,
        )
        with share as batches:
            final.settle(batches.batch(step + number) for number in range(count))

    def _progress(self, more: str) -> Progress:
        show = self.processes.main and not self.reporting.quiet
        return Progress(f"{self.description} -> {self.path}{more}", show=show, console=self.reporting.console)


def _judge(model: Trainable, validation: Source, config: TrainConfig, pictures: Path | None) -> AnyJudge:
    batch_size = fitting_batch(validation, 256)
    if isinstance(model, PixelPrior):
        return PixelJudge(model.tokenizer, validation, batch_size, config.evaluation_items)
    kind = PriorJudge if isinstance(model, Prior) else Judge
    return kind(validation, batch_size, config.evaluation_items, pictures)


def check_fit(model: Trainable, source: Source) -> None:
    """Raise ``ConfigError`` unless the model reads what the source holds."""
    if isinstance(model, Prior):
        if (source.channels, source.size) != (1, model.item_shape) or source.dtype != np.int32:
            raise ConfigError(
                f"the prior reads indices of shape {list(model.item_shape)}, but this is {source.describe()}; tokenize "
                "the data first (vqkit.tokenize), and make the prior with the grid and the codebooks of these tokens"
            )
        labels_for(model, source)
        return
    if source.dtype == np.int32:
        raise ConfigError(f"{source.describe()} are indices: a prior learns them, not a {type(model).__name__}")
    if (model.channels, model.axes) != (source.channels, source.axes):
        raise ConfigError(
            f"the model reads signals of {model.axes} axes and {model.channels} channels, but this is "
            f"{source.describe()}; make the model with {type(model).__name__}.for_source(source), or "
            f"channels={source.channels}, axes={source.axes}"
        )


def _check_size(model: Trainable, size: tuple[int, ...] | None) -> None:
    only = model.only_size if isinstance(model, Model) else None
    if only is not None and only != size:
        shown = "several sizes" if size is None else f"size {list(size)}"
        raise ConfigError(
            f"the model reads signals of size {list(only)} only, and training shows it {shown}; make it for the size "
            "of the data (or of the crops: crop=)"
        )


def _prepare(model: Trainable, training: Source, config: TrainConfig) -> None:
    """Show the model some of the first training batches, whole (not this process's share)."""
    codes, positions = 0, 1
    if isinstance(model, VQVAE):
        (first,) = _some_batches(training, config, 1, model.device)
        codes, positions = model.codebook_size, model.encode(first[:1])[0].numel() // model.num_codebooks
    few = min(_PREPARATION_ITEMS, _PREPARATION_VALUES // _values(training, config))
    items = max(few, min(16 * codes // max(positions, 1), 16 * _PREPARATION_ITEMS))
    model.prepare(_some_batches(training, config, items, model.device))


def _some_batches(training: Source, config: TrainConfig, items: int, device: torch.device) -> list[Tensor]:
    """The first training batches, as the loop draws them, until they hold so many items."""
    with Batches(training, config.batch_size, crop=config.crop, flip=config.flip, seed=config.seed) as batches:
        within = min(items, max(1, _MOST_VALUES // _values(training, config)))
        if config.crop is None:  # without crops a second pass shows nothing new
            within = min(within, len(training))
        count = max(1, -(-within // config.batch_size))
        return [batches.batch(step).to(device) for step in range(count)]


def _values(training: Source, config: TrainConfig) -> int:
    """Numbers in one training item."""
    size = training.item_size(0) if config.crop is None else (config.crop,) * training.axes
    return training.channels * math.prod(size)
