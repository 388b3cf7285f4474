"""The two ways into training from the command line, and what is said when it ends."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vqkit.cli.output.shell import say_next

_COPIES = 3
"""Of a codebook in training: its vectors, their sums or gradients, and the average of the weights."""
_WITHOUT_VECTORS = ("fsq", "lfq", "bsq")

if TYPE_CHECKING:
    from vqkit.training import Run, TrainConfig


def start_run(
    data: str,
    out: Path | None,
    kind: Any,
    model_settings: dict[str, Any],
    training: dict[str, Any],
    tensorboard: bool,
    seeds: Sequence[int] = (),
    purpose: str | None = None,
) -> None:
    """Make a model of this class for the data and train it; with seeds one for each."""
    from vqkit.data import load_source
    from vqkit.data.views.crops import training_size
    from vqkit.errors import ConfigError
    from vqkit.models import VQVAE, model_rates, rate_lines
    from vqkit.results.several import check_seeds_folder
    from vqkit.training import TrainConfig
    from vqkit.training import train as train_model
    from vqkit.training.recipes.purposes import purpose_named
    from vqkit.training.record.run import new_run_path

    suited = None if purpose is None else purpose_named(purpose)
    if suited is not None and kind is not VQVAE:
        raise ConfigError(f"--for {purpose}: of VQ-VAEs, and this is a {kind.__name__}; leave it out")
    config = TrainConfig.from_dict(training)
    if out is not None and int(os.environ.get("RANK", "0")) == 0:
        (check_seeds_folder(out) if seeds else new_run_path(out, ""))  # complain before the data is read
    source = load_source(data)
    if suited is not None:
        model_settings, training = suited.settle(source, model_settings, training)
        config = TrainConfig.from_dict(training)
    if not source.axes and "upsampling" in model_settings:
        raise ConfigError(f"--upsampling: {source.describe()} have no axes to sample up; leave it out")
    if config.crop and "size" in inspect.signature(kind).parameters and model_settings.get("latent") != "grid":
        model_settings = {"size": list(training_size(source, config.crop) or ()), **model_settings}
    _check_memory(model_settings)
    model = kind.for_source(source, seed=seeds[0] if seeds else config.seed, **model_settings)
    config = TrainConfig.from_dict({**model.default_settings(), **training})
    if "kbps" in model_settings:
        for line in rate_lines(model_rates(model)):
            typer.echo(line, err=True)
    if seeds:
        _train_seeds(
            lambda seed: kind.for_source(source, seed=seed, **model_settings), source, seeds, out, config, tensorboard
        )
    else:
        finish(train_model(model, source, out=out, config=config, tensorboard=tensorboard), purpose)


def start_from(
    data: str, out: Path | None, start: Path, training: dict[str, Any], tensorboard: bool, seeds: Sequence[int] = ()
) -> None:
    """Train on with a model that is there; with seeds once with each."""
    from vqkit.data import load_source
    from vqkit.training import TrainConfig
    from vqkit.training import train as train_model
    from vqkit.training.record.run import new_run_path
    from vqkit.training.trainable import load_trained

    model = load_trained(start)
    config = TrainConfig.from_dict({**model.default_settings(), **training, "start": str(start)})
    if out is not None and not seeds and int(os.environ.get("RANK", "0")) == 0:
        new_run_path(out, "")
    source = load_source(data)
    if seeds:
        _train_seeds(lambda _: load_trained(start), source, seeds, out, config, tensorboard)
        return
    finish(train_model(model, source, out=out, config=config, tensorboard=tensorboard))


def _check_memory(settings: dict[str, Any]) -> None:
    """Refuse a codebook that the machine's memory cannot hold, before anything is built.

    Raises:
        ConfigError: says how much it would take.
    """
    from vqkit.errors import ConfigError
    from vqkit.resources import physical_bytes

    numbers = [settings.get(name, default) for name, default in (("codebook_size", 512), ("code_dim", 64))]
    if not all(isinstance(each, int) for each in numbers) or settings.get("quantizer") in _WITHOUT_VECTORS:
        return
    needed, there = 4 * _COPIES * numbers[0] * numbers[1], physical_bytes()
    if needed > there:
        raise ConfigError(
            f"--codebook-size {numbers[0]}: training so many codes of {numbers[1]} numbers takes "
            f"{needed / 2**30:,.0f} GiB or more, and this machine has {there / 2**30:,.0f} GiB; give a smaller "
            "--codebook-size or --code-dim"
        )


def resume_run(path: Path, data: str | None, changes: dict[str, Any], tensorboard: bool) -> None:
    """Go on with a run."""
    from vqkit.training import resume

    finish(resume(path, data=data, tensorboard=tensorboard, **changes))


def repeat_run(
    path: Path,
    data: str | None,
    out: Path | None,
    changes: dict[str, Any],
    tensorboard: bool,
    seeds: Sequence[int] = (),
) -> None:
    """Make a run again from nothing; with seeds once with each, on its own split."""
    from dataclasses import replace

    from vqkit.training import repeat
    from vqkit.training.repeating import recipe_of_run

    if seeds:
        recipe = recipe_of_run(path, data=data, **changes)
        config = recipe.config
        config = replace(config, split_seed=config.seed if config.split_seed is None else config.split_seed)
        _train_seeds(recipe.make, recipe.data, seeds, out, config, tensorboard)
        return
    finish(repeat(path, data=data, out=out, tensorboard=tensorboard, **changes))


def _train_seeds(
    make: Callable[[int], Any],
    data: Any,
    seeds: Sequence[int],
    out: Path | None,
    config: TrainConfig,
    tensorboard: bool,
) -> None:
    """Train with each of the seeds, and show what they have in common."""
    from vqkit.results import train_seeds

    found = train_seeds(make, data, seeds, out=out, config=config, tensorboard=tensorboard)
    typer.echo(f"seeds {', '.join(map(str, found.document['seeds']))}, mean ± standard deviation of held-out items:")
    for line in found.table().lines():
        typer.echo(f"  {line}")
    typer.echo(f"numbers: {found.path / 'seeds.json'}")
    say_next(["table", found.path], ["plot", found.path, "--out", "curves.pdf"], ["eval", found.runs[0].path])


def finish(run: Run, purpose: str | None = None) -> None:
    """Say the rates of a model, and name the next commands."""
    from vqkit.models import Rate, rate_lines
    from vqkit.models.rates.rate import tells_more

    if int(os.environ.get("RANK", "0")):
        return
    if run.evaluation is not None and "bits_per_item" in run.evaluation:
        typer.echo(f"prior: {run.path}/model")
        say_next(["eval", "MODEL", "--prior", run.path])
        return
    found = run.evaluation or {}
    if "residual_bits_per_dim" in found:
        typer.echo(f"pixel prior: {run.path}/model")
        say_next(["compress", "IMAGES", "--model", "MODEL", "--lossless", "--pixels", run.path, "--out", "images.vqk"])
        return
    rates = [Rate(**each) for each in found.get("rates") or ()]
    if tells_more(rates):
        for line in rate_lines(rates):
            typer.echo(line)
    typer.echo(f"model: {run.path}/model")
    say_next(
        ["prior", run.path, "--for", purpose] if purpose is not None else [],
        ["eval", run.path],
        ["reconstruct", run.path, "--out", "sheet.png"]
        if found.get("ssim") is not None or found.get("channels")
        else [],
        ["encode", run.path, "DATA", "--out", "tokens"] if found.get("codebook_size") is not None else [],
    )
