"""Product quantisation: the latents cut into parts, each with a codebook of its own (Jegou, Douze and Schmid 2011)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from vqkit.errors import ConfigError
from vqkit.quantizers.base import Quantization, Quantizer, mean_losses
from vqkit.quantizers.candidates import nearest_sums


@final
class ProductQuantizer(Quantizer):
    """Several codes per position: part c of the latents' channels is quantised by quantizer c.

    ``C`` codebooks of K codes name ``K^C`` different codewords for ``C log2 K`` bits. Indices are
    ``[batch, *grid, C]``; each loss is the mean over the parts, so its weight is that of one codebook.

    Args:
        parts: two or more quantizers of one kind, equal in codebook size and dimension.

    Raises:
        ConfigError: fewer parts, or parts of different sizes.

    Example:
        >>> import torch
        >>> from vqkit.quantizers import EMAVectorQuantizer, ProductQuantizer
        >>> layer = ProductQuantizer([EMAVectorQuantizer(16, 4), EMAVectorQuantizer(16, 4)])  # channels 0..3 and 4..7
        >>> layer(torch.randn(2, 8, 4, 4)).indices.shape
        torch.Size([2, 4, 4, 2])
    """

    def __init__(self, parts: Sequence[Quantizer]) -> None:
        super().__init__()
        sizes = {(part.codebook_size, part.code_dim) for part in parts}
        if len(parts) < 2 or len(sizes) != 1:
            raise ConfigError(f"a product of {len(parts)} quantizers of sizes {sorted(sizes)}: give 2 or more, equal")
        for part in parts:
            part.channels_first = True
        self.parts = nn.ModuleList(parts)
        self.num_codebooks = len(parts)
        self.codebook_size = parts[0].codebook_size
        self.part_dim = parts[0].code_dim
        self.code_dim = self.part_dim * self.num_codebooks

    @property
    def restarts(self) -> int:
        """Codes restarted so far, in all codebooks."""
        return sum(part.restarts for part in self._quantizers())

    @restarts.setter
    def restarts(self, value: int) -> None:
        """Set the sum (a resumed run knows no more): the first codebook carries it."""
        for number, part in enumerate(self.parts):
            part.restarts = value if number == 0 else 0  # type: ignore[assignment]

    @property
    def initialized(self) -> bool:
        """See ``Quantizer.initialized``."""
        return all(part.initialized for part in self._quantizers())

    def initialize(self, vectors: Tensor) -> None:
        """See ``Quantizer.initialize``."""
        for part, piece in zip(self._quantizers(), vectors.split(self.part_dim, dim=1), strict=True):
            if not part.frozen:
                part.initialize(piece.contiguous())

    def forward(self, latents: Tensor, mask: Tensor | None = None) -> Quantization:
        """See ``Quantizer.forward``."""
        found = [part(piece, mask) for part, piece in self._pieces(latents)]
        losses = mean_losses([each.losses for each in found])
        quantized = torch.cat([each.quantized for each in found], dim=1)
        return Quantization(quantized, torch.stack([each.indices for each in found], dim=-1), losses)

    def encode(self, latents: Tensor) -> Tensor:
        """Indices ``[batch, *grid, C]``."""
        return torch.stack([part.encode(piece) for part, piece in self._pieces(latents)], dim=-1)

    def lookup(self, indices: Tensor) -> Tensor:
        """Codewords ``[batch, code_dim, *grid]`` of indices ``[batch, *grid, C]``."""
        if indices.ndim < 2 or indices.shape[-1] != self.num_codebooks:
            raise ValueError(
                f"indices have shape {tuple(indices.shape)}; the last axis is the {self.num_codebooks} codebooks"
            )
        return torch.cat([part.lookup(indices[..., c]) for c, part in enumerate(self._quantizers())], dim=1)

    @torch.no_grad()
    def candidates(self, vectors: Tensor, count: int, width: int | None = None) -> tuple[Tensor, Tensor]:
        """See ``ListsCandidates``."""
        every = torch.arange(self.codebook_size, device=vectors.device)
        codewords = torch.zeros(self.num_codebooks, self.codebook_size, self.code_dim, device=vectors.device)
        for number, part in enumerate(self._quantizers()):
            codewords[number, :, number * self.part_dim : (number + 1) * self.part_dim] = part.lookup(every)
        return nearest_sums(self.place(vectors), codewords, count, width)

    def place(self, latents: Tensor) -> Tensor:
        """See ``Quantizer.place``."""
        return torch.cat([part.place(piece) for part, piece in self._pieces(latents)], dim=1)

    def _quantizers(self) -> list[Any]:
        return list(self.parts)

    def _pieces(self, latents: Tensor) -> list[tuple[Any, Tensor]]:
        self.check_latents(latents)
        return list(zip(self.parts, latents.split(self.part_dim, dim=1), strict=True))
