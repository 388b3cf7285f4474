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

from vqkit.errors import ConfigError, DataError
from vqkit.likelihoods import Gaussian, Likelihood, Unit
from vqkit.models import folder
from vqkit.ops import float64

_RANGES: dict[int, tuple[float, float] | None] = {0: None, 1: (-1.0, 1.0), 2: (0.0, 1.0), 3: (0.0, 1.0)}
_BLOCK = 1 << 20  # numbers of a likelihood at a time: it needs several times as much memory
_AXES_NAMES = {0: "[batch, channels]", 1: "[batch, channels, time]", 2: "[batch, channels, height, width]"}


@dataclass
class ModelOutput:
    """One forward pass.

    Attributes:
        reconstruction: ``[batch, channels, *size]`` in the signal's units and range: exactly what
            ``decode(encode(x))`` gives (in evaluation mode; a VAE that trains decodes a sample instead).
        loss: the scalar to minimise.
        metrics: scalars to watch, by name; ``loss`` is the sum of those that end in ``_loss``.
        indices: ``[batch, *grid]`` int64, for discrete models.
    """

    reconstruction: Tensor
    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    indices: Tensor | None = None


@dataclass
class LatentCost:
    """What it costs to say which latents a signal has.

    Attributes:
        codes: indices or latents that ``predict`` takes, of each signal.
        rate_nats: ``[batch]``.
        how: in words: under which prior, counted how.
    """

    codes: Tensor
    rate_nats: Tensor
    how: str


