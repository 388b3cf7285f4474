"""Decoding of models whose decoder may be autoregressive: teacher forcing in training, drawing value by value."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from vqkit.coding import per_axis
from vqkit.errors import ConfigError
from vqkit.likelihoods import LIKELIHOODS, Unit
from vqkit.models.base import Model
from vqkit.models.latents import check_latents
from vqkit.models.probability import drawing_temperature
from vqkit.networks import DECODERS, AutoregressiveNetwork, crop_to, is_autoregressive, pad_to_multiple
from vqkit.networks.padding import frames_of
from vqkit.networks.registry import CONV
from vqkit.objectives import Decoded
from vqkit.ops.precision import at_least_float32
from vqkit.signals import signal_kind
from vqkit.spelling import setting

_SEED_BITS = 63


class OtherClass:
    """``Decoded.decode_as`` with a memory of one: what it decoded last is not decoded again where no gradient is asked.

    An objective's own parameters learn after the step of the model, when parameters may be sharded again.

    Args:
        decode: latents and classes to the mean.
    """

    def __init__(self, decode: Callable[[Tensor, Tensor], Tensor]) -> None:
        self._decode = decode
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, latents: Tensor, classes: Tensor) -> Tensor:
        """See ``Decoded.decode_as``."""
        if self._last is not None and not torch.is_grad_enabled() and torch.equal(self._last[0], classes):
            return self._last[1]
        made = self._decode(latents, classes)
        self._last = classes, made.detach()
        return made


class DecodingModel(Model, ABC):
    """A model with a decoder network, which may be autoregressive (``vqkit.networks.AutoregressiveNetwork``).

    With such a decoder ``forward`` and ``log_likelihood`` give it the signal (teacher forcing): the reconstruction of
    ``forward`` is what it expects of each value given the true ones before it. ``decode`` draws a signal.
    """

    decoder: nn.Module
    downsampling: int | tuple[int, ...]

    @property
    def autoregressive(self) -> bool:
        """See ``Model.autoregressive``."""
        return is_autoregressive(self.decoder)

    @abstractmethod
    def _read_codes(self, codes: Any, size: Sequence[int] | None) -> tuple[Tensor, Sequence[int] | None]:
        """What the decoder reads for codes, and the size to crop to."""

    @abstractmethod
    def _latents_of(self, numbers: Tensor, mask: Tensor | None) -> Tensor:
        """What the encoder emits for signals in units of the data's deviation."""

    @abstractmethod
    def _decoded(self, latents: Tensor, state: Any = None, mask: Any = None, signal: Tensor | None = None) -> Tensor:
        """What the decoder emits for latents (and a signal, as ``_forced`` gives it)."""

    def decode_parameters(self, codes: Any, size: Sequence[int] | None = None, mask: Any = None) -> Tensor:
        """See ``Model.decode_parameters``.

        Raises:
            ValueError: codes of another model, or a size that they do not belong to.
            ConfigError: the decoder is autoregressive, and the parameters depend on the signal: see ``parameters_of``.
        """
        if self.autoregressive:
            raise ConfigError(
                f"what the decoder, a {type(self.decoder).__name__}, emits depends on the signal, since it is "
                "autoregressive: call parameters_of(x, codes)"
            )
        latents, size = self._read_codes(codes, size)
        return self._emitted(latents, size, mask=mask)

    def parameters_of(self, x: Any, codes: Any) -> Tensor:
        """See ``Model.parameters_of``."""
        x = self.read_signals(x)
        if not self.autoregressive:
            return self.decode_parameters(codes, x.shape[2:])
        latents, size = self._read_codes(codes, x.shape[2:])
        return self._emitted(latents, size, self._forced(x))

    def _emitted(
        self, latents: Tensor, size: Sequence[int] | None, signal: Tensor | None = None, mask: Any = None
    ) -> Tensor:
        raw = at_least_float32(self._decoded(latents, mask=mask, signal=signal))
        return raw if size is None else crop_to(raw, size)

    def _mean_as(self, size: Sequence[int], mask: Any, latents: Tensor, condition: Any) -> Tensor:
        """See ``Decoded.decode_as``; not of an autoregressive decoder."""
        layer = self.decoder_condition
        with self.conditioned_on(condition), nullcontext() if layer is None else layer.never_dropped():
            raw = self._emitted(latents.to(self._dtype), size, mask=mask)
        mean: Tensor = cast(Any, self.likelihood).expected(raw, self._unit())
        return mean

    def _with_classes(self, decoded: Decoded, classes: Tensor) -> Decoded:
        """What an objective that reads classes is given besides."""
        decode = OtherClass(partial(self._mean_as, decoded.target.shape[2:], decoded.mask))
        encode = partial(self._latents_of, mask=decoded.mask)
        return replace(decoded, classes=classes, decode_as=decode, encode=encode)

    def decode(
        self,
        codes: Any,
        size: Sequence[int] | None = None,
        *,
        condition: Any = None,
        mask: Any = None,
        gradient: bool = False,
        temperature: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Signals ``[batch, channels, *size]``: the mean of p(x | z), or of an autoregressive decoder a draw from it.

        Args:
            codes: see ``Model.decode``.
            size: see ``Model.decode``.
            condition: see ``Model.decode``.
            mask: see ``Model.decode``; an autoregressive decoder draws each item alone then, with silence behind it.
            gradient: see ``Model.decode``; a draw has none.
            temperature: of an autoregressive decoder: 1 draws from p(x | z), less keeps to what is likelier, 0 takes
                the likeliest value each time; None: 1, or what ``drawing_at`` says.
            generator: of its random numbers; None: they belong to the codes of each item, so that an item decodes to
                the same signal every time, in any batch.

        Raises:
            ValueError: codes of another model, or a size that they do not belong to.
            DataError: a condition that is missing, unknown, or of a model without.
            ConfigError: a temperature out of range, or of a decoder that draws nothing; a gradient of one that draws.
        """
        if temperature is not None:
            self._check_drawing(temperature)
        if not self.autoregressive:
            return super().decode(codes, size, condition=condition, mask=mask, gradient=gradient)
        if gradient:
            raise ConfigError("gradient=True: an autoregressive decoder draws values, which have no gradient")
        with self.conditioned_on(condition), torch.no_grad():
            latents, size = self._read_codes(codes, size)
            if mask is None:
                return self._drawn(self._told(latents), size, temperature, generator)
            return self._drawn_alone(self._told(latents), size, mask, temperature, generator)

    def decode_latents(
        self, latents: Tensor, size: Sequence[int] | None = None, *, condition: Any = None, clip: bool = True
    ) -> Tensor:
        """Decode what the decoder reads (codewords, or continuous latents) to signals, with the gradient.

        The second half of ``forward``, for a loop of one's own: of a VQ-VAE in evaluation mode
        ``model.decode_latents(model.quantizer(model.latents(x)).quantized, x.shape[2:])`` is ``model.reconstruct(x)``.

        Args:
            latents: ``[batch, code_dim, *grid]``, or ``[batch, latent_dim]`` of one vector a signal.
            size: what to crop to; None gives the padded size.
            condition: see ``decode``.
            clip: to the signal's range; a loss wants False, since no gradient passes where values are clipped.

        Raises:
            ValueError: latents of another shape, or a size that they do not belong to.
        """
        size = self.only_size if size is None else size
        check_latents(self, latents, size)
        latents = latents.to(self.device, self._dtype)
        with self.conditioned_on(condition):
            if self.autoregressive:
                return self._drawn(self._told(latents), size)
            return self.to_signal(self.likelihood.expected(self._emitted(latents, size), self._unit()), clip=clip)

    def _drawn_alone(
        self, latents: Tensor, size: Sequence[int] | None, mask: Any, temperature: float | None, generator: Any
    ) -> Tensor:
        """Signals of one axis that end where a mask says, each drawn from its own frames."""
        if self.axes != 1:
            raise ConfigError(f"mask=: an autoregressive decoder takes one for signals of 1 axis, not of {self.axes}")
        ends = frames_of(mask, self.downsampling, (len(latents), latents.shape[2])).sum(dim=1).tolist()
        length = latents.shape[2] * per_axis(self.downsampling, 1)[0]
        found = torch.zeros(len(latents), self.channels, length, device=self.device)
        for number, end in enumerate(ends):
            if end:
                part = self._drawn(latents[number : number + 1, :, :end], None, temperature, generator)
                found[number, :, : part.shape[2]] = part[0]
        return found if size is None else crop_to(found, size)

    def _read_back(self, x: Tensor) -> Tensor | None:
        """What the decoder reads of the signals beside latents: None, unless it is autoregressive."""
        return self._forced(x) if self.autoregressive else None

    def _forced(self, x: Tensor) -> Tensor:
        """Signals as an autoregressive decoder reads them: at the likelihood's levels, in a network's numbers."""
        values = self.likelihood.discretized(self.to_float(x), self._unit())
        return pad_to_multiple(self._numbers(values), self.downsampling)

    def _drawn(
        self,
        latents: Tensor,
        size: Sequence[int] | None,
        temperature: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Signals that an autoregressive decoder draws for what it reads."""
        temperature = drawing_temperature() if temperature is None else float(temperature)
        likelihood, mean, std = self.likelihood, self.signal_mean.cpu(), self.signal_std.cpu()
        likelihood = likelihood if mean.device == self.device else _on_cpu(likelihood)
        unit, dtype = Unit(mean, std, self.levels), self._dtype
        decoder = cast("AutoregressiveNetwork", self.decoder)
        factors = per_axis(self.downsampling, self.axes)
        shape = [length * factor for length, factor in zip(latents.shape[2:], factors, strict=True)]
        count = torch.Size(shape).numel()
        noise = _noise(latents, likelihood.draws, count, generator)
        drawn = torch.empty(len(latents), self.channels, count, dtype=torch.promote_types(dtype, torch.float32))

        def draw(emitted: Tensor, position: int) -> Tensor:
            raw = at_least_float32(emitted).cpu().unsqueeze(2)
            values = likelihood.draw(raw, noise[:, :, position : position + 1], unit, temperature)
            drawn[:, :, position : position + 1] = values
            return ((values[:, :, 0] - mean) / std).to(emitted.device, dtype)

        decoder.generate(latents, draw)
        signals = drawn.view(len(drawn), self.channels, *shape).to(self.device)
        signals = signals if self.signal_range is None else signals.clamp(*self.signal_range)
        return signals if size is None else crop_to(signals, size)

    @torch.no_grad()
    def log_likelihood(self, x: Any, codes: Tensor) -> Tensor:
        """See ``Model.log_likelihood``; with an autoregressive decoder in parts, whose parameters fit the memory."""
        if not self.autoregressive:
            return super().log_likelihood(x, codes)
        x = self.read_signals(x)
        latents, _ = self._read_codes(codes, x.shape[2:])
        latents = self._told(latents)
        forced, total = self._forced(x), torch.zeros(len(x), dtype=torch.float64, device="cpu")
        decoder = cast("AutoregressiveNetwork", self.decoder)
        for number in range(len(x)):  # of one item at a time
            item, start = slice(number, number + 1), 0
            for raw in decoder.in_parts(latents[item], forced[item]):
                here = x[item].narrow(2, start, min(raw.shape[2], x.shape[2] - start))
                raw = crop_to(at_least_float32(raw), here.shape[2:])
                total[item] += self.log_likelihood_of(here, raw).cpu()
                start += raw.shape[2]
                if start >= x.shape[2]:
                    break
        return total


def choose_likelihood(config: Mapping[str, Any], levels: int | None, *, vector: bool) -> str:
    """The likelihood that a config names, or the one that suits its decoder where it names none.

    Raises:
        ConfigError: an autoregressive decoder with what it cannot go with.
    """
    given, decoder = config["likelihood"], config.get("decoder", CONV)
    fields = config.get("kind") is not None and signal_kind(config["kind"]).per_channel
    if fields and given == "categorical":
        raise ConfigError(
            f"{setting('likelihood', given)} has the levels of images or of mu-law, and these are fields: give "
            "gaussian, or of integers logistic or logistic_mixture"
        )
    name = decoder.get("type") if isinstance(decoder, Mapping) else decoder
    part = DECODERS.get_part(name) if isinstance(name, str) and name in DECODERS else name
    if not is_autoregressive(part):
        return "gaussian" if given is None else str(given)
    if fields:
        raise ConfigError("an autoregressive decoder is for sound and images, and these are fields: leave it out")
    if vector:
        raise ConfigError(f"an autoregressive decoder reads a grid of latents: give {setting('latent', 'grid')}")
    if config.get("linear_path"):
        raise ConfigError("linear_path=true: an autoregressive decoder goes with no linear path; leave it out")
    suited = "categorical" if levels is None else "logistic_mixture"
    if levels is None and given in LIKELIHOODS and LIKELIHOODS.get_part(given).needs_levels:
        raise ConfigError(
            f"{setting('likelihood', given)} counts the levels of 8-bit images and video; an autoregressive decoder of "
            f"other signals takes {setting('likelihood', suited)}, whose levels are those of mu-law"
        )
    return suited if given is None else str(given)


def _noise(latents: Tensor, draws: int, count: int, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers of each item, ``[batch, draws, count]`` float64, from a seed of its own."""
    if generator is None:
        arrays = latents.detach().cpu().contiguous().float().numpy()
        seeds = [zlib.crc32(item.tobytes()) for item in arrays]
    else:
        device = generator.device
        seeds = torch.randint(1 << (_SEED_BITS - 1), (len(latents),), generator=generator, device=device).tolist()
    own = torch.Generator()
    rows = [torch.rand(count, draws, generator=own.manual_seed(seed), dtype=torch.float64) for seed in seeds]
    return torch.stack(rows).transpose(1, 2) if rows else torch.zeros(0, draws, count, dtype=torch.float64)


def _on_cpu(likelihood: Any) -> Any:
    import copy

    return copy.deepcopy(likelihood).cpu()
