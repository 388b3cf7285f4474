"""A run is a folder that a person can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqkit import __version__, atomic
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models import Model, load_model
from vqkit.training.runlog import read_log

CONFIG = "run.json"
CHECKPOINTS = "checkpoints"
PICTURES = "pictures"
MODEL = "model"


@dataclass(frozen=True)
class Run:
    """The folder of a training run and how it ended.

    ::

        run.json            data, model and training settings
        log.jsonl           a JSON object per line: train, validation, warning
        pictures/           reconstructions along the way
        checkpoints/        the newest states, to resume from
        model/              config.json and model.safetensors, once finished
        tensorboard/        the same log for TensorBoard, where it is installed
    """

    path: Path
    finished: bool
    step: int
    evaluation: dict[str, Any] | None = None

    def model(self) -> Model:
        """The trained model (the average of the weights), from disk."""
        return load_model(self.path)

    def log(self) -> list[dict[str, Any]]:
        """The log's lines."""
        return read_log(self.path)


def new_run_path(out: str | Path | None, name: str) -> Path:
    """Where a new run goes: ``out``, or the first free ``runs/NAME-001``.

    Raises:
        ConfigError: ``out`` already holds something.
    """
    if out is None:
        number = 1
        while (path := Path("runs") / f"{name}-{number:03d}").exists():
            number += 1
        return path
    path = Path(out)
    if path.is_file():
        raise ConfigError(f"{path} is a file; a run is a folder: choose another --out")
    if (path / CONFIG).exists():
        raise ConfigError(
            f"{path} already holds a run; go on with it: vqkit train --resume {path}  (or choose another --out)"
        )
    if path.exists() and any(path.iterdir()):
        raise ConfigError(f"{path} is a folder with other things in it; choose an --out that is new or empty")
    return path


def write_config(path: Path, data: str, model: Model, training: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    document = {
        "vqkit": __version__,
        "data": data,
        "model": {"model_type": model.model_type, **model.config},
        "training": dict(training),
    }
    atomic.write_json(path / CONFIG, document)


def read_config(path: Path) -> dict[str, Any]:
    """What ``write_config`` wrote.

    Raises:
        ModelFolderError: no run there, or its file is damaged.
    """
    file = path / CONFIG
    if not file.is_file():
        raise ModelFolderError(f"{path}: no run here (a run folder has a {CONFIG}); start one with: vqkit train DATA")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return {"data": document["data"], "model": document["model"], "training": document["training"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFolderError(f"{file}: not readable as the settings of a run ({error})") from error
