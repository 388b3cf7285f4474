"""Binary codes: the sign of each channel is one bit of the index. Lookup-free and binary spherical quantisation."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.ops import bit_entropy, mean_code_probabilities, on_sphere, straight_through
from vqkit.ops.binary_entropy import MOST_BITS
from vqkit.ops.precision import at_least_float32
from vqkit.ops.reproducible import is_reproducible
from vqkit.quantizers.base import Quantization, Quantizer, flatten_grid, masked_mean
from vqkit.quantizers.entropy import entropy_losses, position_weights


class BinaryQuantizer(Quantizer, ABC):
    """Codes are the corners ``{-1, 1}^d`` of a cube, ``K = 2^d``; the nearest corner has the signs of the latent.

    The entropy penalty is that of ``softmax(-|z - c|^2 / temperature)`` over all corners c. It splits into bits, with
    ``p(bit i) = sigmoid(4 z_i / temperature)``, so both of its terms are computed exactly without an N x K table:
    see ``ops.binary_entropy``. Beyond 20 bits the mean distribution is taken over groups of at most 16 bits each.

    Args:
        codebook_size: K, a power of 2.
        code_dim: d.
        beta: weight of the commitment loss.
        entropy_weight: of the entropy penalty; 0 has none.
        diversity: weight of its second term on top (gamma).
        temperature: see above.
        spherical: latents are put on the sphere of radius ``sqrt(d)`` first, on which the corners lie.

    Raises:
        ConfigError: K is no power of 2, or not ``2^code_dim``; a weight or temperature out of range.
    """

    fixed_scale = True
    _places: Tensor

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float,
        entropy_weight: float,
        diversity: float,
        temperature: float,
        spherical: bool,
    ) -> None:
        super().__init__()
        bits = _bits(codebook_size)
        if code_dim != bits:
            raise ConfigError(f"code_dim={code_dim}: {codebook_size} binary codes have {bits} bits, one per channel")
        if not (beta >= 0 and entropy_weight >= 0 and diversity >= 0 and temperature > 0):
            raise ConfigError(
                f"beta={beta}, entropy_weight={entropy_weight}, diversity={diversity}, temperature={temperature}: "
                "weights are 0 or more, the temperature is above 0"
            )
        self.codebook_size = codebook_size
        self.code_dim = code_dim
        self.beta = beta
        self.entropy_weight = entropy_weight
        self.diversity = diversity
        self.temperature = temperature
        self.spherical = spherical
        self.register_constants()

    def constants(self) -> dict[str, Tensor]:
        """See ``SteadyBuffers.constants``: the value of each bit, ``[d]``."""
        return {"_places": 1 << torch.arange(self.code_dim - 1, -1, -1)}

    @classmethod
    def own_dim(cls, codebook_size: int, options: Mapping[str, Any]) -> int | None:
        """See ``Quantizer.own_dim``: the number of bits."""
        del options
        return _bits(codebook_size)

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``. Losses: ``commitment_loss``, ``entropy_loss``, ``diversity_loss``."""
        latents = self.validate(latents, mask)
        with torch.autocast(latents.device.type, enabled=False):
            latents = self.place(latents)
            indices = self._number(latents.detach())
            codes = self.lookup(indices).to(latents.dtype)
            losses = {}
            if self.beta:
                losses["commitment_loss"] = self.beta * masked_mean(
                    (latents - codes).square(), mask, reduce_over_ranks=self.training
                )
            if self.entropy_weight:
                losses.update(self._entropy_losses(latents, mask))
            quantized = straight_through(latents, codes)
        return Quantization(quantized, indices, losses)

    def encode(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.encode``."""
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            return self._number(self.place(latents))

    def lookup(self, indices: Tensor) -> Tensor:
        """See ``Quantizer.lookup``."""
        bits = (self.check_indices(indices).unsqueeze(-1) & self._places) != 0
        one = torch.ones((), dtype=torch.float32, device=bits.device)  # whatever the default dtype
        return torch.where(bits, one, -one).movedim(-1, 1)

    def residual_gain(self, like: Tensor) -> Tensor | float:
        """See ``Quantizer.residual_gain``: signs leave half of what lies in [-2, 2]."""
        del like
        return 2.0

    def place(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.place``."""
        latents = at_least_float32(latents)
        return on_sphere(latents, reproducible=is_reproducible(self)) if self.spherical else latents

    def _number(self, latents: Tensor) -> Tensor:
        return ((latents.movedim(1, -1) > 0).long() * self._places).sum(dim=-1)

    def _entropy_losses(self, latents: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        logits = flatten_grid(latents) * (4 / self.temperature)
        weights, count = position_weights(None if mask is None else mask.reshape(-1), logits)
        entropy = weights @ bit_entropy(logits).sum(dim=1)
        groups = 1 if self.code_dim <= MOST_BITS else -(-self.code_dim // 16)
        found = [
            entropy_losses(
                entropy,
                mean_code_probabilities(part, weights),
                count,
                self.entropy_weight,
                self.diversity,
                reduce_over_ranks=self.training,
            )
            for part in logits.tensor_split(groups, dim=1)
        ]
        diversity = torch.stack([each["diversity_loss"] for each in found]).sum()
        return {"entropy_loss": found[0]["entropy_loss"], "diversity_loss": diversity}


@final
class LookupFreeQuantizer(BinaryQuantizer):
    """LFQ (Yu et al. 2023, arXiv 2310.05737): signs of the latents, commitment loss and entropy penalty.

    The arguments are those of ``BinaryQuantizer``; the gradient is straight-through.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import LookupFreeQuantizer
        >>> layer = LookupFreeQuantizer(256, 8)  # 2^8 codes: a bit a channel
        >>> layer.encode(torch.ones(1, 8, 2))
        tensor([[255, 255]])
    """

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float = 0.25,
        entropy_weight: float = 0.1,
        diversity: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(
            codebook_size,
            code_dim,
            beta=beta,
            entropy_weight=entropy_weight,
            diversity=diversity,
            temperature=temperature,
            spherical=False,
        )


@final
class BinarySphericalQuantizer(BinaryQuantizer):
    """BSQ (Zhao, Xiong and Krahenbuhl 2024, arXiv 2406.07548): latents on a sphere, codes at the corners of its cube.

    The sphere has radius ``sqrt(d)`` and the corners are ``{-1, 1}^d`` (the paper: radius 1 and ``+-1 / sqrt(d)``, the
    same up to scale). The quantisation error is bounded, so there is no commitment loss by default.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import BinarySphericalQuantizer
        >>> layer = BinarySphericalQuantizer(256, 8)  # 2^8 codes: a bit a channel
        >>> layer.encode(torch.ones(1, 8, 2))
        tensor([[255, 255]])
    """

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        beta: float = 0.0,
        entropy_weight: float = 0.1,
        diversity: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(
            codebook_size,
            code_dim,
            beta=beta,
            entropy_weight=entropy_weight,
            diversity=diversity,
            temperature=temperature,
            spherical=True,
        )


def _bits(codebook_size: int) -> int:
    bits = codebook_size.bit_length() - 1
    if codebook_size < 2 or codebook_size != 1 << bits or bits > 62:
        below, above = 1 << max(bits, 1), 1 << max(bits + 1, 1)
        raise ConfigError(
            f"codebook_size={codebook_size}: binary codes come in powers of 2, 2 to 2^62; give {below} or {above}"
        )
    return bits
