"""The model of a worker: loaded from a folder that the driver saved, and compared with the driver's."""

from __future__ import annotations

from pathlib import Path

import torch

from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.registry import load_model
from vqkit.pretrained.identity import model_digest
from vqkit.spelling import option


def load_copy(folder: str | Path, digest: str, device: torch.device) -> IndexModel:
    """Return the model in a folder, on a device, if it computes what the driver's does.

    Args:
        folder: of a model.
        digest: ``model_digest`` of the driver's.
        device: where it computes.

    Raises:
        ConfigError: it computes something else.
    """
    model = load_model(folder)
    if not isinstance(model, IndexModel) or model_digest(model) != digest:
        raise ConfigError(
            "the model has been changed in a way that its folder does not hold (an attribute of a part was set), so no "
            f"other process can have it: encode with {option('workers', 1)}"
        )
    return model.to(device).eval()


def device_of(model: IndexModel, worker: int) -> torch.device:
    """Return the device of a worker: GPUs in turn, or that of the model."""
    device = model.device
    return torch.device("cuda", worker % torch.cuda.device_count()) if device.type == "cuda" else device
