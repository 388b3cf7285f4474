"""``vqkit convert``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vqkit.checking import counted
from vqkit.cli.options import DeviceOption, DrawingOption, ModelArgument, ThreadsOption, set_threads
from vqkit.cli.output.writing import Writes

if TYPE_CHECKING:
    from vqkit.data import Source

_SHOWN = 12


def convert(
    model: ModelArgument,
    data: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Files, folders or any other DATA.", show_default=False)
    ],
    to: Annotated[
        list[str] | None,
        typer.Option("--to", "-t", metavar="CLASS", help="Class to convert to, by name or number; again for more."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new folder (default: converted/ in the run's folder, numbered)."),
        Writes(signals=True),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Items whose name matches, such as '7_*'.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="The first so many items only.")] = None,
    temperature: DrawingOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Say it in another voice: encode, and decode under another class (of a run of train --conditional)."""
    import torch

    from vqkit.cli import generating
    from vqkit.cli.loading import open_data, open_model
    from vqkit.cli.output.terminal import counting
    from vqkit.errors import ConfigError
    from vqkit.generation import convert as converted

    set_threads(threads)
    generating.new_folder(out, model, "converted")  # said before anything is made
    loaded = open_model(model, device)
    layer = loaded.decoder_condition
    if layer is None:
        raise ConfigError(
            f"{model}: its decoder has no classes to convert to; train one that has: vqkit train DATA --conditional"
        )
    if layer.conditions.classes is None:
        raise ConfigError(f"{model}: its decoder takes vectors, which have no option here: use vqkit.convert in Python")
    if not to:
        raise ConfigError(f"give --to, one of {layer.describe()}; again for more")
    names = layer.class_names or [str(number) for number in range(layer.conditions.classes)]
    ids = list(dict.fromkeys(int(number) for number in layer.parse(to)))
    sources = [open_data(loaded, each) for each in data]
    items = [(source, number) for source in sources for number in _chosen(source, only)][:count]
    if not items:
        raise ConfigError(f"--only {only}: no item has such a name; the first is called {_name(sources[0], 0)!r}")
    before: list[Any] = []
    after: list[list[Any]] = [[] for _ in ids]
    suffix, digits = loaded.kind.suffix(loaded.channels), max(3, len(str(len(items) - 1)))
    with (
        loaded.drawing_at(temperature),
        generating.filling(out, model, "converted") as folder,
        counting("converting") as progress,
    ):
        for position, (source, number) in enumerate(items):
            signal = torch.from_numpy(source.read(number)).unsqueeze(0)
            made = converted(loaded, signal, to=ids).float().cpu().numpy()
            stem = _own(_name(source, number)).stem
            for row, target in enumerate(ids):
                file = generating.file_name(0, 1, [f"{stem} {names[target]}"], suffix).partition("-")[2]
                loaded.kind.write(made[row], folder / f"{position:0{digits}d}-{file}", durable=False, made="converted")
            if loaded.shows_pictures and position < _SHOWN:
                before.append(loaded.kind.show(loaded.to_float(signal)[0].cpu().numpy()))
                for row, pictures in enumerate(after):
                    pictures.append(loaded.kind.show(made[row]))
            progress(position + 1, len(items))
        if before:
            rows = [("original", before), *((f"as {names[one]}", row) for one, row in zip(ids, after, strict=True))]
            generating.sheet([], folder / "sheet.png", rows)
    typer.echo(f"{counted(len(items) * len(ids), *loaded.kind.noun)}: {folder}")
    if before:
        typer.echo(f"sheet: {folder / 'sheet.png'}")


def _chosen(source: Source, only: str | None) -> list[int]:
    """The numbers of the items whose name, or its last part, matches."""
    from fnmatch import fnmatch

    numbers = range(len(source))
    if only is None:
        return list(numbers)
    names = [_name(source, number) for number in numbers]
    return [number for number in numbers if fnmatch(names[number], only) or fnmatch(_own(names[number]).name, only)]


def _name(source: Source, number: int) -> str:
    """What an item is called: its path or row, else its number."""
    name = source.item_name(number)
    return str(number) if name is None else name


def _own(name: str) -> Path:
    """The path of an item itself: of ``train.parquet row 3 (7_theo_1.wav)`` that in brackets."""
    inner = re.fullmatch(r".* row \d+ \((.+)\)", name)
    return Path(inner[1] if inner else name)
