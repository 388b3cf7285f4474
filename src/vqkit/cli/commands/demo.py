"""``vqkit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where the demo goes (replaced each time)."), Writes()
    ] = Path("runs/demo"),
    threads: ThreadsOption = None,
) -> None:
    """Climb the ladder on built-in digits: PCA, autoencoder, VAE, VQ-VAE; no download, under 3 minutes."""
    import sys

    from rich.console import Console

    from vqkit.cli.commands.compare import say, show_story
    from vqkit.cli.output.terminal import comparison_table
    from vqkit.studies.ladder.demo import run_demo

    set_threads(threads)
    result = run_demo(out, say=say, quiet=not sys.stderr.isatty())
    typer.echo(f"\nthe four rungs: {result.picture}\nthe report:     {result.report}\n")
    Console(file=sys.stdout).print(comparison_table(result.document))
    show_story(result.document)
    typer.echo("\nnext, with your own images:")
    typer.echo("  vqkit compare PHOTOS/ --out runs/compare")
    typer.echo("  vqkit train PHOTOS/ --out runs/mine --minutes 10")
    typer.echo("  vqkit encode runs/mine PHOTOS/ --out tokens")
