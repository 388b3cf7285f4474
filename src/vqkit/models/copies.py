"""Copies of a model for other processes: loaded from a folder that the driver saved, and compared with the driver's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from vqkit.errors import ConfigError
from vqkit.models.base import Model
from vqkit.models.registry import load_model
from vqkit.pretrained.identity import model_digest
from vqkit.spelling import option


@contextmanager
def saved_copy(model: Model) -> Iterator[tuple[str, str]]:
    """A folder with the model, there within the block, and the digest of what it computes: what ``load_copy`` needs."""
    with tempfile.TemporaryDirectory(prefix="vqkit-") as folder:
        place = Path(folder) / "model"
        model.save_pretrained(place)
        yield str(place), model_digest(model)


def load_copy(folder: str | Path, digest: str, device: torch.device) -> Model:
    """Return the model in a folder, on a device, if it computes what the driver's does.

    Args:
        folder: of a model.
        digest: ``model_digest`` of the driver's.
        device: where it computes.

    Raises:
        ConfigError: it computes something else.
    """
    model = load_model(folder)
    if model_digest(model) != digest:
        raise ConfigError(
            "the model has been changed in a way that its folder does not hold (an attribute of a part was set), so no "
            f"other process can have it: give {option('workers', 1)}"
        )
    prior = getattr(model, "prior", None)
    if isinstance(prior, torch.nn.Module):
        prior.to(device)
    return model.to(device).eval()


def device_of(model: Model, worker: int) -> torch.device:
    """Return the device of a worker: GPUs in turn, or that of the model."""
    device = model.device
    return torch.device("cuda", worker % torch.cuda.device_count()) if device.type == "cuda" else device


def threads_of_each(workers: int) -> int:
    """Return the CPU threads of each of so many processes, which share those of this one."""
    return max(1, torch.get_num_threads() // workers)


def useful_workers(model: Model, workers: int) -> int:
    """Return how many of so many processes have a processor to work on."""
    return min(workers, os.cpu_count() or 1) if model.device.type == "cpu" else workers
