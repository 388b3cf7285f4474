"""Small models for the tests of the lab; ready for use, the same at every call."""

from __future__ import annotations

from typing import Any

import torch

import vqkit
from vqkit.lab import OpenModel, Workshop
from vqkit.models import VQVAE

SMALL: dict[str, Any] = {"hidden_channels": 8, "residual_channels": 4, "residual_blocks": 1, "code_dim": 4}


def image_model(**options: Any) -> VQVAE:
    torch.manual_seed(1)
    model = VQVAE(64, **{"channels": 3, "downsampling": 4, **SMALL, "linear_path": True, **options})
    photos = vqkit.load_source("builtin:photos").subset(range(64))
    model.prepare([torch.from_numpy(photos.gather(range(64)))])
    return model.eval()


def sound_model(**options: Any) -> VQVAE:
    torch.manual_seed(1)
    stack = {"num_codebooks": 3, "stacking": "residual", "kind": "sound@16000"}
    model = VQVAE(16, **{"axes": 1, "channels": 1, "downsampling": 64, **SMALL, **stack, **options})
    model.prepare([torch.rand(8, 1, 4096) * 2 - 1])
    return model.eval()


def vector_model(**options: Any) -> VQVAE:
    torch.manual_seed(1)
    model = VQVAE(16, **{"axes": 0, "channels": 6, "downsampling": 1, **SMALL, **options})
    model.prepare([torch.randn(256, 6)])
    return model.eval()


def workshop() -> Workshop:
    dropped = {"quantizer_dropout": 0.5}  # so that it has a rate for each number of codebooks
    stack = image_model(num_codebooks=3, stacking="residual", downsampling=8, quantizer_options=dropped)
    opened = {"pictures": image_model(), "stack": stack, "voices": sound_model(), "vectors": vector_model()}
    return Workshop([OpenModel(name, None, model) for name, model in opened.items()])
