"""``vqkit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vqkit.cli.options import ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where the demo goes (replaced each time)."), Writes()
    ] = Path("runs/demo"),
    kind: Annotated[
        str, typer.Option(metavar="image|sound", help="What it is of: sound is a tokenizer of spoken sentences.")
    ] = "image",
    threads: ThreadsOption = None,
) -> None:
    """A photograph and a voice as tokens, then the ladder: PCA, autoencoder, VAE, VQ-VAE; under 3 minutes.

    It computes with one thread unless --threads says more: two wait for each other where another program has a core.
    """
    import sys

    from rich.console import Console

    from vqkit.cli.commands.compare import say, show_story
    from vqkit.cli.output.terminal import comparison_table
    from vqkit.errors import ConfigError
    from vqkit.studies.ladder.demo import check_demo_folder, run_demo

    set_threads(threads or "1")
    if kind not in ("image", "sound"):
        raise ConfigError(f"--kind {kind}: give image or sound")
    if kind == "sound":
        show_speech(out, quiet=not sys.stderr.isatty())
        return
    check_demo_folder(out)
    show_first(out.parent / f"{out.absolute().name}-first")
    demo = run_demo(out, say=say, quiet=not sys.stderr.isatty())
    Console(file=sys.stdout).print(comparison_table(demo.clothes.document))
    show_story(demo.clothes.document)
    typer.echo(f"\n{in_bytes(demo.photos.document)}")
    typer.echo(f"\nclothes:     {demo.clothes.picture}, {demo.clothes.report}")
    typer.echo(f"photographs: {demo.photos.reconstructions}, {demo.photos.report}")
    typer.echo("\nnext, with your own images:")
    typer.echo("  vqkit compare PHOTOS/ --out runs/compare")
    typer.echo("  vqkit train PHOTOS/ --out runs/mine --minutes 10")
    typer.echo("  vqkit encode runs/mine PHOTOS/ --out tokens")


def show_first(out: Path) -> None:
    """Show a photograph and a voice through the models that come with vqkit, where they are there."""
    from vqkit.studies.first_look import look_first

    for look in look_first(out):
        for line in look.lines():
            typer.echo(line)


def show_speech(out: Path, *, quiet: bool) -> None:
    """Run the demo on sound, and say what it left."""
    from vqkit.cli.commands.compare import say
    from vqkit.studies.speech_demo import run_speech_demo

    demo = run_speech_demo(out, say=say, quiet=quiet)
    kbps = 8 * demo.file_bytes / demo.seconds / 1000
    typer.echo(f"{demo.seconds:.1f} s of speech: {demo.raw_bytes:,} bytes of samples, {demo.file_bytes:,} in the file")
    typer.echo(f"file:         {demo.file}, {kbps:.2f} kbps")
    typer.echo(f"sounds:       {demo.path / 'originals'}, {demo.path / 'reconstructions'}")
    typer.echo(f"spectrograms: {demo.sheet}")
    typer.echo("\nnext, with your own recordings:")
    typer.echo("  vqkit train RECORDINGS/ --out runs/mine --minutes 60")
    typer.echo("  vqkit reconstruct runs/mine RECORDINGS/ --out sheet.png")
    typer.echo("  vqkit encode runs/mine RECORDINGS/ --out tokens")


def in_bytes(document: dict[str, Any]) -> str:
    """Say in a line how near each rung comes to the images, and in how many bytes."""
    data, budget = document["data"], document["budget_bits"] / 8
    rungs = [
        f"{rung['title']} {rung['psnr_at_budget_db']:.1f} dB"
        for rung in document["rungs"]
        if rung["status"] == "done" and rung["psnr_at_budget_db"] is not None
    ]
    size = "x".join(map(str, data["size"]))
    return f"{data['name']} {size}, {budget:,.0f} bytes of {data['raw_bits'] / 8:,.0f}: {', '.join(rungs)}"
