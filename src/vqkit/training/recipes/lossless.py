"""Training a pixel prior on images, for lossless files: the tokenizer gives the indices of each crop on the fly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vqkit.data import Source, default_crop, evaluation_batches
from vqkit.errors import ConfigError
from vqkit.models import VQVAE
from vqkit.pixels import PixelPrior
from vqkit.priors import ContextPrior, load_prior
from vqkit.spelling import option
from vqkit.training.api import go_on, train
from vqkit.training.config import TrainConfig
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.record.log import with_numbers
from vqkit.training.record.run import CONFIG, MODEL, Run, read_config

LOSSLESS = "lossless"
CONTEXT = "context"
CROP = 64
"""Side in pixels of crops of images that are not trained on whole: every pixel of a crop is learned from at once."""


def train_lossless(
    model: VQVAE,
    source: Source,
    out: str | Path,
    *,
    config: TrainConfig,
    options: Mapping[str, Any] | None = None,
    quiet: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a pixel prior for a tokenizer on images, or go on with it.

    Args:
        model: the tokenizer; it stays as it is.
        source: images; ``config.validation`` says which of them are held out, as for the model itself.
        out: the run's folder; new, or of an interrupted training.
        config: of the training. Images of different sizes, or large ones, are trained on in crops (``config.crop``,
            or 64).
        options: further keyword arguments of ``PixelPrior``.
        quiet: show no progress.
        console: where progress goes.

    Raises:
        ConfigError: a model or data that are no images, a folder that is another run's.
    """
    if not source.kind.converts:
        raise ConfigError(f"{source.describe()}: lossless files are for images; give images of 8 bits")
    path = Path(out)
    images = source.with_channels(model.channels)
    if (path / CONFIG).is_file():
        kind = read_config(path)["model"].get("model_type")
        if kind != PixelPrior.model_type:
            raise ConfigError(f"{path} holds a run of another kind ({kind}); choose another {option('out')}")
    if config.crop is None and default_crop(images) is not None:
        config = replace(config, crop=CROP)
    prior = PixelPrior.for_model(model, seed=config.seed, **(options or {}))
    if (path / CONFIG).is_file():
        return go_on(path, prior, images, config=config, tokenizer=model, quiet=quiet, console=console)
    return train(prior, images, out=path, config=config, quiet=quiet, console=console)


def bits_per_dim(run: Run, model: VQVAE, source: Source, context: str | Path | None = None) -> dict[str, float]:
    """Bits per dimension of lossless files of the held-out images: the residual's, the tokens', and their sums.

    Args:
        run: a finished one.
        model: the tokenizer.
        source: the data of the run.
        context: folder of a context prior over the indices; None: uniform bits only.

    Returns:
        ``residual``, ``uniform`` (tokens at log2 K bits), ``total`` with these; with a context prior also ``context``
        (tokens under it) and ``total_context``.
    """
    evaluation = run.evaluation or _last_evaluation(run)
    found = {
        "residual": float(evaluation["residual_bits_per_dim"]),
        "uniform": float(evaluation["token_bits_per_dim"]),
        "total": float(evaluation["lossless_bits_per_dim"]),
    }
    if context is not None:
        config = TrainConfig.from_dict(read_config(run.path)["training"])
        held_out = validation_split(source.with_channels(model.channels), config)[1]
        found["context"] = _context_bits(model, held_out, Path(context))
        found["total_context"] = found["residual"] + found["context"]
    return found


def context_of(run: str | Path) -> Path | None:
    """The folder of the context prior beside a tokenizer's run; None where there is none that has been finished."""
    path = Path(run) / CONTEXT / "run"
    return path if (path / MODEL / "config.json").is_file() else None


def _last_evaluation(run: Run) -> dict[str, Any]:
    found = [line for line in run.log() if "residual_bits_per_dim" in line]
    if not found:
        raise ConfigError(f"{run.path}: this run has no evaluation yet; go on with it first")
    return with_numbers(run.path, found[-1], ["residual_bits_per_dim", "token_bits_per_dim", "lossless_bits_per_dim"])


@torch.no_grad()
def _context_bits(model: VQVAE, held_out: Source, path: Path) -> float:
    prior = load_prior(path)
    if not isinstance(prior, ContextPrior):
        raise ConfigError(f"{path} holds a {prior.model_type} prior; files need one of the kind context")
    prior.to(model.device)
    bits, values = 0.0, 0
    for _, batch in evaluation_batches(held_out, 64):
        indices = model.encode(batch.to(model.device))
        bits -= float(prior.log_prob(indices).sum()) / math.log(2)
        values += batch.numel()
    return bits / values
