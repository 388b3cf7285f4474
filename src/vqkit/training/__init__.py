"""The one training loop (plain torch, torchrun scales it), its checkpoints, logs and alarms."""

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
