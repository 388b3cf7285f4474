"""Where a fine-tuning begins: with the weights of a model that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vqkit.checking import shown
from vqkit.errors import ConfigError
from vqkit.spelling import option
from vqkit.training.trainable import load_trained


def begin_with(model: Any, start: str | Path) -> None:
    """Give a model the weights and codebooks of another one of the same class and settings, in place.

    Args:
        model: to be trained.
        start: a run, or the folder of a saved model.

    Raises:
        ModelFolderError: nothing there, or damaged.
        ConfigError: a model of another class or with other settings.
    """
    given = option("start", str(start))
    there = load_trained(start)
    if type(there) is not type(model):
        names = [type(each).__name__ for each in (there, model)]
        raise ConfigError(f"{given}: holds a {names[0]}, and the model to train is a {names[1]}")
    mine, theirs = dict(model.config), dict(there.config)
    other = [name for name in mine if mine[name] != theirs.get(name)]
    if other:
        settings = ", ".join(f"{name}={shown(theirs.get(name))} against {shown(mine[name])}" for name in other[:3])
        raise ConfigError(f"{given}: is a model of other settings ({settings}); train one of the same")
    model.load_state_dict(there.state_dict())
