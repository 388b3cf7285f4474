"""``vqkit study beta``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.commands.study.running import finish, interrupted
from vqkit.cli.options import DataArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def beta(
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for report, numbers and runs; an interrupted one is gone on with."),
        Writes(),
    ] = Path("runs/beta"),
    betas: Annotated[
        str | None, typer.Option("--betas", help="Weights of the KL term, by commas (default: 0.25,1,4,16,64,256).")
    ] = None,
    remedies: Annotated[
        str | None,
        typer.Option(
            help="What each beta is also trained with, of warmup,free_bits, by commas (default: both); or none."
        ),
    ] = None,
    latent_dim: Annotated[int | None, typer.Option(help="Numbers in the latent vector (default: 16).")] = None,
    free_bits: Annotated[
        float | None, typer.Option(help="Nats of each latent number that cost nothing (default: 0.25).")
    ] = None,
    beta_warmup: Annotated[
        int | None, typer.Option(help="Steps in which beta rises from 0 (default: half of all).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each training (default: 1000).")] = None,
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
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. flip=true.")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Train a VAE with several weights of its KL term: error, rate, active units, where the posterior collapses."""
    import shlex
    import sys

    from vqkit.cli.output.studies import beta_table
    from vqkit.cli.training.settings import assignments, numbers, seeds_given
    from vqkit.studies.beta.settings import BetaConfig
    from vqkit.studies.beta.study import study_beta

    set_threads(threads)
    named = None if remedies is None else [each.strip().replace("-", "_") for each in remedies.split(",")]
    given: dict[str, Any] = {
        "betas": None if betas is None else numbers("--betas", betas, float),
        "remedies": [] if named == ["none"] else named,
        "latent_dim": latent_dim,
        "free_bits": free_bits,
        "beta_warmup": beta_warmup,
        "steps": steps,
        "downsampling": downsampling,
        "hidden_channels": hidden_channels,
        "batch_size": batch_size,
        "validation": validation,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    config = BetaConfig.from_dict({**given, **assignments(BetaConfig, set_ or [])})
    command = shlex.join(["vqkit", *sys.argv[1:]])
    with interrupted():
        result = study_beta(
            data, out, config=config, seeds=seeds_given(seeds, seed), command=command,
            say=lambda told: typer.echo(told, err=True),
        )  # fmt: skip
    finish(beta_table(result.document), result.document, result.report, result.path / "beta.json")
