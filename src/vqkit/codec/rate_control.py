"""The settings of a model that make files of a wanted size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from vqkit.codec.compressor import every_tile, tile_bits
from vqkit.codec.entropy.models import EntropyModel
from vqkit.codec.signals import LongBatch
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.tiling import chosen_indices, codebooks_of, tile_latents

_ROUNDS = 10
_SMALLEST = 2.0**-22
"""The smallest weight that is tried, as a share of a codeword's mean square: it changes next to nothing."""
_FACTOR = 2.0**28
"""The largest, as a multiple of the smallest."""


@final
class RateController:
    """Finds how many codebooks, and which ``rate_weight``, spend about so many bits a pixel on signals coded together.

    More weight on bits first, with all codebooks: that costs least quality. Where the largest weight is still too dear,
    and for quantizers that cannot weigh bits, the last codebooks are left out. Without any weight a model spends the
    most bits that it can, and a rate above them is not met. Latents are made once for each signal; everything else is
    counted, not coded.

    Args:
        model: the tokenizer.
        entropy: what the bits are counted under.
        bits_per_pixel: wanted, above 0.
        rivals: further models that the file may be coded under, where it is smaller so.

    Raises:
        ConfigError: a rate of 0 or less, or a model with one rate only.

    Example:
        >>> import vqkit
        >>> from vqkit.codec import RateController, entropy_model
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> RateController(model, entropy_model(None, 16), 0.2).wanted
        0.2
    """

    def __init__(
        self, model: IndexModel, entropy: EntropyModel, bits_per_pixel: float, *, rivals: Sequence[EntropyModel] = ()
    ) -> None:
        if not 0 < bits_per_pixel < math.inf:
            raise ConfigError(f"rate={bits_per_pixel}: give bits per pixel, above 0")
        self._weighs = bool(codebooks_of(model))
        self._droppable = model.num_codebooks if model.config["stacking"] == "residual" else 1
        if not self._weighs and self._droppable == 1:
            raise ConfigError(
                f"rate={bits_per_pixel}: this model has one rate; one with a codebook that can weigh bits "
                "(quantizer=ema) or with residual codebooks (num_codebooks=8, stacking=residual) has many"
            )
        self._model = model
        self._entropies = [entropy, *rivals]
        self._wanted = bits_per_pixel
        self._unit = 64.0 * _SMALLEST * weight_unit(model)

    @property
    def wanted(self) -> float:
        """See ``Search.wanted``."""
        return self._wanted

    @torch.no_grad()
    def settings(self, batch: Tensor | LongBatch) -> tuple[int, float | None]:
        """``(codebooks, rate_weight)`` for signals ``[n, channels, *size]`` of one size."""
        size = tuple(batch.shape[2:])
        tiles = list(every_tile(self._model, size))
        latents = [tile_latents(self._model, batch, tile) for tile in tiles]
        wanted = self._wanted * len(batch) * math.prod(size)

        def bits(codebooks: int, weight: float | None) -> float:
            chosen = (chosen_indices(self._model, each, weight)[..., :codebooks] for each in latents)
            items = [np.ascontiguousarray(each.cpu().numpy()) for each in chosen]
            return min(sum(tile_bits(entropy, each) for each in items) for entropy in self._entropies)

        heaviest = self._unit * _FACTOR if self._weighs else None
        codebooks = self._model.num_codebooks
        while codebooks > 1 and self._droppable > 1 and bits(codebooks, heaviest) > wanted:
            codebooks -= 1
        if heaviest is None:
            return codebooks, None
        low, high = 0.0, 1.0  # of a logarithmic scale of weights
        if bits(codebooks, 0.0) <= wanted:
            return codebooks, 0.0
        for _ in range(_ROUNDS):
            middle = 0.5 * (low + high)
            if bits(codebooks, self._weight(middle)) > wanted:
                low = middle
            else:
                high = middle
        return codebooks, self._weight(high)

    def _weight(self, place: float) -> float:
        return float(self._unit * _FACTOR**place)


def weight_unit(model: IndexModel) -> float:
    """The smallest ``rate_weight`` that changes much: a 64th of the mean squared length of the codewords.

    Example:
        >>> import vqkit
        >>> from vqkit.codec import weight_unit
        >>> weight_unit(vqkit.VQVAE(16, hidden_channels=8)) > 0
        True
    """
    lengths = [float(each.table().square().sum(1).mean()) for each in codebooks_of(model)]
    return max(float(np.mean(lengths or [1.0])), 1e-12) / 64
