"""``vqkit info``."""

from __future__ import annotations

from typing import Annotated

import typer


def info(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A run, a model, a token set, or DATA.")],
) -> None:
    """Say what a run, a model, a token set or a data source is."""
    from vqkit.cli.describing import describe
    from vqkit.errors import shown

    for line in describe(what):
        typer.echo(shown(line))
