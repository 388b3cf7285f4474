"""A study's folder: claimed by its settings, every training in it gone on with where it was interrupted."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from vqkit import atomic
from vqkit.data import Source
from vqkit.errors import ConfigError
from vqkit.training import TrainConfig, resume, train
from vqkit.training.run import CONFIG
from vqkit.training.runlog import read_log
from vqkit.training.trainable import load_trained

SETTINGS = "settings.json"


class Interrupted(KeyboardInterrupt):
    """Somebody pressed Ctrl-C in the middle of a training; what was trained is kept."""


def claim(path: Path, settings: Mapping[str, Any], source: Source, what: str) -> None:
    """Make the folder, or make sure that it is of this very study.

    Args:
        path: the folder.
        settings: strict JSON values.
        source: the data.
        what: the kind of study, with its article: "a comparison".

    Raises:
        ConfigError: the folder holds another study, or something else.
    """
    file = path / SETTINGS
    mine = {"settings": dict(settings), "data": source.describe()}
    if file.is_file():
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{file}: damaged ({error}); choose another --out") from error
        if there != mine and any(entry != file for entry in path.iterdir()):
            changed = [name for name, value in settings.items() if there.get("settings", {}).get(name) != value]
            other = ", ".join(changed) or "data"
            raise ConfigError(f"{path} holds {what} with another {other}; choose another --out")
        if there == mine:
            return
    elif path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError(f"{path} holds something that is not {what}; choose another --out")
    path.mkdir(parents=True, exist_ok=True)
    atomic.write_json(file, mine)


def trained(path: Path, make: Callable[[], Any], data: Source, config: TrainConfig, *, quiet: bool) -> Any:
    """The trained model (or prior) of a run folder: begun, gone on with, or finished long ago.

    Args:
        path: the run folder.
        make: the new model.
        data: what it is trained on.
        config: how.
        quiet: show no progress.

    Raises:
        Interrupted: Ctrl-C; a checkpoint is written.
    """
    path = path.resolve()
    if (path / "model" / "config.json").is_file():
        return load_trained(path)
    if (path / CONFIG).is_file():
        run = resume(path, data=data, quiet=quiet, tensorboard=False)
    else:
        torch.manual_seed(config.seed)
        run = train(make(), data, out=path, config=config, quiet=quiet, tensorboard=False)
    if not run.finished:
        raise Interrupted
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
