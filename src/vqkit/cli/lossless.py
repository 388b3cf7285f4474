"""``vqkit lossless``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import ModelArgument, ThreadsOption, set_threads
from vqkit.cli.writing import Writes


def lossless(
    model: ModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Images to learn (default: the run's own, split alike).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder (default: lossless/ in the run's folder)."), Writes()
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, or ...")] = None,
    minutes: Annotated[float | None, typer.Option(help="... minutes of training (default: 10).")] = None,
    hidden_channels: Annotated[int | None, typer.Option(help="Width.")] = None,
    neighbours: Annotated[int | None, typer.Option(help="Known pixels that a pixel reads.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images, or crops, per step.")] = 8,
    learning_rate: Annotated[float, typer.Option("--learning-rate", "--lr", help="Peak.")] = 1.2e-2,
    crop: Annotated[int | None, typer.Option(help="Side of crops (default: 64, or small images whole).")] = None,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror half of the images.")] = True,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, or last:N (default: the run's).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the pixel prior or of its training."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Learn p(pixels | indices) of a VQ-VAE of images, so that files restore them bit for bit; goes on if stopped."""
    from vqkit.cli.opening import open_discrete, run_settings, run_source
    from vqkit.cli.settings import gather_pixels
    from vqkit.data import load_source
    from vqkit.errors import ConfigError
    from vqkit.training import TrainConfig
    from vqkit.training.lossless_run import LOSSLESS, bits_per_dim, context_of, train_lossless

    set_threads(threads)
    loaded = open_discrete(model, device)
    settings: dict[str, Any] = run_settings(model)
    if not settings and (data is None or out is None):
        raise ConfigError(f"{model} is a model without a run: name the DATA to learn, and --out")
    trained: dict[str, Any] = settings.get("training", {}) if data is None else {}
    training = {
        "steps": steps,
        "minutes": minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "crop": crop,
        "flip": flip,
        "validation": validation or trained.get("validation", 0.1),
        "seed": trained.get("seed", seed),
        "device": device,
    }
    own = {"hidden_channels": hidden_channels, "neighbours": neighbours}
    options, training = gather_pixels(own, training, set_ or [])
    source = run_source(settings) if data is None else load_source(data)
    folder = out or Path(model) / LOSSLESS
    run = train_lossless(loaded, source, folder, config=TrainConfig.from_dict(training), options=options)
    if not run.finished:
        raise typer.Exit(130)
    found = bits_per_dim(run, loaded, source, context_of(model))
    typer.echo("bits per dimension: " + ", ".join(f"{name} {bits:.3f}" for name, bits in found.items()))
    typer.echo(f"pixel prior: {run.path}/model")
