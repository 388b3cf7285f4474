"""Training settings, checked on construction."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any, Self

from vqkit.checking import from_values, shown
from vqkit.data import Source, load_source
from vqkit.data.naming import GIVEN_PREFIX, recorded_split
from vqkit.errors import ConfigError
from vqkit.objectives import LikelihoodObjective, Objective, parse_objective
from vqkit.seeds import check_seed
from vqkit.threads import check_threads
from vqkit.tokens import Tokens
from vqkit.training.evaluators.measures import Measure
from vqkit.training.optim.optimizers import DEFAULT_OPTIMIZER, parse_optimizer
from vqkit.training.optim.schedules import DEFAULT, Factor, parse_schedule, recorded_schedule

DEFAULT_MINUTES = 10.0
LIKELIHOOD = "likelihood"
"""The objective of a run that says none."""
UNRECORDED = {
    "objective": LIKELIHOOD,
    "schedule": DEFAULT,
    "patience": 0,
    "best_by": None,
    "threads": None,
    "gain": 0.0,
    "split_seed": None,
    "optimizer": DEFAULT_OPTIMIZER,
    "start": None,
    "sharp": False,
}
"""Settings that a run does not record, as the runs of versions that knew no other."""
_MOST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one training run.

    Attributes:
        steps: optimiser steps; or
        minutes: wall-clock minutes from the first step to the end of the run (the learning rate then follows the
            clock). 90 % of them are for training steps, at least; the rest is for evaluations, pictures, checkpoints
            and what comes after the last step: these take as many items as there is time for, and say how many. Give
            one of the two; with neither, 10 minutes.
        batch_size: signals per step, over all processes together.
        learning_rate: the peak, after warm-up.
        warmup_steps: linear warm-up (at most a tenth of ``steps``).
        weight_decay: of AdamW, on weights of two or more axes; codebooks and biases are never decayed.
        clip_norm: largest gradient norm; 0 does not clip.
        average_decay: of the exponential average of the weights, which is what is evaluated and saved; 0 takes the
            last weights.
        crop: side of random square crops; None takes the default of the data (see ``vqkit.data.default_crop``).
        flip: mirror half of the images left to right.
        gain: decibels by which each sound is made louder or softer at random, at most; never so loud that it clips.
        validation: a fraction of the data (seeded split), ``"last:N"`` for its last N items, or data of its own: what
            ``load_source`` takes (for a prior tokens, or their folder). A run records its absolute name, so that it is
            found from any folder; of arrays and other data without one it says what they are, and ``resume`` asks for
            them again.
        seed: 0 to 2**64 - 1; of the split, the order and crops, and of the initial weights of a model that still has
            those that it was made with, unless it was made with a seed (``for_source(data, seed=1)``, which with
            ``train(..., seed=1)`` is what ``vqkit train --seed 1`` does). ``train`` without a seed leaves the weights
            as they are. A run records a digest of the weights that it began with.
        precision: ``"float32"`` or ``"bfloat16"`` (autocast; search and codebook statistics stay float32).
        compile: ``torch.compile`` the encoder and the decoder, or a prior's transformer. Needs a compiler; on the CPU
            it gained 2 to 3 % in a step of a VQ-VAE and costs half a minute at the start, so it is off.
        parallel: under torchrun: ``"ddp"``, or ``"fsdp"`` to shard the parameters as well.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
        threads: CPU threads; ``"auto"`` chooses their number while it trains, since another process on the machine can
            make two threads many times slower than one (see ``vqkit.threads``). None is ``"auto"`` in a run of minutes;
            in a run of steps it is all that torch has, since results depend on it in the last bits. A number in
            ``OMP_NUM_THREADS``, or given to ``torch.set_num_threads``, holds too.
        log_every: steps between two lines of the log.
        evaluations: evaluations on the validation data, spread evenly; 0 for none but the last.
        evaluation_items: validation items of the evaluations along the way (the last one takes all); in a run of
            minutes at most.
        checkpoint_seconds: between two checkpoints.
        keep_checkpoints: how many to keep.
        accumulate: parts that a batch goes through the networks in, one after another, for less memory: the gradient
            is that of the whole batch, and a codebook learns from all of its latents at once. (Entropy penalties are
            means over the parts of what each part's own latents give.)
        freeze: parts of the model that are not trained, by name, such as ``["encoder"]`` or ``["quantizer"]``: neither
            their parameters nor the codebooks in them change. What has ``requires_grad=False``, or is held in
            evaluation mode in a model that is in training mode, is not trained either.
        objective: what a model minimizes beside the terms of its latents: names of ``vqkit.objectives.OBJECTIVES`` with
            weights, such as ``"likelihood + 0.1*gradient(scales=4)"``, or an ``Objective``. It belongs to the training
            and is no part of the saved model (what the decoder's outputs mean is the model's ``likelihood``).
            Evaluations measure what they always do, whatever was minimized.
        schedule: the learning rate from the warm-up to the end, as a part of ``learning_rate``: a name of
            ``vqkit.training.SCHEDULES`` (``"cosine"``, ``"constant"``, ``"linear"``, ``"inverse_sqrt"``,
            ``"warmup_stable_decay"``), with options where it takes any (``"linear(final=0.1)"``), or a function
            ``schedule(progress, step)`` of the part of the run that is done and the steps done. ``resume`` has to be
            given such a function again. The warm-up is multiplied with it; ``warmup_steps=0`` leaves that out.
        patience: early stopping: the run ends after so many evaluations in a row without an improvement, as at its
            last step; 0: never.
        best_by: the measure by which the model of the best evaluation along the way is kept in ``best/`` of the run,
            as it was evaluated; what the log calls it, such as ``"psnr_db"`` (``"max:NAME"`` or ``"min:NAME"`` where
            it is not known which way is better). None: none is kept, unless there is a ``patience``: then by the
            headline of the class (``nmse``; of priors ``bits_per_item``; of pixel priors ``lossless_bits_per_dim``; of
            other trainables ``loss``).
        optimizer: a name of ``vqkit.training.OPTIMIZERS``, with options where it takes any: ``"adamw"``, or ``"muon"``,
            which makes the steps of weight matrices orthogonal: fewer steps to the same loss, each of them longer.
        split_seed: of the split alone, so that runs of several seeds hold out the same items; None: ``seed``.
        start: fine-tuning: a run, or the folder of a saved model, whose weights and codebooks the training begins with;
            of the same class and settings as the model that is given. None: those that it has.
        sharp: an adversary in the last third of the run (the objective gets an ``adversarial`` term unless it has
            one), under a guard: by held-out figures the model that is saved is never worse than the one before it.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> from vqkit import TrainConfig
        >>> TrainConfig(steps=1000, batch_size=64).learning_rate
        0.001
    """

    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    average_decay: float = 0.999
    crop: int | None = None
    flip: bool = False
    validation: Any = 0.1
    seed: int = 0
    precision: str = "float32"
    compile: bool = False
    parallel: str = "ddp"
    device: str = "auto"
    threads: int | str | None = None
    log_every: int = 50
    evaluations: int = 10
    evaluation_items: int = 1024
    checkpoint_seconds: float = 60.0
    keep_checkpoints: int = 2
    accumulate: int = 1
    freeze: Sequence[str] = ()
    objective: str | Objective = LIKELIHOOD
    schedule: str | Factor = DEFAULT
    patience: int = 0
    best_by: str | None = None
    gain: float = 0.0
    optimizer: str = DEFAULT_OPTIMIZER
    split_seed: int | None = None
    start: str | Path | None = None
    sharp: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "validation", _held_out(self.validation))
        object.__setattr__(self, "objective", _objective(self.objective))
        object.__setattr__(self, "schedule", parse_schedule(self.schedule))
        object.__setattr__(self, "optimizer", parse_optimizer(self.optimizer))
        if self.steps is not None and self.minutes is not None:
            raise ConfigError(f"steps={self.steps} and minutes={self.minutes}: give one of the two")
        if self.steps is None and self.minutes is None:
            object.__setattr__(self, "minutes", DEFAULT_MINUTES)
        self._check_ranges()
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"accumulate={self.accumulate}: batch_size={self.batch_size} does not fall into so many equal parts; "
                f"give a divisor of {self.batch_size}"
            )
        if self.evaluations < 2 and (self.patience or self.best_by is not None):
            raise ConfigError(
                f"evaluations={self.evaluations}: patience and best_by look at the evaluations before the last one; "
                "give 2 evaluations or more"
            )
        if self.best_by is not None:
            Measure.read(self.best_by)
        check_seed(self.seed)
        if self.split_seed is not None:
            check_seed(self.split_seed)
        check_threads(self.threads)
        if not 0 <= self.average_decay < 1:
            raise ConfigError(f"average_decay={self.average_decay}: a decay lies in [0, 1)")
        choices = {"precision": ("float32", "bfloat16"), "parallel": ("ddp", "fsdp")}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name}={getattr(self, name)!r}: choose one of {', '.join(allowed)}")

    def _check_ranges(self) -> None:
        at_least = {
            "steps": 1,
            "batch_size": 1,
            "warmup_steps": 0,
            "weight_decay": 0,
            "clip_norm": 0,
            "log_every": 1,
            "evaluations": 0,
            "evaluation_items": 1,
            "checkpoint_seconds": 0,
            "keep_checkpoints": 1,
            "accumulate": 1,
            "patience": 0,
            "crop": 1,
            "gain": 0,
        }
        for name, bound in at_least.items():
            value = getattr(self, name)
            if value is not None and not value >= bound:
                raise ConfigError(f"{name}={value}: give {bound} or more")
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{name}={value}: give a finite number")
            if isinstance(value, int) and value > _MOST:
                raise ConfigError(f"{name}={value}: give {_MOST} or less")
        for name in ("minutes", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ConfigError(f"{name}={value}: give a finite number above 0")

    def as_dict(self) -> dict[str, Any]:
        """All settings as strict JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"validation": recorded_validation(self.validation), "freeze": list(self.freeze)}
        values |= {"objective": str(self.objective), "schedule": recorded_schedule(self.schedule)}
        values |= {"start": None if self.start is None else str(Path(self.start).absolute())}
        return {name: value for name, value in values.items() if name not in UNRECORDED or value != UNRECORDED[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from JSON values.

        Raises:
            ConfigError: an unknown key (the valid ones are listed), or a value of the wrong type or out of range.
        """
        return from_values(cls, values, "training")


def recorded_validation(validation: Any) -> str | float:
    """Return ``validation`` as run settings record it: a share, a name, or a description of a source without one."""
    if isinstance(validation, Source):
        return validation.spec or f"{GIVEN_PREFIX}{validation.describe()}"
    found: str | float = recorded_split(validation)
    return found


def _objective(given: Any) -> str | Objective:
    """An instance, or the sum of names in its one spelling."""
    if isinstance(given, Objective):
        return LIKELIHOOD if isinstance(given, LikelihoodObjective) else given
    if not isinstance(given, str):
        raise ConfigError(f"objective={shown(given)}: give names such as 'likelihood + 0.1*gradient', or an Objective")
    return " + ".join(str(term) for term in parse_objective(given))


def _held_out(validation: Any) -> str | float | Source:
    """A share or a name as it is recorded; else the source of what was given."""
    if isinstance(validation, Tokens):
        validation = validation.path
    if isinstance(validation, str | os.PathLike):
        return recorded_split(os.fspath(validation))
    if validation is None or isinstance(validation, bool | bytes | dict):
        raise ConfigError(f"validation={validation!r}: give a share of the data such as 0.1, last:N, or data")
    if isinstance(validation, int):
        return validation
    return float(validation) if isinstance(validation, Real) else load_source(validation)
