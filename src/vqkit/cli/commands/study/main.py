"""``vqkit study ...``: whole experiments, each with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.commands.study.beta import beta
from vqkit.cli.commands.study.latents import latents
from vqkit.cli.commands.study.rate_distortion import rate_distortion
from vqkit.cli.failures import complain
from vqkit.cli.listing import ListingCommand
from vqkit.cli.memory import reading
from vqkit.cli.options import DataArgument, ThreadsOption, set_threads
from vqkit.cli.output.shell import say_next
from vqkit.cli.output.writing import Writes, writing

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


app.command("rate-distortion", cls=ListingCommand)(reading(writing(rate_distortion)))
app.command("beta", cls=ListingCommand)(reading(writing(beta)))
app.command("latents", cls=ListingCommand)(reading(writing(latents)))


@app.callback()
def _study() -> None:
    """Run a whole experiment on DATA and write one report that opens offline."""


@app.command("codebooks", cls=ListingCommand)
@reading
@writing
def codebooks(
    data: DataArgument,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for report, numbers and runs; an interrupted one is gone on with."),
        Writes(),
    ] = Path("runs/codebooks"),
    sizes: Annotated[str | None, typer.Option("--sizes", "-k", help="Codes, by commas (default: 64,512,4096).")] = None,
    quantizers: Annotated[
        str | None,
        typer.Option(
            "--quantizers",
            "-q",
            help="Names by commas, of {quantizers}, each with options if you like: ema,simvq,ema:gradient=rotation,"
            "ema:num_codebooks=2:stacking=residual (default: all kinds, and one that collapses).",
        ),
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
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. code_dim=32.")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Compare quantizers over the size of the codebook: usage, perplexity, error, at equal steps."""
    import shlex
    import sys

    from rich.console import Console

    from vqkit.cli.output.terminal import codebooks_table
    from vqkit.cli.training.settings import assignments, seeds_given
    from vqkit.studies.codebooks.settings import CodebooksConfig
    from vqkit.studies.codebooks.study import codebooks as run

    set_threads(threads)
    given: dict[str, Any] = {
        "sizes": None if sizes is None else _sizes(sizes),
        "quantizers": None if quantizers is None else _names(quantizers),
        "steps": steps,
        "downsampling": downsampling,
        "hidden_channels": hidden_channels,
        "batch_size": batch_size,
        "validation": validation,
        "seed": seed,
    }
    given = {name: value for name, value in given.items() if value is not None}
    config = CodebooksConfig.from_dict({**given, **assignments(CodebooksConfig, set_ or [])})
    command = shlex.join(["vqkit", *sys.argv[1:]])
    try:
        result = run(
            data, out, config=config, command=command, seeds=seeds_given(seeds, seed),
            say=lambda sentence: typer.echo(sentence, err=True),
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on where it stopped", err=True)
        raise typer.Exit(130) from None
    Console(file=sys.stdout).print(codebooks_table(result.document))
    typer.echo(result.document["collapse"])
    for claim in result.document["claims"]:
        said = {True: "holds", False: "DOES NOT HOLD", None: "within the noise"}[claim["holds"]]
        typer.echo(f"{said}: {claim['claim']} ({claim['numbers']})")
    for entry in result.document["entries"]:
        if entry["status"] != "done":
            told = f"{entry['name']}, {entry['codebook_size']:,} codes failed: {entry['error']}"
            complain(told)
    typer.echo(f"\nreport:  {result.report}")
    typer.echo(f"numbers: {result.path / 'codebooks.json'}")
    say_next(["train", "DATA", "--quantizer", "NAME", "--codebook-size", "K"])


def _names(text: str) -> list[str]:
    """Names by commas; those within brackets belong to a value: fsq:levels=[8,8]."""
    import re

    return [name.strip() for name in re.split(r",(?![^\[]*\])", text) if name.strip()]


def _sizes(text: str) -> list[int]:
    from vqkit.errors import ConfigError

    try:
        return [int(part.replace("_", "")) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"--sizes {text}: give whole numbers by commas, such as 64,512,4096") from None
