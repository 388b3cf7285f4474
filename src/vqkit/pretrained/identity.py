"""Everything that decides what a model computes, as a string: more than the tensors that its folder holds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn

from vqkit.pretrained.base import Pretrained
from vqkit.pretrained.folder import content_hash

_PASSING = ("training", "recalibrating", "fresh")
"""Attributes of modules that say what is being done with them."""


def model_digest(model: Pretrained) -> str:
    """Return 64 hexadecimal digits that are equal only for models that compute the same.

    They cover the tensors with their dtypes (``content_hash``), buffers that are not saved, the class, the config, and
    the plain public attributes of every part: ``quantizer.rate_weight`` may be set on a trained model.
    """
    digest = hashlib.sha256(content_hash(model).encode())
    kept = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name not in kept:
            array = buffer.detach().cpu().contiguous()
            digest.update(f"{name} {tuple(array.shape)} {array.dtype}\n".encode())
            digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    said = [model.model_type, model.config, [_attributes(name, part) for name, part in model.named_modules()]]
    digest.update(json.dumps(said, sort_keys=True, default=repr).encode())
    return digest.hexdigest()


def _attributes(name: str, part: nn.Module) -> list[Any]:
    plain = {
        key: value
        for key, value in vars(part).items()
        if key[0] != "_" and key not in _PASSING and isinstance(value, bool | int | float | str)
    }
    return [name, type(part).__qualname__, plain]
