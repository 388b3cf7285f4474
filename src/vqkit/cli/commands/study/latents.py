"""``vqkit study latents``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.commands.study.running import finish, interrupted
from vqkit.cli.options import DataArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def latents(
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for report, numbers and runs; an interrupted one is gone on with."),
        Writes(),
    ] = Path("runs/latents"),
    cells: Annotated[
        int | None, typer.Option(help="Decoded pictures along each axis of the plane (default: 15).")
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the VAE's KL term (default: 1).")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each training (default: 2000).")] = None,
    downsampling: Annotated[
        int | None, typer.Option("--downsampling", "-f", help="Pixels per position on each axis (default: 4).")
    ] = None,
    hidden_channels: Annotated[int | None, typer.Option(help="Width of the networks (default: 64).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Signals per step (default: 32).")] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, last:N, or a DATA (default: 0.1).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default: 0).")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Train with each, e.g. 0,1,2, on one split: means and deviations."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. reach=4.")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Decode the plane of two latent numbers, autoencoder beside VAE, with the data over it: holes against none."""
    import shlex
    import sys

    from vqkit.cli.output.studies import latents_table
    from vqkit.cli.training.settings import assignments, seeds_given
    from vqkit.studies.latents.settings import LatentsConfig
    from vqkit.studies.latents.study import study_latents

    set_threads(threads)
    given: dict[str, Any] = {
        "cells": cells,
        "beta": beta,
        "steps": steps,
        "downsampling": downsampling,
        "hidden_channels": hidden_channels,
        "batch_size": batch_size,
        "validation": validation,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    config = LatentsConfig.from_dict({**given, **assignments(LatentsConfig, set_ or [])})
    command = shlex.join(["vqkit", *sys.argv[1:]])
    with interrupted():
        result = study_latents(
            data, out, config=config, seeds=seeds_given(seeds, seed), command=command,
            say=lambda told: typer.echo(told, err=True),
        )  # fmt: skip
    finish(latents_table(result.document), result.document, result.report, result.path / "latents.json")
    typer.echo(f"picture: {result.path / 'pictures' / 'plane_with_data.png'}")
