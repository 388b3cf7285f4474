"""The settings of a training as keyword arguments, for type checkers, which refuse a misspelt one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from vqkit.objectives import Objective
from vqkit.training.optim.schedules import Factor


class TrainSettings(TypedDict, total=False):
    """Keyword arguments of ``train`` and ``resume``: what ``TrainConfig`` has, which describes them.

    Example:
        >>> from vqkit.training import TrainSettings
        >>> short: TrainSettings = {"steps": 100, "batch_size": 16, "schedule": "linear"}
    """

    steps: int | None
    minutes: float | None
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    average_decay: float
    crop: int | None
    flip: bool
    validation: Any
    seed: int
    precision: str
    compile: bool
    parallel: str
    device: str
    threads: int | str | None
    log_every: int
    evaluations: int
    evaluation_items: int
    checkpoint_seconds: float
    keep_checkpoints: int
    accumulate: int
    freeze: Sequence[str]
    objective: str | Objective
    schedule: str | Factor
    patience: int
    best_by: str | None
    gain: float
    optimizer: str
    split_seed: int | None
    start: str | Path | None
    sharp: bool
