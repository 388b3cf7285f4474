"""Base of every rung of the ladder: an encoder-decoder pair with one interface, saved as a folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from vqkit.data.arrays.items import signal_and_label
from vqkit.data.conversion import mask_tensor, signal_tensor
from vqkit.data.source import Source
from vqkit.deprecation import keep_old_names
from vqkit.errors import ConfigError, DataError
from vqkit.likelihoods import Gaussian, Likelihood
from vqkit.models.channels import Scaled
from vqkit.models.conditions.model import Conditional
from vqkit.models.matching import by_batches, check_layout, show_options
from vqkit.models.output import LatentCost, ModelOutput
from vqkit.models.probability import Probabilistic
from vqkit.models.scoring.scorer import Scored
from vqkit.ops import float64
from vqkit.ops.linear.moments import Moments
from vqkit.ops.precision import at_least_float32
from vqkit.pretrained.trainable import Trainable
from vqkit.quantizers.base import freeze
from vqkit.signals import Signal, default_kind, signal_kind

_LEAST_VARIANCE = 1e-6  # of signals that have levels; others come in any unit


class Model(Conditional, Scaled, Probabilistic, Scored, Trainable):
    """An encoder-decoder pair that minimises a reconstruction error.

    ``config`` holds the keyword arguments of the class, all of them, as strict JSON values. What a model calls
    *codes* are its indices, int64 ``[batch, *grid]`` or ``[batch, *grid, codebooks]`` (``discrete`` models), or else
    its latents, float ``[batch, latent_dim]`` or ``[batch, latent_dim, *grid]``.

    Args:
        axes: spatial axes of the signal: 0 vectors, 1 sound, 2 images, 3 video.
        channels: of the signal: 1 grey, 3 colour, 1 or 2 for sound, the length of a vector for ``axes=0``.
        channel_means: whether the mean is taken off each channel on its own (vectors only): for columns whose offsets
            are far apart, next to which the spread of each would vanish; ``for_source`` sets it where the data asks.
        kind: of signal, by name (``vqkit.signals``), as ``for_source`` sets it; None: that of so many axes.

    Raises:
        ConfigError: a number out of range.

    Example:
        >>> import vqkit
        >>> from vqkit.models import Model
        >>> isinstance(vqkit.PCA(2, size=(8, 8)), Model), isinstance(vqkit.VQVAE(16), Model)
        (True, True)
    """

    usage: ClassVar[str] = (
        'model = vqkit.load_model("path/or/owner/name")\n'
        "latents = model.encode(signals)\n"
        "signals = model.decode(latents)"
    )
    discrete: ClassVar[bool] = False
    gathered_methods: ClassVar[tuple[str, ...]] = (
        "encode", "decode", "decode_parameters", "parameters_of", "latent_cost", "log_likelihood", "log_likelihood_of",
    )  # fmt: skip
    likelihood: Likelihood
    signal_mean: Tensor
    signal_std: Tensor
    signal_size: Tensor

    def __init__(self, axes: int, channels: int, *, channel_means: bool = False, kind: str | None = None) -> None:
        super().__init__()
        self._kind = default_kind(axes) if kind is None else signal_kind(kind).of_axes(axes)
        if self._kind.axes != axes:
            raise ConfigError(f"kind={kind!r} with axes={axes}: {self._kind.noun[1]} have axes={self._kind.axes}")
        if channels < 1:
            raise ConfigError(f"channels={channels}: give 1 or more")
        if channel_means and axes:
            raise ConfigError(f"channel_means=true with axes={axes}: it is for vectors (axes=0)")
        self.axes = axes
        self.channels = channels
        self.vector = False  # one vector for the whole signal instead of one for each position
        self.decoder_condition = None
        assumed_mean, assumed_std = self._kind.moments
        each = (channels, *[1] * axes) if self._kind.per_channel else ()
        mean = torch.zeros(channels) if channel_means else torch.full(each, assumed_mean)
        self.register_buffer("signal_mean", mean)
        self.register_buffer("signal_std", torch.full(each, assumed_std))
        self.register_buffer("signal_size", torch.zeros(max(axes, 1), dtype=torch.int64))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_names(cls, _OLD_NAMES)
        show_options(cls)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As of every module; False also freezes codebooks that learn without a gradient (see ``Quantizer.frozen``)."""
        super().requires_grad_(requires_grad)
        freeze(self, not requires_grad)
        return self

    @abstractmethod
    def encode(self, x: Any, mask: Any = None) -> Tensor:
        """Indices (or continuous latents) of signals, as ``read_signals`` takes them; no gradient, changes no state.

        Args:
            x: signals; also a data set of one size (a source, one of torch or Hugging Face), read batch by batch.
            mask: see ``forward``.

        Raises:
            DataError: signals that the model does not read.
        """

    @abstractmethod
    def decode_parameters(self, codes: Any, size: Sequence[int] | None = None, mask: Any = None) -> Tensor:
        """The parameters of p(x | z), ``[batch, likelihood.outputs, *size]``, that the decoder finds for codes.

        With the decoder's gradient, unless it is called under ``torch.no_grad``. The mask is that of ``decode``.
        """

    @abstractmethod
    def forward(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput:
        """Reconstruction, loss and metrics of signals, as ``read_signals`` takes them.

        Args:
            x: signals.
            mask: ``[batch, *size]`` bool, False where a shorter signal was padded; None: all counts. What is there in
                ``x`` is not read (it may be NaN) and counts in no loss, no metric and no codebook's statistics. Of
                fields also ``[batch, channels, *size]``; NaN in ``x`` counts as little there, without a mask.
            condition: of each signal, or of all, where the decoder has one (see ``conditioned_on``).
        """

    if TYPE_CHECKING:

        def __call__(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput: ...  # noqa: D102

    @abstractmethod
    def sample_codes(self, count: int, size: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Codes of ``count`` new signals of this size, drawn from the model's prior."""

    @abstractmethod
    def latent_cost(self, x: Any, generator: torch.Generator | None = None) -> LatentCost | None:
        """What the latents of signals cost under the model's prior; None for a model without one (PCA, AE)."""

    def decode(
        self,
        codes: Any,
        size: Sequence[int] | None = None,
        *,
        condition: Any = None,
        mask: Any = None,
        gradient: bool = False,
    ) -> Tensor:
        """Signals ``[batch, channels, *size]``, float32 in the signal's range: the mean of p(x | z).

        Args:
            codes: as from ``encode``; also NumPy arrays, and for indices integers of any dtype, or tokens of one grid.
            size: what to crop to; None gives the padded size (grid times downsampling).
            condition: a class by its name or id, or a vector, of each item or of all, where the decoder has one.
            mask: ``[batch, *size]`` bool, as to ``encode``: False behind the end of a shorter signal. It is then what
                it is alone, also where the decoder looks ahead; what stands behind its end means nothing.
            gradient: whether the signals carry the gradient of the decoder (and of a codebook that learns by one, and
                of continuous latents that ask for it); where values are clipped to the signal's range it is 0.

        Raises:
            ValueError: codes of another model, or a size that they do not belong to.
            DataError: a condition that is missing, unknown, or of a model without.
        """
        with self.conditioned_on(condition), torch.set_grad_enabled(gradient and torch.is_grad_enabled()):
            told = () if mask is None else (mask,)
            return self.expected_signal(self.decode_parameters(codes, size, *told))

    @by_batches
    def reconstruct(self, x: Any, condition: Any = None) -> Tensor:
        """``decode(encode(x))`` at the size of ``x``; of a data set under its labels, unless a condition is given.

        Gaps of fields are gaps again.
        """
        x = self.read_signals(x)
        return self._with_gaps(self.decode(self.encode(x), x.shape[2:], condition=condition), x)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        *,
        size: Sequence[int] | None = None,
        condition: Any = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """New signals ``[count, channels, *size]``: codes from the prior, decoded to their mean.

        Args:
            count: how many.
            size: of the signals; None: that of the training signals.
            condition: see ``decode``.
            generator: for repeatable samples.

        Raises:
            ConfigError: no size given, and the model has not been trained.
        """
        if count < 1:
            raise ConfigError(f"count={count}: give 1 or more")
        size = self.training_size() if size is None else tuple(size)
        codes = self.sample_codes(count, size, generator)
        return self.decode(codes, size, condition=condition, **self._drawing(generator))

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Take what is needed from some training batches before the first step (scale, first codebook)."""
        kept, moments = list(self.read_batches(batches)), Moments()
        if self._kind.per_channel:
            self._measure_channels(kept)
            return
        means: Tensor | None = None
        if self.signal_mean.ndim:
            sums = [float64(self.to_float(batch)).sum(dim=0) for batch in kept]
            means = torch.stack(sums).sum(dim=0) / max(sum(len(batch) for batch in kept), 1) if kept else None
        for batch in kept:
            moments.add(self.to_float(batch) if means is None else float64(self.to_float(batch)) - means)
            if batch.ndim > 2:
                self.signal_size.copy_(torch.tensor(batch.shape[2:]))
        if not moments.count:
            raise DataError("there are no training signals to prepare the model with")
        variance = moments.variance
        if self.levels is not None:
            variance = max(variance, _LEAST_VARIANCE)
        self.signal_mean.copy_(torch.tensor(moments.mean) if means is None else means)
        self.signal_std.fill_(variance**0.5 if variance > 0 else 1.0)

    @torch.no_grad()
    def finish(self, batches: Iterable[Tensor]) -> None:
        """After training, fit what the loss did not: the scale of a Gaussian likelihood, as likely as it can be."""
        if not isinstance(self.likelihood, Gaussian) or isinstance(self.likelihood.log_scale, nn.Parameter):
            return
        count, total = torch.zeros(2, self.channels, dtype=torch.float64)
        for signals, condition in self._with_conditions(batches):
            x = self.read_signals(signals)
            with self.conditioned_on(condition):
                raw = self.parameters_of(x, self.encode(x))
            filled, known = self.without_gaps(x)
            error = self.likelihood.mean(raw) - self._numbers(filled)
            error = error if known is None else torch.where(known, error, error.new_zeros(()))
            total += float64(error).square().transpose(0, 1).flatten(1).sum(dim=1).cpu()
            each = torch.ones_like(error) if known is None else known
            count += float64(each).transpose(0, 1).flatten(1).sum(dim=1).cpu()
        if bool(count.sum()):
            self.likelihood.fit((total / count.clamp_min(1)).to(self.likelihood.log_scale))

    def check_items(self, source: Source) -> None:
        """See ``Trainable.check_items``: signals that the model reads, and its decoder can give back."""
        check_layout(self, source)
        self.check_source(source)
        self.conditions_of(source)

    def networks_to_compile(self) -> Sequence[nn.Module]:
        """See ``Trainable.networks_to_compile``: none, unless the class says some."""
        return []

    @property
    def kind(self) -> Signal:
        """The kind of signal that the model reads (``vqkit.signals``)."""
        return self._kind

    @property
    def signal_range(self) -> tuple[float, float] | None:
        """Lowest and highest value of the signal: [0, 1] for images, video; [-1, 1] for sound; None for vectors."""
        return self._kind.value_range

    @property
    def levels(self) -> int | None:
        """How many values a signal takes: 256 for images and video (8 bits), None for sound and vectors."""
        return self._kind.levels

    def training_size(self) -> tuple[int, ...]:
        """The size of the signals that the model was trained on (or that its config gives).

        Raises:
            ConfigError: it has not been trained.
        """
        size = tuple(self.signal_size.tolist())[: self.axes]
        if 0 in size:
            size = tuple(self.config.get("size") or size)
        if 0 in size:
            raise ConfigError("the model has not seen a training signal yet, so its size is not known: give size=")
        return size

    def read_signals(self, given: Any, *, look: bool = True) -> Tensor:
        """Convert what a person hands over to signals ``[batch, channels, *size]`` on the model's device.

        Args:
            given: a tensor ``[batch, channels, *size]``; a NumPy array of a batch or of one signal, channels first or
                last; a Pillow image; the path of an image; or a list of single ones of one size. Images and video:
                uint8 (or other integers of 0 to 255, uint16, bool), or floats in [0, 1]; sound: floats in [-1, 1];
                vectors: any finite numbers.
            look: at the values of floats, for NaN and the range.

        Raises:
            DataError: another layout, other channels, or numbers that are no such signals; with the repair.
        """
        found = signal_tensor(given, self.channels, self._kind, look=look)
        return found if found.device == self.device else found.to(self.device)

    def read_batches(self, batches: Iterable[Any]) -> Iterator[Tensor]:
        """Yield the signals of batches, on the model's device; the labels beside them are left out.

        Args:
            batches: each as ``read_signals`` takes it, alone or with labels, as loaders give tuples and mappings; or
                one batch, a tensor or an array.

        Raises:
            DataError: a batch that the model does not read.
        """
        several = [batches] if isinstance(batches, Tensor | np.ndarray) else batches
        for number, batch in enumerate(several):
            yield self.read_signals(signal_and_label(batch, f"batch {number}")[0])

    def read_mask(self, given: Any, shape: Sequence[int]) -> Tensor:
        """A mask ``[batch, *size]`` bool for signals of this shape, on the model's device.

        Raises:
            DataError: another shape, or no bool.
        """
        each = tuple(shape) if self._kind.gaps and self.axes else None
        return mask_tensor(given, (shape[0], *shape[2:]), each).to(self.device)

    def check_source(self, source: Source) -> None:
        """Raise ``DataError`` for a source of other channels, axes or values than the model reads.

        What the decoder can give back is bounded by ``signal_range``: a source beyond it would come back clipped.
        """
        source.check_signals(self.channels, self._kind)

    @property
    def shows_pictures(self) -> bool:
        """Whether there are pictures of its signals: images in grey or in colour, spectrograms, film strips."""
        return self._kind.shows(self.channels)

    def to_float(self, x: Tensor) -> Tensor:
        """Signals in their own units: uint8 as float in [0, 1] (vectors: as the numbers that they are)."""
        dtype = torch.promote_types(self._dtype, torch.float32)
        if x.dtype == torch.float64 and self._kind.per_channel:
            return x
        return x.to(dtype) / 255 if x.dtype == torch.uint8 and self._kind.from_bytes else x.to(dtype)

    def to_signal(self, numbers: Tensor, *, clip: bool = True) -> Tensor:
        """Convert a network's numbers (in standard deviations of the training data, around its mean) to a signal.

        Args:
            numbers: ``[batch, channels, *size]``: the mean of p(x | z), ``likelihood.mean`` of what a decoder emits.
            clip: to the signal's range. Where values are clipped no gradient passes.

        Returns:
            float32 or wider, in the signal's units.
        """
        wide = at_least_float32(numbers)
        wide = float64(wide) if self._kind.wide else wide
        signal = wide * self.signal_std.to(wide.device) + self.signal_mean.to(wide.device)
        return signal.clamp(*self.signal_range) if clip and self.signal_range is not None else signal

    @property
    def _dtype(self) -> torch.dtype:
        """What the networks compute in (that of the parameters); here that of the buffers, float32 or wider."""
        return self.signal_mean.dtype

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.signal_mean.device


_OLD_NAMES = {
    "predict": "decode_parameters",
    "settle": "recalibrate_codebook",
    "settling_positions": "recalibration_positions",
}
keep_old_names(Model, _OLD_NAMES)
