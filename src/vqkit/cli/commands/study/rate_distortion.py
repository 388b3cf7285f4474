"""``vqkit study rate-distortion``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import DataArgument, DeviceOption, ThreadsOption, set_threads
from vqkit.cli.output.shell import place, say_next
from vqkit.cli.output.writing import Writes


def rate_distortion(
    data: DataArgument,
    model: Annotated[str, typer.Option("--model", "-m", help="A run folder, a model folder, or a hub name.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for report and numbers; an interrupted one is gone on with."),
        Writes(),
    ] = Path("runs/rate-distortion"),
    rate_weights: Annotated[
        str | None,
        typer.Option(help="How much a bit weighs, by commas (default: 0.25 to 8 times the trained weight)."),
    ] = None,
    codebooks: Annotated[
        str | None, typer.Option(help="Also (or only) a curve over codebooks of a residual stack: 1,2,4 or 1-8.")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="PRIOR",
            help="What codes the indices: a context prior or a histogram (default: the run's best); none: nothing.",
        ),
    ] = None,
    kbps: Annotated[
        str | None, typer.Option(help="Sound: rates of the model, by commas (default: those it was trained for).")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", "--items", min=1, help="Only the first so many, for a first look.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. webp=[10,50,90].")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Compare a model's files with JPEG, WebP, AVIF and others (sound: Opus, MP3, Vorbis): quality over bits."""
    import shlex
    import sys
    from dataclasses import fields

    from rich.console import Console

    from vqkit.cli.files import say_stale
    from vqkit.cli.loading import open_vqvae, report_source
    from vqkit.cli.output.terminal import rate_distortion_table
    from vqkit.cli.training.settings import assignments, numbers
    from vqkit.codec import known_priors
    from vqkit.errors import ConfigError
    from vqkit.models.matching import open_source
    from vqkit.models.tiling import codebooks_of
    from vqkit.spelling import option
    from vqkit.studies.rate_distortion.settings import RateDistortionConfig
    from vqkit.studies.rate_distortion.study import config_class
    from vqkit.studies.rate_distortion.study import rate_distortion as run

    set_threads(threads)
    given: dict[str, Any] = {
        "rate_weights": None if rate_weights is None else numbers("--rate-weights", rate_weights, float),
        "codebooks": None if codebooks is None else numbers("--codebooks", codebooks, int),
        "kbps": None if kbps is None else numbers("--kbps", kbps, float),
    }
    loaded = open_vqvae(model, device)
    settings = config_class(loaded)
    given["images" if settings is RateDistortionConfig else "items"] = images
    given = {name: value for name, value in given.items() if value is not None}
    foreign = [option(name) for name in given if name not in {field.name for field in fields(settings)}]
    if foreign:
        raise ConfigError(f"{', '.join(foreign)}: not of a study of {loaded.kind.noun[1]}; leave it out")
    config = settings.from_dict({**given, **assignments(settings, set_ or [])})
    if prior is None:
        say_stale(model, loaded)
    if prior is None and not known_priors(model, loaded):
        told = f"  note: {model} has no exact prior, so every index costs its whole bits; train one with: vqkit prior "
        typer.echo(f"{told}{model} --kind context", err=True)
    source = open_source(loaded, data)
    report_source(source)
    try:
        result = run(
            source,
            model,
            out,
            prior=prior,
            config=config,
            command=shlex.join(["vqkit", *sys.argv[1:]]),
            loaded=loaded,
            say=lambda sentence: typer.echo(sentence, err=True),
        )
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on where it stopped", err=True)
        raise typer.Exit(130) from None
    Console(file=sys.stdout).print(rate_distortion_table(result.document))
    for sentence in (*result.document["left_out"], *result.document["missing"]):
        typer.echo(f"not there: {sentence}", err=True)
    typer.echo(f"\nreport:  {result.report}")
    typer.echo(f"numbers: {result.path / 'rate-distortion.json'}")
    many = bool(codebooks_of(loaded)) or (loaded.num_codebooks > 1 and loaded.config["stacking"] == "residual")
    say_next(
        [
            "compress",
            "DATA",
            "--model",
            place(model),
            *(["--rate", "0.25"] if many and loaded.axes == 2 else []),
            "--out",
            "OUT.vqk",
        ]
    )
