"""Base of the rungs made of networks: the paper's encoder and decoder, and the reconstruction term of the loss."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from vqkit.chance import seeded
from vqkit.coding import per_axis
from vqkit.data.conversion import batch_tensor
from vqkit.errors import ConfigError
from vqkit.likelihoods import Gaussian, build_likelihood
from vqkit.models.base import Model
from vqkit.models.conditions.layer import take_condition
from vqkit.models.conditions.model import conditional_options
from vqkit.models.decoding import DecodingModel, choose_likelihood
from vqkit.models.matching import check_options, signals_of, source_options
from vqkit.models.output import add_losses as add_losses
from vqkit.networks import (
    DECODERS,
    ENCODERS,
    FromVector,
    LinearPath,
    SequenceNetwork,
    StreamState,
    ToVector,
    check_emitted,
    check_saves,
    crop_to,
    grid_mask,
    grid_size,
    pad_to_multiple,
    run_decoder,
)
from vqkit.networks.base import Network
from vqkit.networks.linear_path import silence
from vqkit.networks.padding import positions_of, silenced
from vqkit.networks.pair import build_pair
from vqkit.networks.registry import CONV
from vqkit.objectives import Decoded, LikelihoodObjective, Objective, build_objective
from vqkit.objectives import mean_of as mean_of
from vqkit.ops.precision import at_least_float32
from vqkit.pretrained.card import ModelCard
from vqkit.quantizers.replay import Replay, recomputing
from vqkit.registry import Registry
from vqkit.signals import Signal

_TAKEN = {"loss", "mse"}
"""What the log calls the sum of the terms, and the squared error: no term of an objective is called so."""
_LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}


class NetworkModel(DecodingModel, ABC):
    """An encoder network, a decoder network and a likelihood.

    Its objective is the likelihood alone, unless ``use_objective`` (or ``train(objective=...)``) says another. The
    reconstruction loss is then ``mean((x - d(z))^2) / variance of the data`` with the Gaussian likelihood, and
    ``-log p(x | z)`` in nats per value with the others; a mean over batch and elements, so duplicating the batch
    changes nothing. The discretised likelihoods begin as squared error of their mean and become themselves over
    ``likelihood_warmup`` steps: from the first step on they learn the marginal distribution of a pixel's values, and
    for a long time nothing of the signal.

    Args:
        encoded: numbers per position (or, with ``vector``, per signal) that the encoder emits.
        decoded: numbers per position (or per signal) that the decoder reads.
        vector: one vector for the whole signal instead of one for each position of the grid.
        config: the arguments of the class, those below among them, with ``vector`` also size; networks given as
            instances are replaced by what rebuilds them (and left out where they are the default ones).
        learned_scale: whether the scale of a Gaussian likelihood is a parameter.
        downsampling: pixels (samples, frames) per position on each axis; a power of two with the ``"conv"`` networks.
        hidden_channels: width of the networks at the grid's resolution.
        residual_blocks: in the encoder and again in the decoder.
        residual_channels: width inside a residual block.
        widths: channels after each halving, from the signal inwards; None: half of ``hidden_channels``, then all.
        upsampling: ``"transposed"`` (the paper's) or ``"resize"``.
        encoder: a name of ``vqkit.networks.ENCODERS`` (with settings: ``{"type": name, "config": arguments}``), or an
            instance; its channels and its downsampling (see ``vqkit.networks.base``) are then the model's.
        decoder: of ``vqkit.networks.DECODERS``, by name, with settings or as an instance.
        likelihood: p(x | z): ``"gaussian"`` (squared error, its scale fitted afterwards; None), ``"logistic"``,
            ``"logistic_mixture"`` (the lowest bits per dimension) or ``"categorical"`` (levels; of sound those of
            mu-law), which are discretised; None: with an autoregressive decoder one of these.
        likelihood_warmup: steps over which a discretised one takes over from squared error (not autoregressive).
        linear_path: a linear encoder and decoder of blocks beside the networks, which begins as their PCA: for many
            bits per position, where the networks alone need long to find the linear solution.
        classes: N, where the decoder is told the class of each item (``for_source(conditional=True)``: its label).
        class_names: of the classes, by which ``condition=`` and labels of other data name them.
        condition_dim: D, where the decoder is told a vector of D numbers instead.
        condition_dropout: probability in training that a condition is left out: the decoder can then do without.
        condition_channels: numbers that a condition appends to what the decoder reads.

    Raises:
        ConfigError: a value out of range, or an unknown name.
    """

    steps_seen: Tensor
    part_registries: ClassVar[tuple[Registry[Any], ...]] = (ENCODERS, DECODERS)
    gathered_methods = (*Model.gathered_methods, "decode_latents")
    whitened_path: ClassVar[bool] = False
    """Whether a linear path begins with latents of unit variance, as the prior of a VAE asks."""

    def __init__(
        self,
        encoded: int,
        decoded: int,
        config: dict[str, Any],
        *,
        vector: bool = False,
        learned_scale: bool = False,
    ) -> None:
        means, kind = config.get("channel_means", False), config.get("kind")
        super().__init__(config["axes"], config["channels"], channel_means=means, kind=kind)
        check_options(config)
        self.vector = vector
        config["likelihood"] = choose_likelihood(config, self.levels, vector=vector)
        condition = take_condition(config)
        read = decoded + (0 if condition is None else condition.channels)
        self.likelihood = build_likelihood(
            config["likelihood"], self.channels, self.levels, learned_scale=learned_scale, step=self._step
        )
        head = 0 if isinstance(self.likelihood, Gaussian) else max(16, config["hidden_channels"] // 2)
        pair = build_pair(config, (encoded, read), self.likelihood.outputs, head, vector=vector)
        encoder, decoder = pair.encoder, pair.decoder
        self.downsampling: int | tuple[int, ...] = pair.downsampling
        self._halo = pair.halo
        if vector:
            grid = grid_size(config["size"], self.downsampling)
            encoder = nn.Sequential(encoder, ToVector(pair.emitted, grid, encoded))
            decoder = nn.Sequential(FromVector(read, pair.read, grid), decoder)
        self.encoder = encoder
        self.decoder = decoder
        self._take_moments()
        self.decoder_condition = condition
        self._encoded_channels = encoded
        self.decoded_channels = decoded
        self.linear_path = None
        if config.get("linear_path"):
            size = None
            if vector:  # as it is padded
                factors = per_axis(self.downsampling, self.axes)
                size = [length * step for length, step in zip(grid, factors, strict=True)]
            self.linear_path = LinearPath(self.axes, self.channels, decoded, self.downsampling, size)
            if config.get("encoder", CONV) == CONV:
                silence(encoder)
            with torch.device("cpu"):
                zeros, ones = torch.zeros(1, self.likelihood.outputs), torch.ones(1, self.channels)
                means = self.likelihood.shifted(zeros, ones)[0]
            if config.get("decoder", CONV) == CONV:
                silence(decoder, means)
        self.likelihood_warmup: int = config["likelihood_warmup"]
        self.register_buffer("steps_seen", torch.tensor(0, dtype=torch.int64))
        self._objective: tuple[Objective] = (LikelihoodObjective(),)  # in a tuple: no part of the model
        self._replay = Replay()
        self._past_steps: Tensor | None = None  # what ``steps_seen`` was, in a forward pass that runs again
        self._layout = _LAYOUT.get(self.axes, torch.contiguous_format)
        for each in (*self.parameters(), *self.buffers()):
            if each.dim() == 2 + self.axes:  # not the moments of channels
                each.data = each.data.contiguous(memory_format=self._layout)

    @classmethod
    def for_source(cls, source: Any, *arguments: Any, **options: Any) -> Self:
        """A model with the channels and axes of a data source (vectors: without downsampling); else as given.

        Args:
            source: the data: a source, or whatever ``load_source`` takes.
            *arguments: of the class.
            **options: of the class; and ``seed``, of the initial weights, those that ``vqkit train --seed`` begins
                with: the same seed gives the same model. None draws them from torch's own generator. With
                ``conditional=True`` the decoder is told the labels of the data, or its vectors.

        Raises:
            ConfigError: a value out of range, or an unknown name.
        """
        source = signals_of(source, options)
        own, seed = source_options(source), options.pop("seed", None)
        own |= conditional_options(source) if options.pop("conditional", False) else {}
        given = options.get("encoder", CONV) != CONV
        if source.kind.downsampling != Signal.downsampling and not given:
            own["downsampling"] = source.kind.downsampling
        with seeded(seed):
            model = cls(*arguments, **{**own, **options})
        if given and model.channels != options.get("channels", source.channels):
            raise ConfigError(
                f"the encoder reads {model.channels} channels, {source.name} has {source.channels}: give such an "
                f"encoder, or load the data with channels={model.channels}"
            )
        return model

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.decoder.parameters()).dtype

    @property
    def halo(self) -> int | None:
        """Positions on each side of one that its networks may look at for it (or a few more); None: all of them."""
        return self._halo

    @property
    def latent_groups(self) -> int:
        """Into how many parts of equal size the latents' channels fall, each quantised on its own."""
        return 1

    @property
    def only_size(self) -> tuple[int, ...] | None:
        """See ``Model.only_size``."""
        return tuple(self.config["size"]) if self.vector else None

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        """Positions on each axis for signals of this size."""
        return grid_size(size, self.downsampling)

    @property
    def has_trained(self) -> bool:
        """See ``Trainable.has_trained``."""
        return bool(self.steps_seen)

    def networks_to_compile(self) -> list[nn.Module]:
        """See ``Trainable.networks_to_compile``: the encoder and the decoder."""
        return [self.encoder, self.decoder]

    def file_writers(self, path: Path, card: ModelCard | None = None) -> dict[Path, Callable[[Path], object]]:
        """See ``Pretrained``.

        Raises:
            ConfigError: an encoder or a decoder of a class that is not registered.
        """
        check_saves(self.config)
        return super().file_writers(path, card)

    def another_part(self) -> None:
        """See ``Trainable.another_part``."""
        self.steps_seen -= 1

    def latents(self, x: Any, mask: Any = None) -> Tensor:
        """What the encoder emits for signals ``[batch, channels, *size]``: ``[batch, encoded, *grid]``, or a vector.

        With the gradient of the encoder; signals as ``read_signals``, the mask as ``forward`` takes them.
        """
        x, mask = self._read(x, mask)
        return self._latents(x, mask)

    def _read(self, x: Any, mask: Any = None) -> tuple[Tensor, Tensor | None]:
        """Signals and their mask; training on a device does not wait for a look at the values."""
        found = None
        if mask is not None:
            x = batch_tensor(x, self.channels, self.kind)
            found = self.read_mask(mask, x.shape)
            x = self._hidden(x, found)
        x = self.read_signals(x, look=not self.training or self.device.type == "cpu")
        return self.without_gaps(x, found)

    def _latents(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``latents`` of signals that have been read."""
        return self._latents_of(self._numbers(x), mask)

    def _latents_of(self, numbers: Tensor, mask: Tensor | None) -> Tensor:
        return self._encoded(self._padded(numbers, mask), self._counted(mask))

    def _counted(self, mask: Tensor | None) -> Tensor | None:
        """Positions of the grid that see something of the signal; None: all."""
        where = positions_of(mask, self.axes)
        return None if where is None or self.vector else grid_mask(where, self.downsampling)

    def _encoded(self, numbers: Tensor, frames: Tensor | None = None, state: StreamState | None = None) -> Tensor:
        """What the encoder emits for normalised signals, linear path included; ``frames`` count (None: all)."""
        told = (frames, state) if isinstance(self.encoder, SequenceNetwork) else ()
        latents: Tensor = self.encoder(numbers, *told)
        if not self.vector:
            wanted = (numbers.shape[0], self._encoded_channels, *grid_size(numbers.shape[2:], self.downsampling))
            check_emitted(self.encoder, "encoder", latents, numbers, wanted)
        if self.linear_path is None:
            return latents
        linear = self.linear_path.encode(numbers)
        more = latents.shape[1] - linear.shape[1]  # a VAE's log variances have no linear part
        return latents + (functional.pad(linear, (0, 0) * (linear.ndim - 2) + (0, more)) if more else linear)

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Measure the signal's mean and standard deviation; give a linear path the principal components of blocks."""
        kept = list(self.read_batches(batches))
        if not (self._has_learned and self._frozen(self.encoder, self.decoder)):
            super().prepare(kept)
            self._take_moments()
        path = self.linear_path
        if path is not None and not self._frozen(path):
            filled = [self._normalize(self.without_gaps(batch)[0]) for batch in kept]
            path.fit(filled, self.latent_groups, whitened=self.whitened_path)

    def _take_moments(self) -> None:
        """Normalize by the mean and deviation that the encoder asks for (``Network.signal_moments``), if it does."""
        moments = self.encoder.signal_moments if isinstance(self.encoder, Network) else None
        if moments is not None:
            self.signal_mean.fill_(moments[0])
            self.signal_std.fill_(moments[1])

    @property
    def _has_learned(self) -> bool:
        """Whether the signal's scale has been measured (vectors: whether there was a training step)."""
        return bool(self.signal_size.any()) or bool(self.steps_seen)

    @staticmethod
    def _frozen(*parts: nn.Module) -> bool:
        """Whether one of the parts is frozen: it then knows signals of the scale that it was trained with."""
        return any(not parameter.requires_grad for part in parts for parameter in part.parameters())

    def _decoded(
        self, latents: Tensor, state: StreamState | None = None, mask: Any = None, signal: Tensor | None = None
    ) -> Tensor:
        """What the decoder emits for latents and the condition, linear path included; ``mask``: where signals end."""
        read = self._told(latents)
        told = (self.downsampling, state, positions_of(mask, self.axes))
        raw = run_decoder(self.decoder, read, *told) if signal is None else self.decoder(read, signal)
        grid = grid_size(self.config["size"], self.downsampling) if self.vector else latents.shape[2:]
        size = [length * step for length, step in zip(grid, per_axis(self.downsampling, self.axes), strict=True)]
        check_emitted(self.decoder, "decoder", raw, latents, (latents.shape[0], self.likelihood.outputs, *size))
        return raw if self.linear_path is None else self.likelihood.shifted(raw, self.linear_path.decode(latents))

    def _normalize(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._padded(self._numbers(x), mask)

    def _padded(self, numbers: Tensor, mask: Tensor | None) -> Tensor:
        numbers = numbers if mask is None else silenced(numbers, mask, last=isinstance(self.encoder, SequenceNetwork))
        return pad_to_multiple(numbers, self.downsampling).contiguous(memory_format=self._layout)

    @property
    def objective(self) -> Objective:
        """What it minimizes beside the terms of its latents."""
        return self._objective[0]

    def use_objective(self, objective: str | Objective | None) -> None:
        """Minimize this objective from now on (None: the likelihood); it is not saved with the model.

        The terms of the latents (a quantizer's, a KL divergence) stay beside it.

        Args:
            objective: a name or a sum of names, ``"likelihood + 0.1*gradient"``, or an instance. What it has parameters
                of its own for is made here, on the model's device; ``train`` also optimizes these.

        Raises:
            ConfigError: an unknown name, a weight out of range, or an objective that is not for such signals.
        """
        chosen = build_objective("likelihood" if objective is None else objective)
        chosen.prepare_for(self)
        self._objective = (chosen.to(self.device),)

    def _reconstruction(
        self, x: Tensor, raw: Tensor, mask: Tensor | None, latents: Tensor, condition: Any, chosen: Any = None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor], tuple[Decoded, ...]]:
        """From what the decoder emits: the reconstruction, its losses, and the squared error to watch.

        Last what an objective of one's own is to learn from.
        """
        raw = crop_to(at_least_float32(raw), x.shape[2:])
        again = self.training and recomputing()
        self._past_steps = self._replay.recall(raw)[0] if again else None
        if self.training and not again:
            self._replay.keep(raw, [self.steps_seen])
        signal = self.to_float(x)
        decoded = Decoded(
            parameters=raw,
            mean=self.likelihood.expected(raw, self._unit()),
            target=at_least_float32(self._numbers(x)),
            signal=at_least_float32(signal),
            likelihood=self.likelihood,
            unit=self._unit(),
            mask=mask,
            warmup=self._warmup(raw.dtype),
            rate=getattr(self.kind, "rate", None),
            latents=latents,
            latents_mask=self._counted(mask),
            assignment=chosen,
        )
        if self.objective.reads_classes:
            decoded = self._with_classes(decoded, self.read_condition(condition, len(x)))
        losses = self.objective.losses(decoded)
        if _TAKEN & losses.keys():
            raise ConfigError(
                f"the objective {str(self.objective)!r} names a term {min(_TAKEN & losses.keys())!r}, which is another "
                "number of the log; rename it to end in _loss, such as edge_loss"
            )
        if self.training and not again:
            self.steps_seen += 1
        reconstruction = self.to_signal(decoded.mean)
        with torch.no_grad():
            mse = self._watched_error(reconstruction, signal, mask)
        kept = () if isinstance(self.objective, LikelihoodObjective) else (decoded.detach(),)
        return reconstruction, losses, {"mse": mse}, kept

    def _warmup(self, dtype: torch.dtype) -> Tensor | None:
        """How far the likelihood has taken over from squared error while training begins; None: wholly."""
        if not self.training or not self.likelihood_warmup or self.autoregressive:
            return None
        steps = self.steps_seen if self._past_steps is None else self._past_steps
        return (steps / self.likelihood_warmup).clamp_max(1.0).to(dtype)
