"""The one training loop (plain torch, torchrun scales it), its checkpoints, logs and alarms."""

from vqkit.training.api import resume, train
from vqkit.training.callbacks import Callback
from vqkit.training.config import TrainConfig
from vqkit.training.record.run import Run

__all__ = ["Callback", "Run", "TrainConfig", "resume", "train"]
