"""Parts of the commands that compress: what they are given, under names that a ``.vqk`` file can hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vqkit.checking import counted
from vqkit.cli.failures import warn
from vqkit.errors import ConfigError

if TYPE_CHECKING:
    from vqkit.codec import Signal
    from vqkit.data.inputs import InputSignals
    from vqkit.models import Model


def check_vqk_name(out: Path) -> None:
    """Raise ``ConfigError`` for the name of an image or a sound."""
    from vqkit.data.images.reading import EXTENSIONS
    from vqkit.data.sounds.loading import EXTENSIONS as SOUND_EXTENSIONS

    if out.suffix.lower() in EXTENSIONS | SOUND_EXTENSIONS:
        what = "images" if out.suffix.lower() in EXTENSIONS else "sounds"
        raise ConfigError(f"{out}: {out.suffix} is for {what}; name the file to write OUT.vqk")


def check_bound(max_error: str | None, others: dict[str, bool]) -> None:
    """Raise for ``--max-error`` beside another option that says what comes back, or that is no bound."""
    from vqkit.codec.bounded.bound import MaxError

    if max_error is None:
        return
    given = [name for name, value in others.items() if value]
    if given:
        raise ConfigError(f"--max-error settles the size, and what comes back: leave {' and '.join(given)} out")
    MaxError.read(max_error)


def signals_of(named: list[InputSignals], model: Model, lossless: bool) -> Iterator[Signal]:
    """Yield the signals of inputs, as a model reads them."""
    from vqkit.codec import Signal

    for each in named:
        for name, values in each.read(model.channels, model.kind, lossless=lossless):
            yield Signal(values, name)


def storable(named: list[InputSignals]) -> tuple[list[InputSignals], list[str]]:
    """The same with names that a .vqk file can hold, and lines on those that changed. Raises for all at once."""
    from dataclasses import replace

    from vqkit.coding.names import check_name, storable_name
    from vqkit.data.skipped import Skipped, skip_lines
    from vqkit.errors import ConfigError

    bad, renamed = [], []
    for name in (name for each in named for name in each.names):
        try:
            new = check_name(storable_name(name))
        except ConfigError as error:
            bad.append(error)
            continue
        if new != name:
            renamed.append(Skipped(name, f"kept as {new}"))
    if len(bad) == 1:
        raise bad[0]
    if bad:
        more = f" (and {len(bad) - 10:,} more)" if len(bad) > 10 else ""
        raise ConfigError(f"{len(bad):,} names do not work: {'; '.join(map(str, bad[:10]))}{more}")
    found = [replace(each, names=tuple(map(storable_name, each.names))) for each in named]
    names = [name for each in found for name in each.names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"two files would both be {twice} in a .vqk file; rename one of them")
    return found, skip_lines(renamed, 10)


def say_notes(named: list[InputSignals], renamed: list[str]) -> None:
    """Print which inputs were left out or converted, to standard error."""
    from vqkit.data.skipped import skip_lines
    from vqkit.errors import shown

    for note in dict.fromkeys(note for each in named for note in each.notes):
        typer.echo(f"  note: {shown(note)}", err=True)
    if renamed:
        typer.echo("  note: names that a .vqk file cannot hold on every system are kept otherwise:", err=True)
    for line in renamed:
        typer.echo(f"    {line}", err=True)
    skipped = [one for each in named for one in each.skipped]
    for line in skip_lines(skipped, 10):
        warn(f"  skipped {line}")
    if any(each.skipped and not each.names for each in named):
        typer.echo(
            f"  note: {counted(len(skipped), 'item')} skipped, and the signals are numbered without what was skipped",
            err=True,
        )
