"""What ``sharp`` sets of a training: an adversary in the objective, unless it has one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vqkit.errors import ConfigError
from vqkit.objectives import Objective, build_objective
from vqkit.objectives.adversarial import AdversarialObjective
from vqkit.spelling import option, setting
from vqkit.training.config import TrainConfig
from vqkit.training.optim.objective import Reconstructing

ADVERSARY = "0.05*adversarial"
"""Added to the objective."""


def sharpened(config: TrainConfig, model: Any) -> TrainConfig:
    """Return the settings with an adversary in the objective, where ``sharp`` asks for one and there is none yet.

    Raises:
        ConfigError: a model or settings that have no use for it.

    Example:
        >>> import vqkit
        >>> from vqkit.training.sharp.settings import sharpened
        >>> sharpened(vqkit.TrainConfig(steps=10, sharp=True), vqkit.VQVAE(16, hidden_channels=8)).objective
        'likelihood + 0.05*adversarial'
    """
    if not config.sharp:
        return config
    given = option("sharp", True)
    if not isinstance(model, Reconstructing):
        raise ConfigError(f"{given}: a {type(model).__name__} reconstructs nothing that could be sharp; leave it out")
    if config.parallel == "fsdp":
        raise ConfigError(f"{given}: the guard keeps whole states; take {setting('parallel', 'ddp')}")
    objective = config.objective
    parts = (build_objective(objective) if isinstance(objective, str) else objective).parts
    if any(isinstance(part, AdversarialObjective) for part in parts):
        return config
    adversary = build_objective(ADVERSARY)
    added: str | Objective = f"{objective} + {ADVERSARY}" if isinstance(objective, str) else objective + adversary
    return replace(config, objective=added)
