"""What commands of studies share: the words at Ctrl-C and at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vqkit.cli.failures import complain

if TYPE_CHECKING:
    from rich.table import Table


@contextmanager
def interrupted() -> Iterator[None]:
    """Say at Ctrl-C that the same command goes on, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on where it stopped", err=True)
        raise typer.Exit(130) from None


def finish(table: Table, document: dict[str, Any], report: Path, numbers: Path) -> None:
    """Print the numbers, the claims, what failed, and where all of it lies."""
    import sys

    from rich.console import Console

    Console(file=sys.stdout).print(table)
    if document.get("note"):
        typer.echo(f"note: {document['note']}")
    for claim in document["claims"]:
        said = {True: "holds", False: "DOES NOT HOLD", None: "within the noise"}[claim["holds"]]
        typer.echo(f"{said}: {claim['claim']} ({claim['numbers']})")
    for entry in document["entries"]:
        for note in entry.get("notes") or ():
            complain(f"{entry['title']}: {note}")
        if entry["status"] != "done":
            complain(f"{entry['title']} failed: {entry['error']}")
    typer.echo(f"\nreport:  {report}")
    typer.echo(f"numbers: {numbers}")
