"""Residual quantization with codebooks that are refined together, and a beam search."""

from __future__ import annotations

from typing import ClassVar, final

from vqkit.models.vectors.base import VectorCodebooks
from vqkit.quantizers.multicodebook.additive import AdditiveCodebooks
from vqkit.recording import recorded


@final
class ResidualQuantization(VectorCodebooks):
    """Residual quantization (RQ; Juang and Gray 1982): the sum of one code of each codebook, coarse to fine.

    The first m indices alone are a coarser code. Vectors are encoded by a beam search, and the codebooks are learned
    together by least squares with falling noise (see ``AdditiveCodebooks``): nearer to the vectors than codebooks
    that each quantize what the ones before have left, for the same bytes.

    Args:
        codebook_size: K; an index costs log2 K bits, 256 is a byte.
        num_codebooks: M, indices (of 256: bytes) a vector.
        beam: prefixes that the search keeps; more is nearer and slower, 1 the residual quantization of old.
        rounds: of search and least squares in training.
        noise: on the codes in the first round, in standard deviations of the data over M.
        seed: of the first codes, the noise, and the sample that is learned from.

    Raises:
        ConfigError: a value out of range.

    Example:
        >>> import torch
        >>> from vqkit.models import ResidualQuantization
        >>> model = ResidualQuantization(16, num_codebooks=2, channels=6, rounds=5)
        >>> vectors = torch.randn(500, 6)
        >>> model.fit(lambda: vectors.split(100))
        >>> model.decode(model.encode(vectors[:3], codebooks=1)).shape
        torch.Size([3, 6])
    """

    model_type: ClassVar[str] = "rq"

    def __init__(
        self,
        codebook_size: int = 256,
        *,
        num_codebooks: int = 8,
        beam: int = 16,
        rounds: int = 25,
        noise: float = 1.0,
        seed: int = 0,
        channels: int = 64,
        axes: int = 0,
        channel_means: bool = False,
        kind: str | None = None,
    ) -> None:
        config = recorded(ResidualQuantization.__init__, locals())
        quantizer = AdditiveCodebooks(
            codebook_size, channels, num_codebooks=num_codebooks, beam=beam, rounds=rounds, noise=noise
        )
        super().__init__(quantizer, config)
