"""Parts of ``vqkit edit`` that are about sound: a stretch of seconds, and files of what was made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vqkit.models import IndexModel

FADE_SECONDS = 0.01
"""Over which decoded samples go over into the sound's own."""


def check_sounds(model: IndexModel, name: str, given: dict[str, object]) -> None:
    """Raise ``ConfigError`` where options of images were given, or no stretch, or seconds mean nothing.

    Args:
        model: of signals of one axis.
        name: of it.
        given: what is for images only, by option.
    """
    from vqkit.errors import ConfigError

    foreign = [option for option, value in given.items() if value is not None]
    if foreign:
        raise ConfigError(
            f"{', '.join(foreign)}: of images, and {name} reads {model.kind.noun[1]}; give the seconds to draw anew: "
            "--from 1.0 --to 1.5"
        )
    if model.kind.rate is None:
        raise ConfigError(f"{name}: its sounds have no sample rate, so seconds mean nothing; train on sound@16000, say")


def seconds(option: str, text: str) -> float:
    """Read a time in seconds.

    Raises:
        ConfigError: no such number.
    """
    from vqkit.errors import ConfigError

    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        raise ConfigError(f"{option} {text}: give seconds, such as {option} 1.5")
    return found


def stretch(start: float | None, stop: str | None, length: int, rate: int) -> tuple[int, int]:
    """Return the first sample to draw, and the one behind the last.

    Args:
        start: seconds; None: at the end of the sound.
        stop: seconds, beyond the end to go on; None: the end.
        length: samples of the sound.
        rate: samples a second.

    Raises:
        ConfigError: neither, or nothing between them.
    """
    from vqkit.errors import ConfigError

    if start is None and stop is None:
        raise ConfigError("give the seconds to draw anew: --from 1.0 --to 1.5, beyond the end to go on")
    first = length if start is None else round(start * rate)
    last = length if stop is None else round(seconds("--to", stop) * rate)
    if first > length:
        raise ConfigError(
            f"--from {start:g}: the sound ends at {length / rate:.4g} s; give less, or leave it out to go on"
        )
    if last <= first:
        raise ConfigError(
            f"--from {first / rate:.4g} --to {last / rate:.4g}: nothing to draw; the sound lasts {length / rate:.4g} s"
        )
    return first, last


def open_sound(model: IndexModel, name: str) -> Tensor:
    """One sound ``[channels, time]`` in the model's channels and at its rate: a file, or item NUMBER of DATA:NUMBER.

    Raises:
        DataError: no such sound.
    """
    import torch

    from vqkit.errors import DataError
    from vqkit.models.matching import in_channels, open_source

    data, colon, number = name.rpartition(":")
    spec, item = (data, int(number)) if colon and number.isdigit() and not Path(name).exists() else (name, 0)
    source = in_channels(model, open_source(model, spec), spec)
    if not item < len(source):
        raise DataError(f"{name}: {spec} has {len(source):,} items, 0 to {len(source) - 1}")
    if spec == name and len(source) > 1:
        raise DataError(f"{name} holds {len(source):,} sounds; name one of them by its number: {name}:0")
    return torch.from_numpy(source.gather([item])[0])


def write_versions(model: IndexModel, original: Tensor, made: Tensor, folder: Path) -> None:
    """Write each version as a file, and a sheet of spectrograms, the original first."""
    from vqkit.cli.generating import file_name, sheet

    suffix = model.kind.suffix(model.channels)
    for number, version in enumerate(made):
        path = folder / file_name(number, len(made), None, suffix)
        model.kind.write(version.numpy(), path, durable=False, made="edit")
    pictures = [("original", original), *((f"version {number}", each) for number, each in enumerate(made[:12]))]
    rows = [(caption, [model.kind.show(each.numpy())]) for caption, each in pictures]
    sheet([], folder / "sheet.png", rows)  # type: ignore[arg-type]
