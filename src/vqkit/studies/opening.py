"""The beginning of a study: its data split, its folder claimed; and the head of its document."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from vqkit._version import __version__
from vqkit.data import load_source
from vqkit.data.builtin import BUILTIN_PREFIX
from vqkit.errors import ConfigError
from vqkit.provenance import made_by
from vqkit.studies.images import Images, fixed_images
from vqkit.studies.networks import NetworkSettings
from vqkit.studies.resumable import claim
from vqkit.studies.spread import check_seeds
from vqkit.training.record.provenance import contents

S = TypeVar("S", bound=NetworkSettings)


def settings_of(cls: type[S], config: S | None, settings: dict[str, Any]) -> S:
    """All settings at once, or single ones by name.

    Raises:
        ConfigError: both; or what ``from_dict`` refuses.
    """
    if config is not None and settings:
        raise ConfigError(f"give config or single settings ({', '.join(settings)}), not both")
    return config or cls.from_dict(settings)


def with_first_seed(config: S, seeds: Sequence[int]) -> tuple[S, list[int]]:
    """Settings with the first of the seeds, and the seeds; none: that of the settings.

    Raises:
        ConfigError: what ``check_seeds`` refuses.
    """
    found = check_seeds(seeds, config.seed)
    return replace(config, seed=found[0]), found


def opened(data: Any, path: Path, config: S, say: Callable[[str], None]) -> tuple[S, Images]:
    """Open the data, split them, and claim the folder.

    Returns:
        The settings for this kind of signal, and the signals.

    Raises:
        ConfigError: data of a kind that cannot be shown, or a folder of something else.
        DataError: data that cannot be read.
    """
    source = load_source(data)
    config = config.of_kind(source.kind)
    for line in (*(f"note: {each}" for each in source.notes), *(f"skipped {each}" for each in source.skip_report())):
        say(line)
    if source.spec and not source.spec.startswith(BUILTIN_PREFIX):
        source.name = source.spec  # what run.json names, so that the runs can be looked at later
    images = fixed_images(source, config)
    made_of = contents(source, config.training(config.validation))
    claim(path, config.as_dict(), source, made_of, config.what, say)
    say(images.whole.describe())
    return config, images


def head(command: str, config: NetworkSettings, seeds: Sequence[int], images: Images) -> dict[str, Any]:
    """What every document of a study says of itself."""
    return {
        "vqkit": __version__,
        "command": command,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": {
            "name": Path(images.whole.name).name,
            "description": images.whole.describe(),
            "train_items": len(images.training),
            "validation_items": len(images.held_out),
            "noun": images.whole.kind.noun[1],
        },
        "settings": config.as_dict(),
        "seeds": list(seeds),
        "made_by": made_by(command),
        "machine": f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}",
    }


def as_command(name: str, data: Any, out: str | Path, config: NetworkSettings, seeds: Sequence[int]) -> str:
    """The command that makes the same study."""
    given = str(data) if isinstance(data, (str, Path)) else "DATA"
    parts = [name, shlex.quote(given), "--out", shlex.quote(str(out))]
    standard = type(config)().as_dict()
    for field, value in config.as_dict().items():
        if value != standard[field] and not (field == "seed" and len(seeds) > 1):
            parts += ["--set", shlex.quote(f"{field}={json.dumps(value)}")]
    return " ".join([*parts, *([f"--seeds {','.join(map(str, seeds))}"] if len(seeds) > 1 else [])])
