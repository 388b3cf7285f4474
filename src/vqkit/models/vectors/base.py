"""Base of the models of vectors that are solved for: a center, a rotation, and codebooks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self, Unpack

import torch
from torch import Tensor

from vqkit.checking import counted
from vqkit.errors import ConfigError, DataError
from vqkit.likelihoods import Gaussian
from vqkit.models.indices import IndexModel
from vqkit.models.matching import SignalOptions, said_kind, signals_of, source_options
from vqkit.models.output import ModelOutput
from vqkit.models.vectors.sample import StreamSample
from vqkit.ops.reproducible import reproducible_linear
from vqkit.quantizers.multicodebook.base import MultiCodebookQuantizer
from vqkit.seeds import check_seed

_PER_CODE, _LEAST_PER_CODE = 256, 16
_LEAST_SPREAD, _MOST_SPREAD = 1e-12, 1e12
_SAMPLED_VALUES = 1 << 26
"""Numbers of the vectors that codebooks are learned from, at most (256 MiB), as long as that is 16 for each code."""


class CodebookOptions(SignalOptions, total=False):
    """Keyword arguments of the models of vectors without networks, for ``for_source``."""

    num_codebooks: int
    iterations: int
    beam: int
    rounds: int
    noise: float


class VectorCodebooks(IndexModel):
    """Abstract: vectors to the indices of several codebooks, and back, without a network.

    ``fit`` learns from a uniform sample of 256 vectors for each code of a codebook (of all vectors where there are no
    more), which it draws in one pass over data of any size. The indices of a vector depend on it alone, to the last
    bit.

    Args:
        quantizer: of the centered (and rotated) vectors.
        config: the arguments of the class.

    Raises:
        ConfigError: a value out of range.
    """

    closed_form: ClassVar[bool] = True
    quantizer: MultiCodebookQuantizer
    center: Tensor
    downsampling = 1

    def __init__(self, quantizer: MultiCodebookQuantizer, config: dict[str, Any]) -> None:
        super().__init__(config["axes"], config["channels"], channel_means=config["channel_means"], kind=config["kind"])
        if self.axes:
            raise ConfigError(f"axes={self.axes}: a {type(self).__name__} is of vectors (axes=0); try a VQVAE")
        self.config = said_kind(config)
        self._seed = check_seed(config["seed"])
        self.likelihood = Gaussian(self.channels)
        self.quantizer = quantizer
        self.register_buffer("center", torch.zeros(self.channels))

    @classmethod
    def for_source(
        cls, source: Any, codebook_size: int = 256, *, seed: int | None = None, **options: Unpack[CodebookOptions]
    ) -> Self:
        """A model of vectors as long as those of a data source; the seed is that of the first codes and the sample."""
        source = signals_of(source, options)
        if source.axes:
            raise DataError(
                f"{source.describe()}: a {cls.__name__} reads vectors [N, D]; give such data, or a VQVAE to these"
            )
        make: Any = cls  # those below take the size of a codebook in place of a quantizer
        made: Self = make(codebook_size, **{**source_options(source), "seed": seed or 0, **options})
        return made

    @torch.no_grad()
    def fit(self, stream: Callable[[], Iterable[Tensor]]) -> None:
        """Learn center, rotation and codebooks from a stream of batches ``[batch, channels]``.

        Raises:
            DataError: no vectors, of another length, NaN or Inf, or so small or large that float32 has no squares.
        """
        size = self.quantizer.codebook_size
        rows = max(min(_PER_CODE * size, _SAMPLED_VALUES // self.channels), _LEAST_PER_CODE * size)
        sample, total = StreamSample(rows, self._seed), torch.zeros(self.channels, dtype=torch.float64)
        for batch in stream():
            vectors = self.to_float(self.read_signals(batch))
            total += vectors.double().sum(dim=0).cpu()
            sample.add(vectors)
        if not sample.seen:
            raise DataError("no data: the stream gave no vectors; codebooks need 1 or more")
        self.center.copy_(total / sample.seen)
        centered = sample.vectors().to(self.device) - self.center
        spread = float(centered.double().square().mean().sqrt())
        if spread and not _LEAST_SPREAD <= spread <= _MOST_SPREAD:
            raise DataError(
                f"the numbers lie {spread:.3g} from their means: the squares of distances need {_LEAST_SPREAD:g} to "
                f"{_MOST_SPREAD:g} in float32; multiply the vectors by {10.0 ** -round(math.log10(spread)):g}"
            )
        if sample.seen < size:
            warnings.warn(
                f"{counted(sample.seen, 'vector')} to learn {size:,} codes of a codebook from: some codes are of no "
                "vector; take fewer, such as 16 vectors for each",
                stacklevel=2,
            )
        self.learn(centered, torch.Generator().manual_seed(self._seed))

    def learn(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Set the codebooks, and the rotation if there is one, from centered vectors ``[N, channels]``."""
        self.quantizer.learn(vectors, generator)

    @property
    def rotation(self) -> Tensor | None:
        """The orthonormal matrix ``[D, D]`` that vectors are multiplied with before they are cut; None: none."""
        return None

    @torch.no_grad()
    def latents(self, x: Any, mask: Any = None) -> Tensor:
        """Return the centered, rotated vectors ``[batch, channels]`` that the codebooks quantize."""
        _no_mask(mask)
        rows = self.to_float(self.read_signals(x)) - self.center
        return rows if self.rotation is None else reproducible_linear(rows, self.rotation)

    def decode_parameters(self, codes: Any, size: Sequence[int] | None = None, mask: Any = None) -> Tensor:
        """See ``Model.decode_parameters``.

        Raises:
            ValueError: indices of another model, or a size.
        """
        _no_mask(mask)
        if size:
            raise ValueError(f"size {tuple(size)}: vectors have none")
        return self._emitted(self._codewords(codes))

    def _emitted(self, codewords: Tensor) -> Tensor:
        rows = codewords if self.rotation is None else reproducible_linear(codewords, self.rotation.t())
        return (rows + self.center - self.signal_mean) / self.signal_std

    def forward(self, x: Any, mask: Any = None, condition: Any = None) -> ModelOutput:
        """See ``Model.forward``; there is nothing to train by gradients."""
        x = self.read_signals(x)
        latents = self.latents(x, mask)
        with self.conditioned_on(condition):  # refuses one
            indices = self.quantizer.encode(latents)
            raw = self._emitted(self.quantizer.lookup(indices))
        reconstruction = self.to_signal(raw)
        loss = (raw - self._numbers(x)).square().mean()
        mse = (reconstruction - self.to_float(x)).square().mean()
        metrics = {"reconstruction_loss": loss.detach(), "mse": mse.detach()}
        return ModelOutput(reconstruction, loss, metrics, indices)

    @property
    def halo(self) -> int:
        """See ``IndexModel.halo``: a vector has one position."""
        return 0

    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        """See ``IndexModel.grid``: a vector has one position."""
        if size:
            raise ValueError(f"size {tuple(size)}: vectors have none")
        return ()


def _no_mask(mask: Any) -> None:
    if mask is not None:
        raise DataError("a vector is read whole, so a mask has no meaning for it")
