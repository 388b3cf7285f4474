"""The one training loop (plain torch, torchrun scales it), its checkpoints, logs and alarms."""

from vqkit.training.config import TrainConfig
from vqkit.training.entry import resume, train
from vqkit.training.run import Run

__all__ = ["Run", "TrainConfig", "resume", "train"]
