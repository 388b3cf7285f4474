"""The settings of a model that make files of a wanted size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from vqkit.codec.entropy.models import EntropyModel, Indices, tile_bits
from vqkit.codec.entropy.optimized import check_optimizable, optimized_indices
from vqkit.codec.limits import every_tile
from vqkit.codec.signals import LongBatch
from vqkit.errors import ConfigError
from vqkit.models import IndexModel
from vqkit.models.tiling import chosen_indices, codebooks_of, tile_latents

_ROUNDS = 10
_REFINEMENTS, _AIM, _NEAR = 8, 0.99, 0.98
"""With optimized indices: how often a weight is mended, to which share of the wanted bits, and what is near enough."""
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
        optimize: that of the ``Compressor``: the weight is then settled for indices chosen so.

    Raises:
        ConfigError: a rate of 0 or less, a model with one rate only, or one whose indices cannot be optimized.

    Example:
        >>> import vqkit
        >>> from vqkit.codec import RateController, entropy_model
        >>> model = vqkit.VQVAE(16, hidden_channels=8).eval()
        >>> RateController(model, entropy_model(None, 16), 0.2).wanted
        0.2
    """

    def __init__(
        self,
        model: IndexModel,
        entropy: EntropyModel,
        bits_per_pixel: float,
        *,
        rivals: Sequence[EntropyModel] = (),
        optimize: bool = False,
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
        if optimize:
            check_optimizable(model, entropy, math.inf)
        self._optimize = optimize
        self._model = model
        self._entropies = [entropy, *rivals]
        self._wanted = bits_per_pixel
        self._unit = 64.0 * _SMALLEST * weight_unit(model)

    @property
    def wanted(self) -> float:
        """See ``Search.wanted``."""
        return self._wanted

    @property
    def rivals(self) -> tuple[str, ...]:
        """The kinds of the models that the file may be coded under too."""
        return tuple(each.kind for each in self._entropies[1:])

    @torch.no_grad()
    def settings(self, batch: Tensor | LongBatch) -> tuple[int, float | None]:
        """``(codebooks, rate_weight)`` for signals ``[n, channels, *size]`` of one size."""
        size = tuple(batch.shape[2:])
        tiles = list(every_tile(self._model, size))
        latents = [tile_latents(self._model, batch, tile) for tile in tiles]
        wanted = self._wanted * len(batch) * math.prod(size)

        def bits(codebooks: int, weight: float | None, *, optimize: bool = False) -> float:
            def indices(tile: Tensor) -> Indices:
                if optimize:
                    return optimized_indices(self._model, self._entropies[0], tile, weight, codebooks)
                return np.ascontiguousarray(chosen_indices(self._model, tile, weight)[..., :codebooks].cpu().numpy())

            items = [indices(each) for each in latents]
            return min(sum(tile_bits(entropy, each) for each in items) for entropy in self._entropies)

        heaviest = self._unit * _FACTOR if self._weighs else None
        codebooks = self._model.num_codebooks
        while codebooks > 1 and self._droppable > 1 and bits(codebooks, heaviest, optimize=self._optimize) > wanted:
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
        weight = self._weight(high)
        if self._optimize:
            weight = self._refined(weight, lambda each: bits(codebooks, each, optimize=True) / wanted)
        return codebooks, weight

    def _refined(self, weight: float, share: Callable[[float], float]) -> float:
        """The least weight found, from another on, whose ``share`` of the wanted bits is at most 1.

        The bits of a file fall about as the square root of the weight.
        """
        over: tuple[float, float] | None = None  # weights and shares, on both sides of the one that is looked for
        under: tuple[float, float] | None = None
        for turn in range(_REFINEMENTS):
            found = max(share(weight), 1e-9)
            over, under = ((weight, found), under) if found > 1 else (over, (weight, found))
            if _NEAR < found <= 1:
                break
            if over and under:
                way = math.log(over[1] / _AIM) / math.log(over[1] / under[1])
                weight = over[0] * (under[0] / over[0]) ** min(max(way, 0.1), 0.9)
            else:  # further each time, where bits hardly change with the weight
                weight *= (found / _AIM) ** 2 * (2.0**turn if over else 0.5**turn)
        return under[0] if under else weight

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
