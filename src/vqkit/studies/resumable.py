"""A study's folder: claimed by its settings, every training in it gone on with where it was interrupted."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from vqkit._version import __version__
from vqkit.data import Source
from vqkit.storage.reading import read_json
from vqkit.training import TrainConfig, resume, train
from vqkit.training.record.claims import Claim, recorded, set_aside, take
from vqkit.training.record.log import read_log
from vqkit.training.record.run import CONFIG
from vqkit.training.trainable import load_trained


def claim(
    path: Path,
    settings: Mapping[str, Any],
    source: Source,
    made_of: Mapping[str, str],
    what: str,
    say: Callable[[str], None],
) -> None:
    """Make the folder, or make sure that it is of this very study; the same study of other data is set aside.

    Args:
        path: the folder.
        settings: strict JSON values.
        source: the data.
        made_of: hashes of the contents that the study depends on, the data's among them.
        what: the kind of study, with its article: "a comparison".
        say: told where an earlier study is now, and what cannot be compared.

    Raises:
        ConfigError: the folder holds another study, or something else.
    """
    mine = Claim(what, settings, made_of, f"{Path(source.name).name}, {source.describe()}", __version__)
    there = recorded(path)
    aside = set_aside(path, mine, ("data", "validation"))
    if aside is not None:
        say(f"note: {path} held {what} of other data ({there.get('data')}); it is in {aside} now")
    if not take(path, mine):
        say(f"note: {path} was begun by an older vqkit and does not say of which contents, so they are not compared")


def known(file: Path) -> dict[str, Any] | None:
    """Read a result that an earlier run of the study kept; None where there is none, or only a part of one."""
    try:
        found = read_json(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def trained(path: Path, make: Callable[[], Any], data: Source, config: TrainConfig, *, quiet: bool) -> Any:
    """The trained model (or prior) of a run folder: begun, gone on with, or finished long ago.

    Args:
        path: the run folder.
        make: the new model.
        data: what it is trained on.
        config: how.
        quiet: show no progress.

    Raises:
        TrainingInterrupted: Ctrl-C; a checkpoint is written.
    """
    path = path.resolve()
    if (path / "model" / "config.json").is_file():
        return load_trained(path)
    if (path / CONFIG).is_file():
        run = resume(path, data=data, quiet=quiet, tensorboard=False)
    else:
        torch.manual_seed(config.seed)
        run = train(make(), data, out=path, config=config, quiet=quiet, tensorboard=False)
    return run.model()


def seconds_trained(path: Path) -> float:
    """Seconds of training of a run, over all starts."""
    return max((line.get("seconds") or 0.0 for line in read_log(path) if line["kind"] == "train"), default=0.0)


def keep_error(folder: Path, error: Exception) -> str:
    """Write the traceback of a part that failed to ``error.txt`` in its folder; the error in one line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "error.txt").write_text(
        "".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace"
    )
    return f"{type(error).__name__}: {error}"
