"""``vqkit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import marked, numbers_of

_COMMAND = "vqkit inspect"


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress wrote.")],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, help="Also write it here."),
        Writes(numbers_of(_COMMAND)),
    ] = None,
    shown: Annotated[int, typer.Option("--groups", min=0, help="List so many groups, here and in --json.")] = 10,
) -> None:
    """Say what is in a .vqk file and where its bytes go; verifies every checksum, and needs no model."""
    from vqkit.codec.inspect import inspect_file
    from vqkit.storage import atomic

    with file.open("rb") as opened:
        found = inspect_file(opened, shown=shown)
    for line in found.lines(shown):
        typer.echo(line)
    if json_file is not None:
        atomic.write_json(json_file, marked(_COMMAND, found.as_dict()))
