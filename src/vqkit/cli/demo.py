"""``vqkit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.options import ThreadsOption, set_threads


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the demo's run goes (replaced each time).")] = Path(
        "runs/demo"
    ),
    seconds: Annotated[float, typer.Option(min=1, help="Time to train.")] = 100.0,
    threads: ThreadsOption = None,
) -> None:
    """Watch a VQ-VAE learn on built-in photographs: train, judge, tokenize, decode; no download, under 3 minutes."""
    import sys

    from rich.console import Console

    from vqkit.cli.tables import evaluation_table
    from vqkit.studies.demo import run_demo

    set_threads(threads)
    result = run_demo(out, seconds)
    console = Console(file=sys.stdout)
    console.print(evaluation_table(result.evaluation))
    typer.echo(f"\npicture: {result.picture}")
    typer.echo(f"tokens:  {result.tokens} ({result.token_items:,} images as {result.token_bytes:,} bytes of indices)")
    typer.echo("\nnext, with your own images:")
    typer.echo("  vqkit train PHOTOS/ --out runs/mine --minutes 10")
    typer.echo("  vqkit eval runs/mine")
    typer.echo("  vqkit encode runs/mine PHOTOS/ --out tokens")
