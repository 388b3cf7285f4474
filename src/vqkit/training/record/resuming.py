"""Runs that exist and are asked for again: with the same settings they go on, with others they are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vqkit.checking import check_fields, differences, reason
from vqkit.data import Source, default_crop
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.spelling import option
from vqkit.training.checkpoints.checkpoint import Checkpoint
from vqkit.training.config import UNRECORDED, TrainConfig, recorded_validation
from vqkit.training.inputs.holdout import is_other_data
from vqkit.training.trainable import Trainable

LENGTH = ("steps", "minutes")
_MACHINE = ("device", "threads", "parallel", "compile", "checkpoint_seconds", "keep_checkpoints")
"""Where a run is computed and kept: no two results differ by them."""
_SPLIT = ("seed", "split_seed", "validation")


def settled(config: TrainConfig, source: Source) -> TrainConfig:
    """The settings that a run records: with the side of the crops that the data asks for."""
    if config.crop is None:
        return replace(config, crop=default_crop(source))
    return config


def changes_of(path: Path, recorded: Mapping[str, Any], model: Trainable, config: TrainConfig) -> dict[str, Any]:
    """Return the changes for ``resume`` that turn a recorded run into the requested one: length and machine.

    Args:
        path: the run folder.
        recorded: of ``read_config``.
        model: a new one, as it is asked for now.
        config: of the training, as it is asked for now, ``settled``.

    Raises:
        ConfigError: the run is of another kind, or of other settings (they are named).
    """
    there, mine = dict(recorded["model"]), {"model_type": model.model_type, **model.config}
    if there.get("model_type") != mine["model_type"]:
        found = [f"kind: was {there.get('model_type')}, now {mine['model_type']}"]
    else:
        found = differences(there, mine)
    if model.closed_form:  # it has no length
        config = replace(config, steps=recorded["training"].get("steps"), minutes=recorded["training"].get("minutes"))
    training = config.as_dict()
    found += differences(recorded["training"], training, free=(*LENGTH, *_MACHINE))
    refuse_other(path, "a run", found)
    return {
        name: training[name]
        for name in (*LENGTH, *_MACHINE)
        if training.get(name) is not None and training[name] != recorded["training"].get(name)
    }


def refuse_other(path: Path, what: str, found: list[str], repair: str = "") -> None:
    """Raise ``ConfigError`` where something was found to differ.

    Args:
        path: the folder.
        what: lies there, with its article.
        found: of ``differences``.
        repair: what to do; empty: give the same settings, or another folder.
    """
    if found:
        told = "; ".join(found[:6]) + (f"; and {len(found) - 6} more" if len(found) > 6 else "")
        repair = repair or f"choose another {option('out')}, or give the settings that it has"
        raise ConfigError(f"{path} holds {what} of other settings ({told}); {repair}")


def check_changes(
    path: Path,
    recorded: Mapping[str, Any],
    changes: Mapping[str, Any],
    saved: Checkpoint | None,
    *,
    compared: bool = False,
    stopped: bool = False,
) -> None:
    """Raise ``ConfigError`` for changes to a run that could not be obeyed.

    Args:
        path: the run folder.
        recorded: its training settings.
        changes: what is asked for now.
        saved: its newest checkpoint.
        compared: whether held-out data of its own is known to be the same as before, by its contents.
        stopped: whether it has ended before its last step, and is not told to go on.
    """
    recorded = {**UNRECORDED, **recorded}
    changed = {name: value for name, value in changes.items() if value is not None}
    if "validation" in changed:
        validation = TrainConfig(validation=changed["validation"]).validation
        changed["validation"] = recorded_validation(validation)
        if compared and is_other_data(validation) and is_other_data(recorded.get("validation", 0.1)):
            del changed["validation"]
    changed = {name: value for name, value in changed.items() if value != recorded.get(name)}
    split = differences(recorded, {**recorded, **{name: changed[name] for name in _SPLIT if name in changed}})
    refuse_other(path, "a run", split, "it says which items are held out and in which order others come: leave it out")
    if saved is None:
        return
    steps, minutes = changed.get("steps"), changed.get("minutes")
    try:
        seconds = float(check_fields(saved.values, {"seconds": float})["seconds"])
    except ValueError as error:
        raise ModelFolderError(f"checkpoint {saved.path} is not of a run ({reason(error)})") from error
    if steps is not None and steps < saved.step:
        raise ConfigError(f"steps={steps}: {path} has made {saved.step:,} steps; give that many or more")
    if minutes is not None and 60 * minutes < seconds:
        raise ConfigError(f"minutes={minutes:g}: {path} was trained for {seconds / 60:.4g}; give that many or more")
    length = [steps, minutes] if steps or minutes else [recorded.get("steps"), recorded.get("minutes")]
    ended = stopped or (saved.step >= length[0] if length[0] else seconds >= 60 * (length[1] or 0))
    idle = [name for name in changed if name not in (*LENGTH, *_MACHINE)]
    if ended and idle:
        raise ConfigError(
            f"{', '.join(idle)}: {path} has ended, at step {saved.step:,}, so that it would change nothing; make the "
            "run longer with steps (or minutes), or start a new one"
        )
