"""One sitting of a run: from an opened source and a model to a run folder, finished or stopped."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vqkit import atomic
from vqkit.codec.encoding import fitting_batch
from vqkit.data import Batches, Source, default_crop
from vqkit.errors import ConfigError
from vqkit.models import Model
from vqkit.training import checkpoint
from vqkit.training.config import TrainConfig
from vqkit.training.holdout import validation_split
from vqkit.training.interrupt import stop_on_signal
from vqkit.training.judge import Judge
from vqkit.training.loop import Loop, describe
from vqkit.training.parallel import Processes, full
from vqkit.training.progress import Progress
from vqkit.training.run import CHECKPOINTS, MODEL, PICTURES, Run, fingerprint, locked, write_config
from vqkit.training.runlog import RunLog

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
    model: Model,
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
    training, validation = validation_split(source, config)
    if config.crop is None and source.axes == 2:
        config = replace(config, crop=default_crop(source))
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
        torch.manual_seed(config.seed + 1)
        model.to(processes.device)
        if saved is None and processes.main:
            _prepare(model, training, config)
        processes.same_state(model)
        shadow = copy.deepcopy(model)
        pictures = path / PICTURES if processes.main else None
        judge = Judge(validation, fitting_batch(validation, 256), config.evaluation_items, pictures)
        loop = Loop(model, shadow, batches, config, processes, judge, Run(path, False, 0))
        log_size = loop.restore(saved) if saved is not None else 0
        log = RunLog(path, log_size, loop.step, reporting.tensorboard) if processes.main else None
        title = f"{source.describe()} -> {path}" + (f", from step {loop.step:,}" if saved is not None else "")
        progress = Progress(title, show=processes.main and not reporting.quiet, console=reporting.console)
        try:
            with stop_on_signal() as stop, progress:
                loop.begin(log, progress)
                if processes.main:  # after the first checkpoint: a folder with settings can always be resumed
                    write_config(path, spec, fingerprint(source), model, config.as_dict())
                if not loop.go(progress, stop):
                    progress.say(f"stopped at step {loop.step:,}; go on with: vqkit train --resume {path}")
                    processes.wait()
                    return Run(path, False, loop.step)
                evaluation = _finish(model, loop, judge, log, path, processes)
                progress.say(f"done at step {loop.step:,}: {describe(evaluation)}")
                processes.wait()
                return Run(path, True, loop.step, evaluation)
        except KeyboardInterrupt:
            if processes.main and checkpoint.found(path / CHECKPOINTS):
                progress.say(f"quit at step {loop.step:,}; go on with: vqkit train --resume {path}")
            raise
        finally:
            if log is not None:
                log.close()


def check_fit(model: Model, source: Source) -> None:
    """Raise ``ConfigError`` unless the model reads what the source holds."""
    if (model.channels, model.axes) != (source.channels, source.axes):
        raise ConfigError(
            f"the model reads signals of {model.axes} axes and {model.channels} channels, but this is "
            f"{source.describe()}; make the model with VQVAE.for_source(source), or channels={source.channels}, "
            f"axes={source.axes}"
        )


def _finish(
    model: Model, loop: Loop, judge: Judge, log: RunLog | None, path: Path, processes: Processes
) -> dict[str, Any]:
    """Put the average into the model, save it, and judge it on the whole validation set."""
    final = type(model).from_config(model.config).to(processes.device)
    final.load_state_dict({name: full(tensor) for name, tensor in loop.average.shadow.state_dict().items()})
    final.eval()
    if processes.main:
        final.save_pretrained(path / MODEL)
    evaluation, picture = judge.at_the_end(final)
    if log is not None:
        log.write(loop.step, "final", evaluation)
        if picture is not None:
            log.picture(loop.step, "reconstructions", picture)
    if not (processes.world > 1 and loop.config.parallel == "fsdp"):
        model.load_state_dict(final.state_dict())
    model.eval()
    return evaluation


def _prepare(model: Model, training: Source, config: TrainConfig) -> None:
    """Show the model some of the first training batches, whole (not this process's share)."""
    codes = getattr(model, "codebook_size", 0)
    with Batches(training, config.batch_size, crop=config.crop, flip=config.flip, seed=config.seed) as batches:
        first = batches.batch(0)
        positions = len(model.encode(first[:1].to(model.device)).flatten()) if codes else 1
        few = min(_PREPARATION_ITEMS, _PREPARATION_VALUES // first[0].numel())
        items = max(few, min(16 * codes // max(positions, 1), 16 * _PREPARATION_ITEMS))
        count = max(1, -(-items // config.batch_size))
        model.prepare([first, *(batches.batch(step) for step in range(1, count))])
