"""What every rung of the ladder is: an encoder and a decoder with one interface, saved as a folder."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.models import folder


@dataclass
class ModelOutput:
    """One forward pass.

    Attributes:
        reconstruction: ``[batch, channels, *size]`` in the signal's units and range: exactly what
            ``decode(encode(x))`` gives.
        loss: the scalar to minimise.
        metrics: scalars to watch, by name; ``loss`` is the sum of those that end in ``_loss``.
        indices: ``[batch, *grid]`` int64, for discrete models.
    """

    reconstruction: Tensor
    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    indices: Tensor | None = None


class Model(nn.Module, ABC):
    """An encoder-decoder pair that minimises a reconstruction error.

    ``config`` holds the keyword arguments of the class, all of them, as strict JSON values.
    """

    model_type: ClassVar[str]
    config: dict[str, Any]
    axes: int
    channels: int

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Indices (or continuous latents) of signals ``[batch, channels, *size]``; no gradient, changes no state."""

    @abstractmethod
    def decode(self, indices: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Signals of indices (or latents), float32 in the signal's range; no gradient.

        Args:
            indices: as from ``encode``.
            size: what to crop to; None gives the padded size (grid times downsampling).
        """

    @abstractmethod
    def forward(self, x: Tensor) -> ModelOutput:
        """Reconstruction, loss and metrics of signals ``[batch, channels, *size]``, float or uint8."""

    @abstractmethod
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Take what is needed from some training batches before the first step (scale, first codebook)."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """``decode(encode(x))`` at the size of ``x``."""
        return self.decode(self.encode(x), x.shape[2:])

    def save_pretrained(self, path: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder; each file appears whole or not at all.

        Raises:
            OSError: the folder cannot be written (the files that were there before stay as they were).
        """
        folder.save(path, self.model_type, self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> Self:
        """A model from a local folder, or from the Hugging Face hub by ``owner/name``; in evaluation mode.

        Raises:
            ModelFolderError: nothing there, incomplete, damaged, or another class of model.
            ConfigError: the config has keys that this class does not take.
        """
        location = folder.locate(name, revision)
        model_type, config = folder.read_config(location)
        folder.check_type(location, model_type, cls.model_type)
        return cls.from_state(config, folder.read_tensors(location), str(location))

    @classmethod
    def from_state(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """A model from its config and its tensors; ``where`` names their folder in errors."""
        try:
            model = cls.from_config(config)
        except ConfigError as error:
            raise ConfigError(f"{where}/{folder.CONFIG}: {error}") from error
        folder.load_tensors(model, tensors, where)
        return model.eval()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new model from its keyword arguments.

        Raises:
            ConfigError: an unknown key; the valid ones are listed.
        """
        valid = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
        unknown = sorted(set(config) - set(valid))
        if unknown:
            raise ConfigError(f"{cls.__name__} takes no {', '.join(unknown)}; it takes: {', '.join(valid)}")
        return cls(**config)

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload the model's folder to the Hugging Face hub; returns the address of the commit."""
        return folder.push(self, repo_id, private=private, token=token)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