class Model(nn.Module, ABC, metaclass=folder.Affordable):
    """An encoder-decoder pair that minimises a reconstruction error.

    ``config`` holds the keyword arguments of the class, all of them, as strict JSON values. What a model calls
    *codes* are its indices, int64 ``[batch, *grid]`` or ``[batch, *grid, codebooks]`` (``discrete`` models), or else
    its latents, float ``[batch, latent_dim]`` or ``[batch, latent_dim, *grid]``.

    Args:
        axes: spatial axes of the signal.
        channels: of the signal.

    Raises:
        ConfigError: a number out of range.
    """

    model_type: ClassVar[str]
    discrete: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False
    """Whether ``fit`` solves for the parameters, instead of gradient steps."""
    config: dict[str, Any]
    likelihood: Likelihood
    signal_mean: Tensor
    signal_std: Tensor
    signal_size: Tensor

    def __init__(self, axes: int, channels: int) -> None:
        super().__init__()
        if axes not in _RANGES:
            raise ConfigError(f"axes={axes}: signals have 0 (vectors), 1 (sound), 2 (images) or 3 (video) axes")
        if channels < 1:
            raise ConfigError(f"channels={channels}: give 1 or more")
        self.axes = axes
        self.channels = channels
        self.register_buffer("signal_mean", torch.tensor(0.5 if axes >= 2 else 0.0))
        self.register_buffer("signal_std", torch.tensor(0.25 if axes >= 2 else 1.0))
        self.register_buffer("signal_size", torch.zeros(max(axes, 1), dtype=torch.int64))

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Indices (or continuous latents) of signals ``[batch, channels, *size]``; no gradient, changes no state."""

    @abstractmethod
    def predict(self, codes: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """The parameters of p(x | z), ``[batch, likelihood.outputs, *size]``, that the decoder finds for codes."""

    @abstractmethod
    def forward(self, x: Tensor) -> ModelOutput:
        """Reconstruction, loss and metrics of signals ``[batch, channels, *size]``, float or uint8."""

    @abstractmethod
    def sample_codes(self, count: int, size: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Codes of ``count`` new signals of this size, drawn from the model's prior."""

    @abstractmethod
    def latent_cost(self, x: Tensor, generator: torch.Generator | None = None) -> LatentCost | None:
        """What the latents of signals cost under the model's prior; None for a model without one (PCA, AE)."""

    @torch.no_grad()
    def decode(self, codes: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Signals ``[batch, channels, *size]``, float32 in the signal's range: the mean of p(x | z); no gradient.

        Args:
            codes: as from ``encode``.
            size: what to crop to; None gives the padded size (grid times downsampling).

        Raises:
            ValueError: codes of another model, or a size that they do not belong to.
        """
        return self.to_signal(self.likelihood.mean(self.predict(codes, size)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """``decode(encode(x))`` at the size of ``x``."""
        return self.decode(self.encode(x), x.shape[2:])

    @torch.no_grad()
    def sample(
        self, count: int, *, size: Sequence[int] | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """New signals ``[count, channels, *size]``: codes from the prior, decoded to their mean.

        Args:
            count: how many.
            size: of the signals; None: that of the training signals.
            generator: for repeatable samples.

        Raises:
            ConfigError: no size given, and the model has not been trained.
        """
        if count < 1:
            raise ConfigError(f"count={count}: give 1 or more")
        size = self.training_size() if size is None else tuple(size)
        return self.decode(self.sample_codes(count, size, generator), size)

    def log_likelihood(self, x: Tensor, codes: Tensor) -> Tensor:
        """log p(x | z), ``[batch]`` float64 in nats; for images and video of the 256 levels, else a density.

        Raises:
            DataError: signals that the model does not read.
            ValueError: codes of another model, or of signals of another size.
        """
        self.check_signal(x)
        return self.log_likelihood_of(x, self.predict(codes, x.shape[2:]))

    @torch.no_grad()
    def log_likelihood_of(self, x: Tensor, raw: Tensor) -> Tensor:
        """The same from what ``predict`` gave, some positions at a time."""
        values = self.to_float(x)
        if raw.ndim > 2:
            raw, values = raw.flatten(2), values.flatten(2)
        unit = Unit(float64(self.signal_mean), float64(self.signal_std), self.levels)
        if raw.ndim == 2:  # vectors have no positions
            return self.likelihood.log_prob(float64(raw), float64(values), unit)
        total = torch.zeros(len(x), dtype=torch.float64)
        several = max(1, _BLOCK // (raw.shape[0] * raw.shape[1]))
        for start in range(0, raw.shape[2], several):
            here = slice(start, start + several)
            total += self.likelihood.log_prob(float64(raw[:, :, here]), float64(values[:, :, here]), unit).sum(1).cpu()
        return total

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Take what is needed from some training batches before the first step (scale, first codebook)."""
        count, total, squares = 0, 0.0, 0.0
        for batch in batches:
            values = float64(self.to_float(batch))
            count, total = count + values.numel(), total + float(values.sum())
            squares += float(values.square().sum())
            if self.axes:
                self.signal_size.copy_(torch.tensor(batch.shape[2:]))
        if not count:
            raise DataError("there are no training signals to prepare the model with")
        mean = total / count
        self.signal_mean.fill_(mean)
        self.signal_std.fill_(max(squares / count - mean * mean, 1e-6) ** 0.5)

    @property
    def settling_positions(self) -> int:
        """How many latent vectors ``settle`` wants to see; 0 for a model that has nothing to settle."""
        return 0

    def settle(self, batches: Iterable[Tensor]) -> None:
        """After training, let what follows the data by itself (a codebook) come to rest with the networks fixed."""

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor]) -> None:
        """After training, fit what the loss did not: the scale of a Gaussian likelihood, as likely as it can be."""
        if not isinstance(self.likelihood, Gaussian) or isinstance(self.likelihood.log_scale, nn.Parameter):
            return
        count, total = 0, torch.zeros(self.channels, dtype=torch.float64)
        for batch in batches:
            x = batch.to(self.device)
            error = self.likelihood.mean(self.predict(self.encode(x), x.shape[2:])) - self._numbers(x)
            total += float64(error).square().transpose(0, 1).flatten(1).sum(dim=1).cpu()
            count += error.numel() // self.channels
        if count:
            self.likelihood.fit((total / count).to(self.likelihood.log_scale))

    def read_batch(self, batch: Tensor) -> Tensor:
        """What ``forward`` takes, from a training batch: the signals as they are."""
        return batch

    def fit(self, stream: Any) -> None:
        """Solve for the parameters (``closed_form`` models only)."""
        raise NotImplementedError(f"{type(self).__name__} is trained by gradient steps")

    @property
    def signal_range(self) -> tuple[float, float] | None:
        """Lowest and highest value of the signal: [0, 1] for images, video; [-1, 1] for sound; None for vectors."""
        return _RANGES[self.axes]

    @property
    def levels(self) -> int | None:
        """How many values a signal takes: 256 for images and video (8 bits), None for sound and vectors."""
        return 256 if self.axes >= 2 else None

    @property
    def only_size(self) -> tuple[int, ...] | None:
        """The one size of signals that the model reads (a vector of latents belongs to it); None: any size."""
        return None

    def training_size(self) -> tuple[int, ...]:
        """The size of the signals that the model was trained on (or that its config gives).

        Raises:
            ConfigError: it has not been trained.
        """
        size = tuple(self.signal_size.tolist()) if self.axes else ()
        if 0 in size:
            size = tuple(self.config.get("size") or size)
        if 0 in size:
            raise ConfigError("the model has not seen a training signal yet, so its size is not known: give size=")
        return size

    def to_float(self, x: Tensor) -> Tensor:
        """Signals in their own units: uint8 as float in [0, 1]."""
        return x.to(self._dtype) / 255 if x.dtype == torch.uint8 else x.to(self._dtype)

    def to_signal(self, numbers: Tensor) -> Tensor:
        """A network's numbers as a signal, float32 (or wider), in the signal's range."""
        signal = wide(numbers) * self.signal_std + self.signal_mean
        return signal if self.signal_range is None else signal.clamp(*self.signal_range)

    def check_signal(self, x: Tensor) -> None:
        """Raise ``DataError`` unless ``x`` is ``[batch, channels, *size]`` as the config says, with no empty axis."""
        if x.ndim != 2 + self.axes or x.shape[1] != self.channels or 0 in x.shape:
            expected = _AXES_NAMES.get(self.axes, "[batch, channels, frames, height, width]")
            raise DataError(
                f"got a tensor of shape {tuple(x.shape)}; this model reads {expected} with channels={self.channels} "
                "and no empty axis (both from its config)"
            )

    @property
    def _dtype(self) -> torch.dtype:
        return self.signal_mean.dtype

    def _numbers(self, x: Tensor) -> Tensor:
        """Signals in a network's units: mean 0, standard deviation 1 over the training data."""
        return (self.to_float(x) - self.signal_mean) / self.signal_std

    def _unit(self) -> Unit:
        return Unit(self.signal_mean, self.signal_std, self.levels)

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
        return folder.load(cls, config, location)

    @classmethod
    def from_state(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Self:
        """A model from its config and its tensors; ``where`` names their folder in errors."""
        model = folder.build(cls, config, folder.specs_of(tensors), where)
        folder.fill(model, tensors, where)
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
        """Where the model is."""
        return self.signal_mean.device


def wide(x: Tensor) -> Tensor:
    """At least float32: what bfloat16 layers emit under autocast is compared and summed in float32."""
    return x if x.dtype == torch.float64 else x.float()
