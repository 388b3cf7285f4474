"""``vqkit compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.failures import complain
from vqkit.cli.options import DataArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def compare(
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for report, numbers and runs; an interrupted one is gone on with."),
        Writes(),
    ] = Path("runs/compare"),
    steps: Annotated[int | None, typer.Option(help="Optimiser steps of each network (default: 4000).")] = None,
    codebook_size: Annotated[
        int | None, typer.Option("--codebook-size", "-k", help="K of the VQ-VAE; sets the budget (default: 512).")
    ] = None,
    downsampling: Annotated[
        int | None, typer.Option("--downsampling", "-f", help="Pixels per position; sets the budget (default: 4).")
    ] = None,
    hidden_channels: Annotated[int | None, typer.Option(help="Width of all networks (default: 128).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step (default: 32).")] = None,
    validation: Annotated[
        str | None, typer.Option(help="Held-out data: a fraction, last:N, or a DATA (default: 0.1).")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="For Frechet distances: auto, classifier, random, inception, or module:attribute."),
    ] = None,
    rungs: Annotated[
        str | None,
        typer.Option(
            help="Which rungs (default: pca,ae,vae,vqvae; besides quantized: a VAE quantized afterwards; of vectors "
            "pq,opq,rq,vqvae)."
        ),
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the VAE's KL term (default: 1).")] = None,
    beta_warmup: Annotated[
        int | None, typer.Option(help="Steps in which the VAE's beta rises from 0 (default: a tenth of all).")
    ] = None,
    free_bits: Annotated[
        float | None, typer.Option(help="Nats of each of the VAE's latent numbers that cost nothing (default: 0).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default: 0).")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Train with each, e.g. 0,1,2, on one split: means and deviations."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. prior_steps=8000.")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Compare PCA, autoencoder, VAE and VQ-VAE on DATA at the same latent bits; one report that opens offline.

    Of vectors: PQ, OPQ, RQ and an RQ-VAE at the same bytes a vector (--set num_codebooks=[4,8]).
    """
    import shlex
    import sys

    from rich.console import Console

    from vqkit.cli.output.terminal import comparison_table, vectors_table
    from vqkit.cli.training.settings import assignments, seeds_given
    from vqkit.data import load_source
    from vqkit.studies.ladder.settings import RUNGS, CompareConfig
    from vqkit.studies.ladder.study import compare as run
    from vqkit.studies.vectors.settings import RUNGS as OF_VECTORS
    from vqkit.studies.vectors.settings import VectorsConfig
    from vqkit.studies.vectors.study import compare_vectors

    set_threads(threads)
    given: dict[str, Any] = {
        "steps": steps,
        "codebook_size": codebook_size,
        "downsampling": downsampling,
        "hidden_channels": hidden_channels,
        "batch_size": batch_size,
        "validation": validation,
        "features": features,
        "beta": beta,
        "beta_warmup": beta_warmup,
        "free_bits": free_bits,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    source, table = load_source(data), comparison_table
    of_vectors = source.axes == 0
    names = [name.strip() for name in (rungs or ",".join(OF_VECTORS if of_vectors else RUNGS)).split(",")]
    about: dict[str, Any] = {"rungs": [name for name in names if name], "say": say}
    about["seeds"] = seeds_given(seeds, seed)
    about["command"] = shlex.join(["vqkit", *sys.argv[1:]])
    try:
        result: Any
        if of_vectors:
            chosen = VectorsConfig.from_dict({**given, **assignments(VectorsConfig, set_ or [])})
            result, table = compare_vectors(source, out, config=chosen, **about), vectors_table
        else:
            config = CompareConfig.from_dict({**given, **assignments(CompareConfig, set_ or [])})
            result = run(source, out, config=config, **about)
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on where it stopped", err=True)
        raise typer.Exit(130) from None
    Console(file=sys.stdout).print(table(result.document))
    show_failures(result.document, result.path)
    show_story(result.document)
    typer.echo(f"\nreport:  {result.report}")
    if not of_vectors:
        typer.echo(f"picture: {result.picture}")
    typer.echo(f"numbers: {result.path / 'compare.json'}")


def say(sentence: str) -> None:
    """Print progress to standard error."""
    typer.echo(sentence, err=True)


def show_failures(document: dict[str, Any], path: Path) -> None:
    """Print the error of each failed rung, and the file that holds its traceback."""
    for rung in document["rungs"]:
        if rung["status"] != "done":
            more = path / rung["key"] / "error.txt"
            complain(f"{rung['title']} failed: {rung['error']} (all of it: {more})")


def show_story(document: dict[str, Any]) -> None:
    """Each claim of the story, whether it holds or is within the noise, and its numbers."""
    for claim in document["story"]:
        said = {True: "holds", False: "DOES NOT HOLD", None: "within the noise"}[claim["holds"]]
        typer.echo(f"{said}: {claim['claim']} ({claim['numbers']})")
