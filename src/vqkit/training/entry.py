"""``train`` and ``resume``: the whole way from a model and data to a run folder."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vqkit import atomic
from vqkit.codec.encoding import fitting_batch
from vqkit.data import Batches, Source, default_crop, load_source, split
from vqkit.errors import ConfigError, DataError
from vqkit.models import VQVAE, Model
from vqkit.training import checkpoint
from vqkit.training.config import TrainConfig
from vqkit.training.interrupt import stop_on_signal
from vqkit.training.judge import Judge
from vqkit.training.loop import Loop, describe
from vqkit.training.parallel import Processes, full, start_processes
from vqkit.training.progress import Progress
from vqkit.training.run import CHECKPOINTS, MODEL, PICTURES, Run, new_run_path, read_config, write_config
from vqkit.training.runlog import RunLog, read_log

_PREPARATION_ITEMS = 1024
_PREPARATION_VALUES = 1 << 23
"""At most so many items, and values, to measure the signal's scale and find the first codebook; more for many codes."""


def train(
    model: Model,
    data: Any,
    *,
    out: str | Path | None = None,
    config: TrainConfig | None = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    **settings: Any,
) -> Run:
    """Train ``model`` on ``data`` and write a run folder; the same as ``vqkit train``.

    Afterwards ``model`` holds the averaged weights, in evaluation mode. Ctrl-C writes a checkpoint and returns a run
    that is not ``finished``. Under torchrun every process calls this with the same arguments.

    Args:
        model: trained in place.
        data: a source, or whatever ``load_source`` takes.
        out: a new folder; None takes the first free ``runs/NAME-001``.
        config: all settings at once, or give single ``settings`` of ``TrainConfig`` by name (minutes=10, ...).
        quiet: show no progress.
        tensorboard: also write TensorBoard events, where it is installed.
        console: where progress goes; None takes standard error.

    Raises:
        VqkitError: data, settings or folder that do not work; NaN or Inf while training.
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    config = config or TrainConfig.from_dict(settings)
    source = load_source(data)
    spec = data if isinstance(data, (str, Path)) else source.name
    processes = start_processes(config.device)
    try:
        path = new_run_path(out, f"{model.model_type}-{_slug(source.name)}") if processes.main else Path(out or ".")
        return _run(model, source, str(spec), config, path, processes, None, quiet, tensorboard, console)
    finally:
        processes.close()


def resume(
    path: str | Path,
    *,
    data: Any = None,
    quiet: bool = False,
    tensorboard: bool = True,
    console: Console | None = None,
    **changes: Any,
) -> Run:
    """Go on with a run from its newest whole checkpoint, bit for bit as if it had never stopped.

    That holds on the CPU with the same thread count, for runs of a number of steps (a run of minutes follows the
    clock). A run that was killed before its first checkpoint starts anew, with the same result.

    Args:
        path: the run folder.
        data: the data, when it has moved or was not a path; None takes what the run was started with.
        quiet: show no progress.
        tensorboard: also write TensorBoard events.
        console: where progress goes; None takes standard error.
        **changes: settings that differ from now on (steps=20_000 trains longer: the schedule stretches).

    Raises:
        VqkitError: no run there, data that cannot be found, NaN or Inf while training.
    """
    path = Path(path)
    settings = read_config(path)
    arguments = dict(settings["model"])
    model_type = arguments.pop("model_type", None)
    if model_type != VQVAE.model_type:
        raise ConfigError(f"{path}: this run trained a {model_type!r} model, which this vqkit does not know")
    training = {**settings["training"], **changes}
    if "steps" in changes and changes["steps"] is not None:
        training["minutes"] = None
    if "minutes" in changes and changes["minutes"] is not None:
        training["steps"] = None
    config = TrainConfig.from_dict(training)
    torch.manual_seed(config.seed)
    model = VQVAE.from_config(arguments)
    try:
        source = load_source(settings["data"] if data is None else data)
    except DataError as error:
        raise DataError(f"the run's data ({settings['data']}) cannot be read: {error}; give its new place") from error
    processes = start_processes(config.device)
    try:
        saved, problems = checkpoint.latest(path / CHECKPOINTS)
        for problem in problems:
            (console or Console(stderr=True)).print(problem, style="yellow", markup=False)
        spec = settings["data"] if data is None else str(data)
        return _run(model, source, spec, config, path, processes, saved, quiet, tensorboard, console)
    finally:
        processes.close()


def _run(
    model: Model,
    source: Source,
    spec: str,
    config: TrainConfig,
    path: Path,
    processes: Processes,
    saved: checkpoint.Checkpoint | None,
    quiet: bool,
    tensorboard: bool,
    console: Console | None,
) -> Run:
    training, validation = validation_split(source, config)
    if config.crop is None and source.axes == 2:
        config = replace(config, crop=default_crop(source))
    _check_fit(model, source)
    batches = Batches(
        training,
        config.batch_size,
        crop=config.crop,
        flip=config.flip,
        seed=config.seed,
        rank=processes.rank,
        world=processes.world,
    )
    if processes.main:
        path.mkdir(parents=True, exist_ok=True)
        for folder in (path, path / CHECKPOINTS, path / PICTURES):
            if folder.is_dir():
                atomic.remove_leftovers(folder)
        write_config(path, spec, model, config.as_dict())
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
    log = RunLog(path, log_size, loop.step, tensorboard) if processes.main else None
    title = f"{source.describe()} -> {path}" + (f", from step {loop.step:,}" if saved is not None else "")
    try:
        with stop_on_signal() as stop, Progress(title, show=processes.main and not quiet, console=console) as progress:
            done = loop.go(log, progress, stop)  # type: ignore[arg-type]
            if not done:
                progress.say(f"stopped at step {loop.step:,}; go on with: vqkit train --resume {path}")
                return Run(path, False, loop.step)
            evaluation = _finish(model, loop, judge, log, path, processes)
            progress.say(f"done at step {loop.step:,}: {describe(evaluation)}")
            return Run(path, True, loop.step, evaluation)
    finally:
        if log is not None:
            log.close()


def _finish(
    model: Model, loop: Loop, judge: Judge, log: RunLog | None, path: Path, processes: Processes
) -> dict[str, Any]:
    """Put the average into the model, save it, and judge it on the whole validation set."""
    final = type(model).from_config(model.config).to(processes.device)
    tensors = {name: full(tensor) for name, tensor in loop.average.shadow.state_dict().items()}
    final.load_state_dict(tensors)
    final.eval()
    if processes.main:
        final.save_pretrained(path / MODEL)
    evaluation, picture = judge.at_the_end(final)
    if log is not None and not any(entry["kind"] == "final" for entry in read_log(path)):
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


def validation_split(source: Source, config: TrainConfig) -> tuple[Source, Source]:
    """Training and validation items as ``TrainConfig.validation`` says.

    Raises:
        ConfigError: a fraction or a number out of range.
        DataError: a validation source that cannot be read, or of another kind than the data.
    """
    text = str(config.validation)
    if text.startswith("last:"):
        number = text.removeprefix("last:")
        if not number.isdigit() or not 0 < int(number) < len(source):
            raise ConfigError(
                f"validation={text!r}: give last:N with N from 1 to {len(source) - 1} (the data has {len(source)})"
            )
        first = len(source) - int(number)
        return source.subset(range(first)), source.subset(range(first, len(source)))
    try:
        fraction = float(text)
    except ValueError:
        other = load_source(text)
        if (other.channels, other.axes) != (source.channels, source.axes):
            raise DataError(f"validation data {other.describe()} does not match {source.describe()}") from None
        return source, other
    if not 0 < fraction < 1:
        raise ConfigError(f"validation={text!r}: give a fraction between 0 and 1, last:N, or a data source")
    return split(source, fraction, config.seed)


def _check_fit(model: Model, source: Source) -> None:
    if (model.channels, model.axes) != (source.channels, source.axes):
        raise ConfigError(
            f"the model reads signals of {model.axes} axes and {model.channels} channels, but this is "
            f"{source.describe()}; make the model with VQVAE.for_source(source), or channels={source.channels}, "
            f"axes={source.axes}"
        )


def _slug(name: str) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in Path(name).stem or name).strip("-").lower()
    return kept[:40] or "data"
