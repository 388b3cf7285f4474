"""``--set NAME=VALUE``: any setting that has no option of its own."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from vqkit.errors import ConfigError


@dataclass
class Settings:
    """What was given: keyword arguments of the model, and of the training."""

    model: dict[str, Any]
    training: dict[str, Any]


def gather(model: Mapping[str, Any], training: Mapping[str, Any], assignments: list[str]) -> Settings:
    """The options that were given (not None), and the assignments sorted to where they belong.

    Raises:
        ConfigError: an assignment without "=", or of an unknown name (the valid ones are listed).
    """
    from vqkit.models import VQVAE
    from vqkit.quantizers import QUANTIZERS
    from vqkit.training import TrainConfig

    found = Settings(
        {name: value for name, value in model.items() if value is not None},
        {name: value for name, value in training.items() if value is not None},
    )
    of_model = set(inspect.signature(VQVAE.__init__).parameters) - {"self", "quantizer_options", "channels", "axes"}
    of_training = {field.name for field in fields(TrainConfig)}
    of_quantizer = {
        parameter.name
        for kind in QUANTIZERS.values()
        for parameter in inspect.signature(kind.__init__).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    } - {"seed"}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if equals and name in of_training:
            found.training[name] = value
        elif equals and name in of_model:
            found.model[name] = value
        elif equals and name in of_quantizer:
            found.model.setdefault("quantizer_options", {})[name] = value
        else:
            names = ", ".join(sorted(of_training | of_model | of_quantizer))
            raise ConfigError(f"--set {assignment}: give NAME=VALUE with one of these names: {names}")
    return found
