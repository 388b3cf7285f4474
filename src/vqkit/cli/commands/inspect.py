"""``vqkit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vqkit.cli.output.writing import Writes
from vqkit.storage.outputs import marked, numbers_of

if TYPE_CHECKING:
    from vqkit.codec.inspect import Item
    from vqkit.coding import FileHeader

_COMMAND = "vqkit inspect"


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.vqk", help="What vqkit compress wrote.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Of sounds: the model, which knows their rate, for kbps.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", dir_okay=False, help="Also write it here."),
        Writes(numbers_of(_COMMAND)),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the signals: number, size, bits, name; in --json too.")
    ] = False,
    shown: Annotated[int, typer.Option("--groups", min=0, help="List so many groups, here and in --json.")] = 10,
) -> None:
    """Say what is in a .vqk file and where its bytes go; verifies every checksum, and needs no model."""
    from vqkit.cli.choosing import name_of
    from vqkit.codec.inspect import inspect_file
    from vqkit.pretrained.reference import by_digest
    from vqkit.storage import atomic

    items: list[Item] = []
    with file.open("rb") as opened:
        found = inspect_file(opened, shown=0 if listed else shown, items=items if listed else None)
    own = by_digest(found.header.tokenizer)
    if own is not None:
        found.tokenizer_name = own.name
    if model is None and own is not None and own.kind == "sound":
        model = name_of(own)
    if model is not None:
        found.sample_rate = _rate_of(model, file, found.header)
    for line in found.lines(shown, groups=not listed):
        typer.echo(line)
    for item in items:
        typer.echo(item.line)
    if json_file is not None:
        atomic.write_json(
            json_file,
            marked(_COMMAND, {**found.as_dict(), **({"items": [each.as_dict() for each in items]} if listed else {})}),
        )


def _rate_of(model: str, file: Path, header: FileHeader) -> int:
    """Return the sample rate of a file's sounds, which its model knows.

    Raises:
        ConfigError: the model knows none.
        WrongModelError: the file was made with another model.
    """
    from vqkit.cli.loading import open_discrete
    from vqkit.coding import check_model, digest
    from vqkit.errors import ConfigError
    from vqkit.pretrained.folder import content_hash

    loaded = open_discrete(model, "cpu")
    check_model("tokenizer", header.tokenizer, digest(content_hash(loaded)))
    if loaded.kind.rate is None:
        raise ConfigError(f"--model {model}: it has no sample rate, so there are no kbps of {file}; leave it out")
    return loaded.kind.rate
