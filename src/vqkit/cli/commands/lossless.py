"""``vqkit lossless``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import DeviceOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes


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
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images, or crops, per step (default: 8).")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "--lr", help="Peak (default: 0.012).")
    ] = None,
    crop: Annotated[int | None, typer.Option(help="Side of crops (default: 64, or small images whole).")] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Mirror half of the images (default: yes).")
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, or last:N (default: the run's).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default: the run's).")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the pixel prior or of its training."),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Learn p(pixels | indices) of a VQ-VAE of images, so that files restore them bit for bit; goes on if stopped.

    Of a pixel prior that is there already, options that are not given are as they were; others are refused, by name.
    """
    from vqkit.cli.loading import open_vqvae, run_settings, run_source
    from vqkit.cli.training.priors import pixel_plan
    from vqkit.data import load_source
    from vqkit.errors import ConfigError
    from vqkit.training.recipes.lossless import LOSSLESS, bits_per_dim, context_of, train_lossless

    set_threads(threads)
    loaded = open_vqvae(model, device)
    settings: dict[str, Any] = run_settings(model)
    if not settings and (data is None or out is None):
        raise ConfigError(f"{model} is a model without a run: name the DATA to learn, and --out")
    folder = out or Path(model) / LOSSLESS
    training = {
        "steps": steps,
        "minutes": minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "crop": crop,
        "flip": flip,
        "validation": validation,
        "seed": seed,
        "device": device,
    }
    own = {"hidden_channels": hidden_channels, "neighbours": neighbours}
    trained = settings.get("training", {}) if data is None else {}
    config, options = pixel_plan(folder, trained, own=own, training=training, assigned=set_ or [])
    source = run_source(settings) if data is None else load_source(data)
    run = train_lossless(loaded, source, folder, config=config, options=options)
    found = bits_per_dim(run, loaded, source, context_of(model))
    typer.echo("bits per dimension: " + ", ".join(f"{name} {bits:.3f}" for name, bits in found.items()))
    typer.echo(f"pixel prior: {run.path}/model")
    own_folder = run.path == Path(model) / LOSSLESS
    named = [] if own_folder else ["--pixels", run.path]
    say_next(["compress", "IMAGES", "--model", place(model), "--lossless", *named, "--out", "images.vqk"])
