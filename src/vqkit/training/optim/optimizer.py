"""The optimizer, and the norm of gradients that may be sharded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.spelling import spelled
from vqkit.training.config import TrainConfig
from vqkit.training.distributed import full, is_sharded
from vqkit.training.optim.groups import collect_groups
from vqkit.training.optim.optimizers import build_optimizer_maker
from vqkit.training.trainable import Trainable


def make_optimizer(model: Trainable, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer of a run, fused where it can be, over the groups that the parts of the model say.

    Raises:
        ConfigError: an optimizer that is not known, or that cannot step parameters that are sharded.
    """
    maker = build_optimizer_maker(config.optimizer)
    sharded = any(is_sharded(parameter.data) for parameter in model.parameters())
    if sharded and not maker.sharded:
        raise ConfigError(
            f"optimizer={config.optimizer!r} takes whole matrices, and parallel='fsdp' shards them: "
            + spelled(
                python="take parallel='ddp', or optimizer='adamw'", command="take --parallel ddp, or --optimizer adamw"
            )
        )
    groups = collect_groups(model, config.weight_decay, matrices=maker.matrices)
    fused = (not sharded and model.device.type in ("cpu", "cuda")) or None
    return maker.make(groups, config.learning_rate, fused)


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> Tensor:
    """Scale all gradients so that their common norm is at most ``largest`` (0: leave them); returns the norm before.

    Sharded and whole gradients count together; the norm is the same number on every process.
    """
    kinds: dict[bool, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            kinds.setdefault(is_sharded(parameter.grad), []).append(parameter)
    norms = [full(nn.utils.get_total_norm([p.grad for p in group if p.grad is not None])) for group in kinds.values()]
    norm = norms[0] if len(norms) == 1 else torch.stack(norms).square().sum().sqrt()
    if largest:
        for group in kinds.values():
            nn.utils.clip_grads_with_norm_(group, largest, norm)
    return norm


def check_compiler(device: torch.device) -> None:
    """Raise where ``torch.compile`` has no compiler to work with, before anything is trained.

    Raises:
        ConfigError: names what is missing, and the way without.
    """
    names = ("CXX", "g++", "clang++", "c++", "cl") if device.type == "cpu" else ("CC", "gcc", "cc", "clang", "cl")
    given = os.environ.get(names[0], "").split()
    if not any(shutil.which(name) for name in (*given[:1], *names[1:])):
        raise ConfigError(
            f"compile: torch.compile on {device.type} needs a compiler ({', '.join(names[1:4])}, or ${names[0]}), and "
            "there is none here; install one, or train without: "
            + spelled(python="compile=False", command="--no-compile")
        )


def compile_networks(model: Trainable) -> None:
    """``torch.compile``, in place, the parts that the class names; a quantizer, which counts, stays as it is."""
    for network in model.networks_to_compile():
        network.compile()
