"""The VQ-VAE: an encoder, a codebook, a decoder (van den Oord, Vinyals and Kavukcuoglu 2017, arXiv 1711.00937)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from vqkit.checking import check_types
from vqkit.errors import ConfigError, DataError
from vqkit.models.base import Model, ModelOutput
from vqkit.networks import Decoder, Encoder, crop_to, grid_size, pad_to_multiple
from vqkit.ops import float64
from vqkit.quantizers import build_quantizer
from vqkit.quantizers.codebook import flatten_grid

_RANGES: dict[int, tuple[float, float] | None] = {0: None, 1: (-1.0, 1.0), 2: (0.0, 1.0), 3: (0.0, 1.0)}
_LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}


class VQVAE(Model):
    """Signals to a grid of indices into a learned codebook, and back.

    The loss is ``mean((x - d(q(e(x))))^2) / variance of the data`` plus the quantizer's terms (equation 3); each is a
    mean over batch and elements, so duplicating the batch changes nothing. The straight-through gradient carries the
    decoder's gradient to the encoder.

    Args:
        codebook_size: K. An index costs log2 K bits.
        code_dim: numbers in a codeword.
        downsampling: pixels (samples, frames) per position on each axis; a power of two.
        channels: of the signal: 1 grey, 3 colour, 1 or 2 for sound, the length of a vector for ``axes=0``.
        axes: spatial axes of the signal: 0 vectors, 1 sound, 2 images, 3 video.
        hidden_channels: width of the networks at the grid's resolution.
        residual_blocks: in the encoder and again in the decoder.
        residual_channels: width inside a residual block.
        widths: channels after each halving, from the signal inwards; None: half of ``hidden_channels``, then all.
        upsampling: ``"transposed"`` (the paper's) or ``"resize"``.
        quantizer: ``"ema"`` (the codebook follows by moving averages) or ``"gradient"`` (equation 3).
        quantizer_options: further keyword arguments of the quantizer: beta, decay, restart_below ...

    Raises:
        ConfigError: a value out of range, or an unknown name.
    """

    model_type: ClassVar[str] = "vqvae"
    signal_mean: Tensor
    signal_std: Tensor

    def __init__(
        self,
        codebook_size: int = 512,
        *,
        code_dim: int = 64,
        downsampling: int = 4,
        channels: int = 3,
        axes: int = 2,
        hidden_channels: int = 128,
        residual_blocks: int = 2,
        residual_channels: int = 32,
        widths: Sequence[int] | None = None,
        upsampling: str = "transposed",
        quantizer: str = "ema",
        quantizer_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = {
            "codebook_size": codebook_size,
            "code_dim": code_dim,
            "downsampling": downsampling,
            "channels": channels,
            "axes": axes,
            "hidden_channels": hidden_channels,
            "residual_blocks": residual_blocks,
            "residual_channels": residual_channels,
            "widths": list(widths) if isinstance(widths, tuple) else widths,
            "upsampling": upsampling,
            "quantizer": quantizer,
            "quantizer_options": {} if quantizer_options is None else quantizer_options,
        }
        check_types(VQVAE.__init__, self.config)
        _check(self.config)
        self.config["quantizer_options"] = dict(self.config["quantizer_options"])
        self.axes = axes
        self.channels = channels
        self.downsampling = downsampling
        shape: dict[str, Any] = {
            name: self.config[name]
            for name in (
                "axes",
                "channels",
                "code_dim",
                "downsampling",
                "hidden_channels",
                "residual_blocks",
                "residual_channels",
                "widths",
            )
        }
        self.encoder = Encoder(**shape)
        self.quantizer = build_quantizer(quantizer, codebook_size, code_dim, self.config["quantizer_options"])
        self.decoder = Decoder(**shape, upsampling=upsampling)
        self.register_buffer("signal_mean", torch.tensor(0.5 if axes >= 2 else 0.0))
        self.register_buffer("signal_std", torch.tensor(0.25 if axes >= 2 else 1.0))
        self._layout = _LAYOUT.get(axes, torch.contiguous_format)
        self.to(memory_format=self._layout)  # type: ignore[call-overload]

    @classmethod
    def for_source(cls, source: Any, codebook_size: int = 512, **options: Any) -> Self:
        """A model with the channels and axes of a data source; the other arguments as given."""
        return cls(codebook_size, **{"channels": source.channels, "axes": source.axes, **options})

    @property
    def codebook_size(self) -> int:
        """K."""
        return self.quantizer.codebook_size

    @property
    def code_dim(self) -> int:
        """Numbers in a codeword."""
        return self.quantizer.code_dim

    @property
    def codebook(self) -> Tensor:
        """The codewords, ``[K, code_dim]``."""
        return self.quantizer.codes(torch.arange(self.codebook_size, device=self.device))

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        """Positions on each axis for signals of this size."""
        return grid_size(size, self.downsampling)

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Indices ``[batch, *grid]`` int64 of signals ``[batch, channels, *size]``, any size, float or uint8.

        Raises:
            DataError: another number of axes or channels, or an empty axis.
        """
        return self.quantizer.encode(self.latents(x))

    @torch.no_grad()
    def decode(self, indices: Tensor, size: Sequence[int] | None = None) -> Tensor:
        """Signals ``[batch, channels, *size]`` float32 of indices ``[batch, *grid]``, in the signal's range.

        Args:
            indices: integers in ``[0, codebook_size)``.
            size: what to crop to; None gives grid times downsampling.

        Raises:
            ValueError: indices of another codebook, or a size that this grid does not belong to.
        """
        if indices.ndim != 1 + self.axes:
            raise ValueError(
                f"indices have shape {tuple(indices.shape)}; expected [batch, *grid] with {self.axes} grid axes"
            )
        if size is not None and self.grid(size) != tuple(indices.shape[1:]):
            raise ValueError(f"size {tuple(size)} has a grid of {self.grid(size)}, not {tuple(indices.shape[1:])}")
        signal = self._finish(self.decoder(self.quantizer.codes(indices.to(self.device)).to(self._dtype)))
        return signal if size is None else crop_to(signal, size)

    def latents(self, x: Tensor) -> Tensor:
        """What the encoder emits, ``[batch, code_dim, *grid]``, before quantisation."""
        latents: Tensor = self.encoder(self._normalise(x))
        return latents

    def forward(self, x: Tensor) -> ModelOutput:
        """See ``Model.forward``. Metrics: ``reconstruction_loss``, the quantizer's losses, and ``mse``."""
        normalised = self._normalise(x)
        quantization = self.quantizer(self.encoder(normalised))
        prediction = self.decoder(quantization.quantized)
        size = x.shape[2:]
        error = crop_to(_wide(prediction), size) - crop_to(_wide(normalised), size)
        reconstruction_loss = error.square().mean()
        losses = {"reconstruction_loss": reconstruction_loss, **quantization.losses}
        with torch.no_grad():
            reconstruction = crop_to(self._finish(prediction), size)
            mse = (reconstruction - self._to_float(x)).square().mean()
        metrics = {**{name: loss.detach() for name, loss in losses.items()}, "mse": mse}
        loss = torch.stack(list(losses.values())).sum()
        return ModelOutput(reconstruction, loss, metrics, quantization.indices)

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Measure the signal's mean and standard deviation, and set the codebook by k-means of the first latents."""
        kept = [batch.to(self.device) for batch in batches]
        count, total, squares = 0, 0.0, 0.0
        for batch in kept:
            values = float64(self._to_float(batch))
            count, total = count + values.numel(), total + float(values.sum())
            squares += float(values.square().sum())
        mean = total / count
        self.signal_mean.fill_(mean)
        self.signal_std.fill_(max(squares / count - mean * mean, 1e-6) ** 0.5)
        if not self.quantizer.initialised:
            latents = torch.cat([flatten_grid(self.latents(batch)) for batch in kept])
            self.quantizer.initialise(_wide(latents))

    @property
    def signal_range(self) -> tuple[float, float] | None:
        """Lowest and highest value of the signal: [0, 1] for images, video; [-1, 1] for sound; None for vectors."""
        return _RANGES[self.axes]

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.decoder.parameters()).dtype

    def _to_float(self, x: Tensor) -> Tensor:
        return x.to(self._dtype) / 255 if x.dtype == torch.uint8 else x.to(self._dtype)

    def _normalise(self, x: Tensor) -> Tensor:
        if x.ndim != 2 + self.axes or x.shape[1] != self.channels or 0 in x.shape:
            names = {0: "[batch, channels]", 1: "[batch, channels, time]", 2: "[batch, channels, height, width]"}
            expected = names.get(self.axes, "[batch, channels, frames, height, width]")
            raise DataError(
                f"got a tensor of shape {tuple(x.shape)}; this model reads {expected} with channels={self.channels} "
                "and no empty axis (both from its config)"
            )
        x = (self._to_float(x) - self.signal_mean) / self.signal_std
        return pad_to_multiple(x, self.downsampling).contiguous(memory_format=self._layout)

    def _finish(self, prediction: Tensor) -> Tensor:
        signal = _wide(prediction) * self.signal_std + self.signal_mean
        return signal if self.signal_range is None else signal.clamp(*self.signal_range)


def _wide(x: Tensor) -> Tensor:
    """At least float32: what bfloat16 layers emit under autocast is compared and summed in float32."""
    return x if x.dtype == torch.float64 else x.float()


def _check(config: Mapping[str, Any]) -> None:
    if config["axes"] not in _RANGES:
        raise ConfigError(f"axes={config['axes']}: signals have 0 (vectors), 1 (sound), 2 (images) or 3 (video) axes")
    if config["axes"] == 0 and config["downsampling"] != 1:
        raise ConfigError(f"downsampling={config['downsampling']}: a vector (axes=0) has no grid; give downsampling=1")
    if config["upsampling"] not in ("transposed", "resize"):
        raise ConfigError(f"upsampling={config['upsampling']!r}: choose 'transposed' or 'resize'")
    for name in ("code_dim", "channels", "hidden_channels", "residual_channels"):
        if config[name] < 1:
            raise ConfigError(f"{name}={config[name]}: give 1 or more")
    if config["residual_blocks"] < 0:
        raise ConfigError(f"residual_blocks={config['residual_blocks']}: give 0 or more")
