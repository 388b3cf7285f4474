"""Three sizes of the same latents, always side by side: nominal, entropy, and what lies on the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from vqkit.coding import index_dtype
from vqkit.ops import entropy_bits


@dataclass(frozen=True, kw_only=True)
class RateReport:
    """Sizes of the indices, or of the continuous latents, of a whole set.

    Attributes:
        nominal_bits: positions times log2 K: every code counted as equally likely; of continuous latents, 32 bits a
            number.
        entropy_bits: positions times the entropy of the set's own index histogram (the K - 1 numbers that a decoder
            would also need are not counted); of continuous latents, the entropy of the coarsest uniform quantisation
            that costs less than 0.1 dB. None where it was not counted.
        prior_bits: the indices under the learned prior that the model uses; None without one.
        stored_bytes: the indices in the smallest unsigned integers, as ``vqkit encode`` writes them (headers apart);
            continuous latents as float32.
        original_bytes: the set as raw values of the depth and the channels that it came with.

    Example:
        >>> from vqkit.evaluation import RateReport
        >>> RateReport(nominal_bits=576.0, entropy_bits=570.8, stored_bytes=128, original_bytes=3072).nominal_bits
        576.0
    """

    nominal_bits: float
    entropy_bits: float | None
    stored_bytes: int
    original_bytes: int
    prior_bits: float | None = None


@dataclass(frozen=True, kw_only=True)
class BitsPerDim:
    """A bound on -log2 p(x) of 8-bit data (of sound: rounded as its likelihood says), per value of x, in two parts.

    Attributes:
        rate: of the latents.
        distortion: of the values given the latents, under the model's likelihood of the levels.
        total: their sum.
        how: the rate is counted, in words.
        uniform_rate: of indices under the uniform prior, whatever ``rate`` is under.

    Example:
        >>> from vqkit.evaluation import BitsPerDim
        >>> BitsPerDim(rate=0.5, distortion=4.0, total=4.5, how="uniform").total
        4.5
    """

    rate: float
    distortion: float
    total: float
    how: str
    uniform_rate: float | None = None


def rate_report(histogram: Tensor, original_bytes: int) -> RateReport:
    """The three sizes from the index histogram ``[codebooks, K]`` (or ``[K]``) of a whole set.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import rate_report
        >>> rate_report(torch.tensor([[8, 8]]), 64).entropy_bits
        16.0
    """
    positions, codebook_size = int(histogram.sum()), histogram.shape[-1]
    return RateReport(
        nominal_bits=positions * math.log2(codebook_size),
        entropy_bits=positions * entropy_bits(histogram),
        stored_bytes=positions * index_dtype(codebook_size).itemsize,
        original_bytes=original_bytes,
    )


def continuous_rate_report(numbers: int, entropy: float | None, original_bytes: int) -> RateReport:
    """The three sizes of real latents: how many, and their bits once quantised and entropy-coded."""
    return RateReport(
        nominal_bits=32.0 * numbers, entropy_bits=entropy, stored_bytes=4 * numbers, original_bytes=original_bytes
    )
