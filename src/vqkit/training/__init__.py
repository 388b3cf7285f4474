"""The one training loop (plain torch, torchrun scales it), its checkpoints, logs and alarms.

What is named here is imported when it is first asked for: a command that only loads a model has no use for the loop,
whose imports take a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqkit.training.api import resume, train
    from vqkit.training.callbacks import Callback
    from vqkit.training.config import TrainConfig
    from vqkit.training.optim.optimizers import OPTIMIZERS, OptimizerMaker
    from vqkit.training.optim.schedules import SCHEDULES, Schedule
    from vqkit.training.record.run import Run, load_run
    from vqkit.training.repeating import repeat
    from vqkit.training.settings import TrainSettings

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Callback",
    "OptimizerMaker",
    "Run",
    "Schedule",
    "TrainConfig",
    "TrainSettings",
    "load_run",
    "repeat",
    "resume",
    "train",
]

_HOMES = {
    "OPTIMIZERS": "optim.optimizers",
    "SCHEDULES": "optim.schedules",
    "Callback": "callbacks",
    "OptimizerMaker": "optim.optimizers",
    "Run": "record.run",
    "Schedule": "optim.schedules",
    "TrainConfig": "config",
    "TrainSettings": "settings",
    "load_run": "record.run",
    "repeat": "repeating",
    "resume": "api",
    "train": "api",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
