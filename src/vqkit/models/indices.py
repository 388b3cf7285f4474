"""Base of the models whose codes are indices into codebooks: one token space for all that comes after them."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from vqkit.chance import integers
from vqkit.data.conversion import index_tensor
from vqkit.errors import ConfigError, ModelFolderError
from vqkit.models.base import Model
from vqkit.models.matching import by_batches
from vqkit.models.output import IndexPrior, LatentCost
from vqkit.models.rates.rate import check_indices, used_codebooks
from vqkit.models.scoring.scores import LatentScores
from vqkit.models.streams.stream import Stream
from vqkit.ops import float64
from vqkit.pretrained.card import ModelCard
from vqkit.pretrained.folder import BESIDE, CONFIG, PRIOR, digest, read_extras
from vqkit.priors import Prior, load_prior, position_log_prob
from vqkit.quantizers.base import Quantizer
from vqkit.quantizers.first_codebooks import encode_first


class IndexModel(Model):
    """A model with a quantizer: its codes are indices, int64 ``[batch, *grid]`` or ``[batch, *grid, codebooks]``.

    Tokens, priors, files, rates and measures of codebooks are made for it, whatever comes before the quantizer: a
    network, or a rotation. The prior over indices is uniform until ``use_prior`` gives a learned one.

    Example:
        >>> import vqkit
        >>> from vqkit.models import IndexModel
        >>> [issubclass(each, IndexModel) for each in (vqkit.VQVAE, vqkit.PCA)]
        [True, False]
    """

    discrete: ClassVar[bool] = True
    usage: ClassVar[str] = (
        'model = vqkit.load_model("path/or/owner/name")\n'
        "indices = model.encode(signals)      # [batch, *grid] int64\n"
        "signals = model.decode(indices)\n"
        "samples = model.sample(4)"
    )
    quantizer: Quantizer
    downsampling: int | tuple[int, ...]
    _prior: tuple[IndexPrior, ...] = ()

    @abstractmethod
    def latents(self, x: Any, mask: Any = None) -> Tensor:
        """Return what the quantizer quantizes of signals, ``[batch, D, *grid]``."""

    @abstractmethod
    def grid(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the positions on each axis for signals of this size."""

    @property
    def halo(self) -> int | None:
        """Positions on each side of one that it may look at for it; None: all of them."""
        return None

    def stream(self, condition: Any = None, *, codebooks: int | None = None, kbps: float | None = None) -> Stream:
        """Return an encoder and decoder of a stream of sound, chunk by chunk (see ``VQVAE.stream``).

        Raises:
            ConfigError: a model of other signals.
        """
        del condition, codebooks, kbps
        raise ConfigError(f"a {type(self).__name__} reads {self.kind.noun[1]}, which have no time to stream along")

    def file_writers(self, path: Path, card: ModelCard | None = None) -> dict[Path, Callable[[Path], object]]:
        """See ``Pretrained``; the files of a learned prior come first, in ``prior/``."""
        own = super().file_writers(path, card)
        if self.prior is None:
            return own
        if not isinstance(self.prior, Prior):
            warnings.warn(
                f"the prior is a {type(self.prior).__name__}, which is not saved with the model; let it be a subclass "
                "of vqkit.priors.Prior",
                stacklevel=3,
            )
            return own
        return {**self.prior.file_writers(path / BESIDE), **own}

    def _extras(self) -> dict[str, str]:
        return {PRIOR: digest(self.prior.state_dict())} if isinstance(self.prior, Prior) else {}

    def _load_beside(self, location: Path) -> None:
        """Use the prior that was saved with the model.

        Raises:
            ModelFolderError: it is not there, or is another than the one that was saved.
        """
        recorded_digest = read_extras(location).get(PRIOR)
        if recorded_digest is None:
            return
        prior = load_prior(location / BESIDE)
        if digest(prior.state_dict()) != recorded_digest:
            raise ModelFolderError(
                f"{location / BESIDE}: not the prior that was saved with this model; get the whole folder again, or "
                f'take the line "{PRIOR}" out of {location / CONFIG} to do without'
            )
        self.use_prior(prior)

    @property
    def codebook_size(self) -> int:
        """K."""
        return self.quantizer.codebook_size

    @property
    def code_dim(self) -> int:
        """Numbers in a codeword."""
        return self.quantizer.code_dim

    @property
    def num_codebooks(self) -> int:
        """Indices per position."""
        return self.quantizer.num_codebooks

    @property
    def codebook(self) -> Tensor:
        """The codewords, ``[K, code_dim]``; with several codebooks row k joins their k-th codewords."""
        every = torch.arange(self.codebook_size, device=self.device)
        return self.quantizer.lookup(
            every if self.num_codebooks == 1 else every[:, None].expand(-1, self.num_codebooks)
        )

    @property
    def prior(self) -> IndexPrior | None:
        """The learned prior over indices, or None: uniform."""
        return self._prior[0] if self._prior else None

    def use_prior(self, prior: IndexPrior | None) -> None:
        """Sample from this prior, and count rates under it, from now on (None: uniform).

        ``save_pretrained`` puts it beside the model, in ``prior/``, and ``from_pretrained`` brings it back.
        """
        self._prior = () if prior is None else (prior,)

    def index_shape(self, size: Sequence[int]) -> tuple[int, ...]:
        """The shape of the indices of one signal of this size: the grid, and the codebooks where there are several."""
        return (*self.grid(size), self.num_codebooks) if self.num_codebooks > 1 else self.grid(size)

    @torch.no_grad()
    @by_batches
    def encode(self, x: Any, mask: Any = None, *, codebooks: int | None = None, kbps: float | None = None) -> Tensor:
        """Indices ``[batch, *grid]`` int64 of signals ``[batch, channels, *size]``, any size (see ``read_signals``).

        With several codebooks ``[batch, *grid, num_codebooks]``; of a residual stack also the first ``codebooks`` of
        them only, or as many as have a rate of ``kbps``. ``decode`` takes either.

        Raises:
            ConfigError: codebooks, or a rate, that the model does not have.
            DataError: another number of axes or channels, an empty axis, or numbers that are no such signals.
        """
        used = used_codebooks(self, codebooks, kbps)
        return encode_first(self.quantizer, self.latents(x, mask), used)

    @by_batches
    def reconstruct(
        self, x: Any, condition: Any = None, *, codebooks: int | None = None, kbps: float | None = None
    ) -> Tensor:
        """See ``Model.reconstruct``; ``codebooks`` and ``kbps`` as of ``encode``."""
        x = self.read_signals(x)
        made = self.decode(self.encode(x, codebooks=codebooks, kbps=kbps), x.shape[2:], condition=condition)
        return self._with_gaps(made, x)

    def _codewords(self, codes: Any, lookup: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What the decoder reads for indices; ``lookup`` stands for the quantizer's, where it is prepared."""
        codes = index_tensor(codes)
        check_indices(self, codes)
        return (lookup or self.quantizer.lookup)(codes.to(self.device)).to(self._dtype)

    def sample_codes(self, count: int, size: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Indices from the learned prior, or uniform ones without it."""
        if self.prior is not None:
            return self.prior.sample(count, generator=generator).to(self.device)
        shape = (count, *self.index_shape(size))
        return integers(self.codebook_size, shape, generator, self.device)

    def prior_reads(self, indices: Tensor) -> bool:
        """Return whether there is a learned prior, and it is of any grid or of that of these indices."""
        grid = getattr(self.prior, "grid", None)
        return self.prior is not None and (grid is None or tuple(grid) == tuple(indices.shape[1 : 1 + len(grid)]))

    @torch.no_grad()
    def latent_cost(
        self, x: Any, generator: torch.Generator | None = None, *, codebooks: int | None = None
    ) -> LatentCost:
        """See ``Model.latent_cost``: log K for each index, or ``-log p(indices)`` of a learned prior.

        It is asked where it is of as many codebooks, and of this grid if it is of one.
        """
        del generator
        indices = self.encode(x, codebooks=codebooks)
        if self.prior is not None and self.prior_reads(indices) and codebooks in (None, self.num_codebooks):
            return LatentCost(indices, -self.prior.log_prob(indices), "learned prior")
        nats = indices[0].numel() * math.log(self.codebook_size)
        rate = torch.full((len(indices),), nats, dtype=torch.float64, device="cpu")
        return LatentCost(indices, rate, f"uniform prior over {self.codebook_size} codes")

    @torch.no_grad()
    def score_latents(self, x: Tensor, *, positions: bool = False) -> LatentScores:
        """See ``Model.score_latents``: bits under the learned prior, distances where codewords lie among latents."""
        return self.with_bits(self.placed_latents(self.latents(x)), positions=positions)

    @torch.no_grad()
    def placed_latents(self, latents: Tensor) -> LatentScores:
        """The codes of latents ``[batch, D, *grid]``, and distances where codewords lie among latents; no bits yet."""
        codes = encode_first(self.quantizer, latents, None)
        found = LatentScores(codes)
        parts = [part for part in self.quantizer.modules() if isinstance(part, Quantizer)]
        if all(part.follows_latents for part in parts):
            apart = float64(self.quantizer.place(latents)) - float64(self.quantizer.lookup(codes))
            found.distances = apart.square().sum(dim=1).sqrt()
        return found

    @torch.no_grad()
    def with_bits(self, found: LatentScores, *, positions: bool = False) -> LatentScores:
        """The same with the bits of its codes under the learned prior, of each position too where that is asked for."""
        codes = found.codes
        if self.prior is not None and not self.prior_reads(codes):
            found.bits = torch.full((len(codes),), math.nan, dtype=torch.float64)
        elif self.prior is not None:
            found.bits = float64(self.prior.log_prob(codes)) / -math.log(2)
            each = position_log_prob(self.prior, codes) if positions and isinstance(self.prior, Prior) else None
            found.position_bits = None if each is None else float64(each) / -math.log(2)
        return found

    def count_positions(self, batch: Tensor) -> int:
        """See ``Trainable.count_positions``."""
        return self.encode(batch).numel() // self.num_codebooks

    @property
    def monitored_quantizer(self) -> Quantizer:
        """See ``Trainable.monitored_quantizer``."""
        return self.quantizer
