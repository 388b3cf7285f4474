"""Finite scalar quantisation: each channel rounded to a few values, no codebook to learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, final

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import straight_through
from vqkit.ops.precision import at_least_float32
from vqkit.ops.reproducible import is_reproducible, reproducible_tanh
from vqkit.quantizers.base import Quantization, Quantizer, per_channel

_MARGIN = 1e-3
_FEWEST, _MOST = 3, 16
_NEIGHBORS = 1 << 15
_WANTED = math.log2(7)


@final
class FiniteScalarQuantizer(Quantizer):
    """FSQ (Mentzer et al. 2023, arXiv 2309.15505): channel i is bounded and rounded to one of L_i values.

    ::

        bounded_i = tanh(z_i + shift_i) * (L_i - 1) (1 + 0.001) / 2 - (1/2 if L_i is even)
        code_i    = round(bounded_i) / floor(L_i / 2)                      in [-1, 1]
        index     = sum_i (round(bounded_i) + floor(L_i / 2)) * L_1 ... L_(i-1)

    In a residual stack the latents are bounded once, and each further stage rounds what is left, ``L_i - 1`` times
    magnified.

    The gradient of the rounding is the identity. There are no losses, no state, and nothing that could collapse, but
    also nothing that places the codes where the data is. The integers are computed in float32, since bfloat16 rounds
    several of them together.

    Args:
        codebook_size: K, the product of the levels.
        code_dim: how many levels there are.
        levels: L_i, each at least 3 (for bits see ``LookupFreeQuantizer``); None takes ``levels_for(codebook_size)``.

    Raises:
        ConfigError: levels whose product is not K or whose number is not ``code_dim``; a K that has no such product.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import FiniteScalarQuantizer
        >>> layer = FiniteScalarQuantizer(240, 3, levels=[8, 6, 5])
        >>> layer(torch.randn(2, 3, 4, 4)).indices.shape, layer.codebook_size
        (torch.Size([2, 4, 4]), 240)
    """

    fixed_scale = True
    levels: Tensor
    _half: Tensor
    _place: Tensor
    _reach: Tensor
    _offset: Tensor
    _shift: Tensor

    def __init__(self, codebook_size: int, code_dim: int, *, levels: Sequence[int] | None = None) -> None:
        super().__init__()
        chosen = _checked(codebook_size, levels)
        if code_dim != len(chosen):
            raise ConfigError(f"code_dim={code_dim}: {len(chosen)} levels {chosen} quantise {len(chosen)} channels")
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self._bounds = True
        self._levels = chosen
        self.register_constants()

    def constants(self) -> dict[str, Tensor]:
        """See ``SteadyBuffers.constants``: all numbers of the formulas above, ``[d]`` each."""
        sizes = torch.tensor(self._levels, dtype=torch.int64)
        reach = (sizes - 1).double() * (1 + _MARGIN) / 2
        offset = torch.where(sizes % 2 == 0, 0.5, 0.0).double()
        return {
            "levels": sizes,
            "_half": sizes // 2,
            "_place": torch.cat([sizes.new_ones(1), sizes.cumprod(0)[:-1]]),
            "_reach": reach.float(),
            "_offset": offset.float(),
            "_shift": torch.atanh(offset / reach).float(),
        }

    @classmethod
    def own_dim(cls, codebook_size: int, options: Mapping[str, Any]) -> int | None:
        """See ``Quantizer.own_dim``: the number of levels."""
        return len(_checked(codebook_size, options.get("levels")))

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``; no losses."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            bounded = self._bounded(latents)
            digits = self._digits(bounded.detach())
            half = per_channel(self._half, bounded)
            quantized = straight_through(bounded / half, self._values(digits, bounded))
        return Quantization(quantized, self._number(digits), {})

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            return self._number(self._digits(self._bounded(at_least_float32(latents))))

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        indices = self.check_indices(indices).unsqueeze(-1)
        digits = (indices // self._place) % self.levels
        return self._values(digits.movedim(-1, 1), self._reach)

    def place(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.place``."""
        bounded = self._bounded(at_least_float32(latents))
        return bounded / per_channel(self._half, bounded)

    def residual_gain(self, like: Tensor) -> Tensor | float:
        """See ``Quantizer.residual_gain``."""
        return per_channel(self.levels - 1, like)

    def residual_start(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.residual_start``: in [-1, 1] as ``place`` gives them."""
        bounded = self._squashed(latents)
        return bounded / per_channel(self._half, bounded)

    def join_residual(self) -> None:
        """See ``Quantizer.join_residual``."""
        self._bounds = False

    def _bounded(self, latents: Tensor) -> Tensor:
        return self._squashed(latents) if self._bounds else latents * per_channel(self._half, latents)

    def _squashed(self, latents: Tensor) -> Tensor:
        reach, offset, shift = (per_channel(each, latents) for each in (self._reach, self._offset, self._shift))
        if is_reproducible(self):
            return (reproducible_tanh(latents + shift) * reach - offset).to(latents.dtype)
        return torch.tanh(latents + shift) * reach - offset

    def _digits(self, bounded: Tensor) -> Tensor:
        """``[batch, d, *grid]`` int64, digit i in ``[0, L_i)``; NaN becomes some valid one."""
        whole = torch.nan_to_num(bounded).round().long()
        top = (self.levels - 1).view(-1, *[1] * (bounded.ndim - 2))
        return (whole + self._half.view_as(top)).clamp_min(0).minimum(top)

    def _values(self, digits: Tensor, like: Tensor) -> Tensor:
        half = self._half.view(-1, *[1] * (digits.ndim - 2))
        return (digits - half).to(like.dtype) / half.to(like.dtype)

    def _number(self, digits: Tensor) -> Tensor:
        return (digits.movedim(1, -1) * self._place).sum(dim=-1)


def levels_for(codebook_size: int) -> list[int]:
    """Levels whose product is ``codebook_size``, as near to 5 to 8 each as it allows, largest first.

    Mentzer et al. (2023, section 4.1) find 5 or more levels to work; of all ways to write K as a product of 3 to 16
    this takes the one of least squared log-ratio to 7.

    Raises:
        ConfigError: a K that is no such product; the nearest sizes that have levels are named.

    Example:
        >>> from vqkit.quantizers import levels_for
        >>> levels_for(240), levels_for(1000)
        ([8, 6, 5], [8, 5, 5, 5])
    """
    found = _best(codebook_size, _MOST)
    if found is None:
        ways = (n for d in range(1, min(codebook_size, _NEIGHBORS)) for n in (codebook_size - d, codebook_size + d))
        near = next((n for n in ways if n >= _FEWEST and _best(n, _MOST)), 1 << (codebook_size.bit_length() - 1))
        raise ConfigError(
            f"codebook_size={codebook_size} is no product of numbers from {_FEWEST} to {_MOST}, so finite scalar "
            f"quantisation cannot have that many codes; codebook_size={near} can (or give the levels)"
        )
    return list(found[1])


@lru_cache(maxsize=4096)
def _best(size: int, most: int) -> tuple[float, tuple[int, ...]] | None:
    """The least cost and its factors, none above ``most``."""
    if size == 1:
        return 0.0, ()
    best = None
    for level in range(min(most, size), _FEWEST - 1, -1):
        if size % level == 0 and (rest := _best(size // level, level)) is not None:
            cost = rest[0] + (math.log2(level) - _WANTED) ** 2
            if best is None or cost < best[0]:
                best = cost, (level, *rest[1])
    return best


def _checked(codebook_size: int, levels: Sequence[int] | None) -> list[int]:
    if codebook_size < 2:
        raise ConfigError(f"codebook_size={codebook_size}: give 2 or more codes; an index into 1 code carries 0 bits")
    if levels is None:
        return levels_for(codebook_size)
    if not levels or any(level < _FEWEST for level in levels):
        raise ConfigError(f"levels={list(levels)}: give 3 or more values for each of 1 or more channels")
    if math.prod(levels) != codebook_size:
        raise ConfigError(
            f"levels={list(levels)} make {math.prod(levels)} codes, not codebook_size={codebook_size}: give "
            f"codebook_size={math.prod(levels)}"
        )
    return list(levels)
