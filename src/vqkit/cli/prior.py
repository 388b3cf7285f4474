"""``vqkit prior``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import ModelArgument, ThreadsOption, set_threads


def prior(
    model: ModelArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="What to learn (default: the run's own data, split alike).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder (default: prior/ in the run's folder).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, or ...")] = None,
    minutes: Annotated[float | None, typer.Option(help="... minutes of training (default: 10).")] = None,
    hidden_channels: Annotated[int, typer.Option(help="Width.")] = 64,
    layers: Annotated[int, typer.Option(help="Depth.")] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Grids per step.")] = 64,
    learning_rate: Annotated[float, typer.Option("--learning-rate", "--lr", help="Peak.")] = 1e-3,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, or last:N (default: the run's).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Learn p(indices) of a VQ-VAE with a gated PixelCNN; an interrupted training is gone on with."""
    from vqkit.cli.opening import open_discrete, run_settings, run_source
    from vqkit.data import load_source
    from vqkit.errors import ConfigError
    from vqkit.training import TrainConfig
    from vqkit.training.prior_run import train_prior

    set_threads(threads)
    loaded = open_discrete(model, device)
    settings: dict[str, Any] = run_settings(model)
    if not settings and (data is None or out is None):
        raise ConfigError(f"{model} is a model without a run: name the DATA to learn, and --out")
    trained: dict[str, Any] = settings.get("training", {}) if data is None else {}
    config = TrainConfig(
        steps=steps,
        minutes=minutes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validation=validation or trained.get("validation", 0.1),
        seed=trained.get("seed", seed),
        device=device,
    )
    options = {"hidden_channels": hidden_channels, "layers": layers}
    source = run_source(settings) if data is None else load_source(data)
    source = source.with_channels(loaded.channels) if loaded.axes == 2 else source
    folder = out or Path(model) / "prior"
    run = train_prior(loaded, source, folder, config=config, options=options)
    if not run.finished:
        raise typer.Exit(130)
    typer.echo(f"prior: {run.path}/model")
    typer.echo(f"next:  vqkit eval {model} --prior {run.path}")
