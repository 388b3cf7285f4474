"""``vqkit info``."""

from __future__ import annotations

from typing import Annotated

import typer


def info(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A run, a model, a token set, or DATA.")],
) -> None:
    """Say what a run, a model, a token set or a data source is."""
    from vqkit.cli.describing import describe

    for line in describe(what):
        typer.echo(line)
