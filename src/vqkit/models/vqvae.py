"""The VQ-VAE: an encoder, a codebook, a decoder (van den Oord, Vinyals and Kavukcuoglu 2017, arXiv 1711.00937)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack, cast, final

import torch
from torch import Tensor

from vqkit.chance import seeded
from vqkit.errors import ConfigError
from vqkit.models.conditions.layer import DEFAULT_CHANNELS as DEFAULT_CONDITION
from vqkit.models.indices import IndexModel
from vqkit.models.levels.options import LEVELS, named_levels
from vqkit.models.matching import VQVAEOptions, said_kind, signals_of
from vqkit.models.network import NetworkModel
from vqkit.models.output import IndexPrior as IndexPrior  # was named here
from vqkit.models.output import ModelOutput, add_losses, join_losses
from vqkit.models.rates.rate import used_codebooks
from vqkit.models.rates.suited import settle_options
from vqkit.models.streams.stream import Halves, Stream
from vqkit.networks import DECODERS, ENCODERS, Network, StreamState
from vqkit.networks.pair import DEFAULT_CHANNELS, DEFAULT_DOWNSAMPLING, NetworkSpec, adopt_encoder
from vqkit.objectives import Assignment
from vqkit.ops.precision import at_least_float32
from vqkit.pretrained.card import ModelCard
from vqkit.quantizers import QUANTIZERS, build_quantizer, given_quantizer, quantizer_options
from vqkit.quantizers.base import Quantizer, flatten_grid
from vqkit.quantizers.codebook.base import CodebookQuantizer
from vqkit.quantizers.codebook.recalibration import recalibrating
from vqkit.quantizers.composite.prepared import prepared_stack
from vqkit.quantizers.first_codebooks import encode_first
from vqkit.recording import part_config, recorded

_DEFAULT_SIZE, _DEFAULT_DIM = 512, 64
_UNSAID: Any = None
_POSITIONS_PER_CODE = 16
_ON_SPHERE = ("ema", "gradient", "ibq")
_SPHERE_DIM = 8
"""Numbers in a codeword from which on codes lie on a sphere by default: measured, see docs/choosing-a-quantizer.md."""


@final
class VQVAE(NetworkModel, IndexModel):
    """VQ-VAE (van den Oord et al. 2017): signals to a grid of indices into a learned codebook, and back.

    The loss is ``mean((x - d(q(e(x))))^2) / variance of the data`` (or ``-log p(x | z)``, see ``likelihood``) plus the
    quantizer's terms (equation 3); each is a mean over batch and elements, so duplicating the batch changes nothing.
    The straight-through gradient carries the decoder's gradient to the encoder.

    The prior over indices is uniform until ``use_prior`` gives a learned one.

    Args:
        codebook_size: K. An index costs log2 K bits.
        code_dim: numbers in a codeword (of all codebooks together).
        quantizer: a name of ``vqkit.quantizers.QUANTIZERS``: ``"ema"`` (the codebook follows by moving averages),
            ``"gradient"`` (equation 3), ``"simvq"``, ``"fsq"``, ``"lfq"``, ``"bsq"``, ``"ibq"``, ``"gumbel"``. Or an
            instance of a ``Quantizer``, also of one's own; ``codebook_size``, ``code_dim`` and ``num_codebooks`` are
            then its own. A model with a part of one's own loads where the part's class is registered.
        quantizer_options: further keyword arguments of the quantizer: beta, decay, restart_below, projection_dim ...
            With ``"ema"``, ``"gradient"`` and ``"ibq"`` codes of 8 or more numbers have ``cosine=True`` unless it is
            given, or ``linear_path`` or a residual stack needs the lengths of latents.
        num_codebooks: indices per position.
        stacking: of several codebooks: ``"product"`` (each quantises its part of the latents) or ``"residual"`` (each
            quantises what the ones before it have left).
        gaussian_encoder: whether the encoder is one of a VAE (``vqkit.quantize``), which emits a log variance too for
            each number that is quantized; only the means are used.

    Raises:
        ConfigError: a value out of range, or an unknown name.

    Example:
        >>> import torch
        >>> from vqkit import VQVAE
        >>> model = VQVAE(64, channels=1, hidden_channels=8, residual_channels=4)
        >>> indices = model.encode(torch.rand(2, 1, 16, 16))
        >>> indices.shape, model.decode(indices).shape
        (torch.Size([2, 4, 4]), torch.Size([2, 1, 16, 16]))
    """

    model_type: ClassVar[str] = "vqvae"
    part_registries = (QUANTIZERS, ENCODERS, DECODERS)

    def __init__(
        self,
        codebook_size: int = _DEFAULT_SIZE,
        *,
        code_dim: int = _DEFAULT_DIM,
        downsampling: int | Sequence[int] = DEFAULT_DOWNSAMPLING,
        channels: int = DEFAULT_CHANNELS,
        axes: int = 2,
        hidden_channels: int = 128,
        residual_blocks: int = 2,
        residual_channels: int = 32,
        widths: Sequence[int] | None = None,
        upsampling: str = "transposed",
        encoder: NetworkSpec = "conv",
        decoder: NetworkSpec = "conv",
        quantizer: str | Mapping[str, Any] | Quantizer = "ema",
        quantizer_options: Mapping[str, Any] | None = None,
        num_codebooks: int = 1,
        stacking: str = "product",
        likelihood: str | None = None,
        likelihood_warmup: int = 1000,
        linear_path: bool = False,
        channel_means: bool = False,
        classes: int | None = None,
        class_names: Sequence[str] | None = None,
        condition_dim: int | None = None,
        condition_dropout: float = 0.0,
        condition_channels: int = DEFAULT_CONDITION,
        gaussian_encoder: bool = False,
        kind: str | None = None,
    ) -> None:
        beside = {"code_dim": (code_dim, _DEFAULT_DIM), "num_codebooks": (num_codebooks, 1)}
        own = given_quantizer(quantizer, codebook_size, _DEFAULT_SIZE, quantizer_options, beside)
        if own is not None:
            codebook_size, code_dim, num_codebooks = own.codebook_size, own.code_dim, own.num_codebooks
            quantizer = part_config(own, QUANTIZERS)
        config = recorded(VQVAE.__init__, locals())
        adopt_encoder(config, ("code_dim", code_dim if own is not None else _DEFAULT_DIM))
        code_dim = config["code_dim"]
        if not gaussian_encoder:  # as configs have always been
            del config["gaussian_encoder"]
        super().__init__(code_dim * (2 if gaussian_encoder else 1), code_dim, said_kind(config))
        self._options = options = config["quantizer_options"] = dict(config["quantizer_options"] or {})
        self._config = config
        self._stacking = stacking if isinstance(quantizer, str) else None
        if isinstance(quantizer, str) and quantizer in _ON_SPHERE and "cosine" not in options:
            free = stacking == "product" and not linear_path  # both need the lengths of latents
            options["cosine"] = free and code_dim >= _SPHERE_DIM * max(num_codebooks, 1)
        if own is None:
            own = build_quantizer(str(quantizer), codebook_size, code_dim, options, num_codebooks, stacking)
        own.channels_first = True
        self.quantizer = own

    @classmethod
    def for_source(
        cls,
        source: Any,
        codebook_size: int = _UNSAID,
        *,
        seed: int | None = None,
        kbps: float | Sequence[float] | None = None,
        conditional: bool = False,
        **options: Unpack[VQVAEOptions],
    ) -> Self:
        """See ``NetworkModel.for_source``; the seed is also that of k-means and of restarted codes.

        A quantizer whose options name a seed of its own keeps that. ``kbps`` (of sounds): bit rates, which settle the
        downsampling, codebooks and quantizer dropout that are not given (``vqkit.models.rates.plan``). Of sounds whose
        rate is known the networks are ``"convnext"`` and the rates 1.5, 3 and 6 kbps, unless something else is given;
        of a conditional decoder 225 bits a second, at which the codes hold little of what it is told. ``quantizer`` may
        also be ``"hierarchical"`` or ``"multiscale"``: codes of several levels (``vqkit.models.level_options``).
        """
        source = signals_of(source, options)
        if options.get("quantizer") in tuple(LEVELS):
            told = None if codebook_size is _UNSAID else codebook_size
            with seeded(seed):  # the networks between levels are its weights too
                options = cast("VQVAEOptions", named_levels(options, source.axes, told, seed))
        size, settled = settle_options(source, cls, options, kbps, codebook_size, conditional)
        options = cast("VQVAEOptions", settled)
        quantizer = options.get("quantizer", "ema")
        if seed and isinstance(quantizer, str) and "seed" in quantizer_options(quantizer):
            options["quantizer_options"] = {"seed": seed, **(options.get("quantizer_options") or {})}
        size = _DEFAULT_SIZE if size is _UNSAID else size
        return super().for_source(source, size, seed=seed, conditional=conditional, **options)

    @property
    def config(self) -> dict[str, Any]:
        """The keyword arguments of the class; a ``rate_weight`` that was set since on the codebooks is among them."""
        if isinstance(self._config.get("quantizer"), Mapping):
            return {**self._config, "quantizer": part_config(self.quantizer, QUANTIZERS)}
        weights = self._rate_weights()
        if len(weights) == 1 and weights != {self._options.get("rate_weight", 0.0)}:
            options = self._config.get("quantizer_options") or {}
            return {**self._config, "quantizer_options": {**options, "rate_weight": weights.pop()}}
        return self._config

    @config.setter
    def config(self, value: dict[str, Any]) -> None:
        self._config = value

    def default_settings(self) -> dict[str, Any]:
        """See ``Trainable``; those of its decoder, which knows what it learns from, come before the class's."""
        own = self.decoder.training_defaults if isinstance(self.decoder, Network) else {}
        return {**super().default_settings(), **own}

    def _encoded(self, numbers: Tensor, frames: Tensor | None = None, state: StreamState | None = None) -> Tensor:
        """See ``NetworkModel._encoded``: of a Gaussian encoder the means."""
        latents = super()._encoded(numbers, frames, state)
        return latents[:, : self.decoded_channels] if self._encoded_channels > self.decoded_channels else latents

    def _rate_weights(self) -> set[float]:
        return {module.rate_weight for module in self.modules() if isinstance(module, CodebookQuantizer)}

    def file_writers(self, path: Path, card: ModelCard | None = None) -> dict[Path, Callable[[Path], object]]:
        """See ``Pretrained``; the files of a learned prior come first, in ``prior/``.

        Raises:
            ConfigError: codebooks that weigh bits differently, which a config cannot say.
        """
        weights = self._rate_weights()
        if len(weights) > 1 and not isinstance(self._config.get("quantizer"), Mapping):
            raise ConfigError(
                f"the codebooks have rate_weight={sorted(weights)}, and a saved model has one: set the same on all"
            )
        return super().file_writers(path, card)

    @property
    def latent_groups(self) -> int:
        """See ``NetworkModel.latent_groups``: one for each codebook of a product; residual stages see all channels."""
        return self.num_codebooks if self._stacking == "product" else 1

    def _read_codes(self, codes: Any, size: Sequence[int] | None) -> tuple[Tensor, Sequence[int] | None]:
        codewords = self._codewords(codes)
        grid = tuple(codewords.shape[2:])
        if size is not None and self.grid(size) != grid:
            raise ValueError(f"size {tuple(size)} has a grid of {self.grid(size)}, not {grid}")
        return codewords, size

    def stream(self, condition: Any = None, *, codebooks: int | None = None, kbps: float | None = None) -> Stream:
        """Return an encoder and decoder of a stream of sound, with an example in its class ``vqkit.models.Stream``.

        Args:
            condition: that the whole stream is decoded under, where the decoder has one (see ``decode``).
            codebooks, kbps: see ``encode``.

        Raises:
            ConfigError: signals of other than one axis, training mode, or networks that see the whole signal.
        """
        shape, used = self.index_shape([0] * self.axes), used_codebooks(self, codebooks, kbps)
        prepared = prepared_stack(self.quantizer, used)
        choose = prepared or partial(encode_first, self.quantizer, codebooks=used)
        look_up = partial(self._codewords, lookup=prepared.lookup) if prepared else self._codewords
        halves = Halves(lambda x: self._normalize(*self.without_gaps(x)), self._encoded, choose, look_up, self._decoded)
        return Stream(self, halves, (*shape[:-1], used) if used else shape, condition)

    def forward(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput:
        """See ``Model.forward``. Metrics: ``reconstruction_loss``, the quantizer's losses, and ``mse``."""
        x, mask = self._read(x, mask)
        counted = self._counted(mask)
        latents = self._latents(x, mask)
        quantization = self.quantizer(latents, counted)
        with self.conditioned_on(condition):
            raw = self._decoded(quantization.quantized.to(self._dtype), mask=mask, signal=self._read_back(x))
        chosen = Assignment(latents, quantization.indices)
        reconstruction, terms, watched, decoded = self._reconstruction(
            x, raw, mask, quantization.quantized, condition, chosen
        )
        losses = join_losses(terms, quantization.losses, self.quantizer)
        metrics = {**{name: loss.detach() for name, loss in losses.items()}, **watched}
        return ModelOutput(reconstruction, add_losses(losses), metrics, quantization.indices, counted, decoded)

    @property
    def recalibration_positions(self) -> int:
        """See ``Trainable``: 16 for each code, where there is a codebook that learns from latents."""
        parts = [module for module in self.quantizer.modules() if isinstance(module, Quantizer)]
        learns = any(part.recalibrates and not part.frozen for part in parts)
        return _POSITIONS_PER_CODE * self.codebook_size if learns else 0

    @property
    def preparation_positions(self) -> int:
        """See ``Trainable.preparation_positions``: 16 for each code."""
        return _POSITIONS_PER_CODE * self.codebook_size

    @torch.no_grad()
    def recalibrate_codebook(self, batches: Iterable[Tensor]) -> None:
        """See ``Trainable``: the codebook follows the latents of the encoder that is saved, an average over time."""
        with recalibrating(self.quantizer):
            for x in self.read_batches(batches):
                x, mask = self._read(x)
                self.quantizer(self._latents(x, mask), self._counted(mask))

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        """Measure the signal's mean and standard deviation, and set the codebook by k-means of the first latents."""
        kept = list(self.read_batches(batches))
        super().prepare(kept)
        if not self.quantizer.initialized and not self.quantizer.frozen:
            latents = torch.cat([self._seen_latents(batch) for batch in kept])
            if len(latents):
                self.quantizer.initialize(at_least_float32(latents))

    def _seen_latents(self, batch: Tensor) -> Tensor:
        """Latents ``[N, D]`` of the positions that see anything of the signals."""
        x, mask = self._read(batch)
        latents, counted = flatten_grid(self._latents(x, mask)), self._counted(mask)
        return latents if counted is None else latents[counted.flatten()]
