"""Codebook statistics of a set of indices: histogram, usage, perplexity, and the sums of the EMA update."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vqkit.ops.assignment.code_sums_triton import code_sums_sorted
from vqkit.ops.assignment.nearest_triton import available
from vqkit.ops.precision import float64


def index_histogram(indices: Tensor, codebook_size: int) -> Tensor:
    """Count the occurrences of each code.

    Args:
        indices: any shape, integers in ``[0, codebook_size)``.
        codebook_size: K.

    Returns:
        ``[K]`` int64.

    Example:
        >>> import torch
        >>> from vqkit.ops import index_histogram
        >>> index_histogram(torch.tensor([0, 1, 1, 3]), 4).tolist()
        [1, 2, 0, 1]
    """
    flat = indices.reshape(-1)
    if flat.device.type == "cpu":
        return torch.bincount(flat, minlength=codebook_size)
    counts = torch.zeros(codebook_size, dtype=torch.int64, device=flat.device)
    return counts.scatter_add_(0, flat, torch.ones_like(flat))  # bincount would wait for the device


def codebook_histograms(indices: Tensor, codebook_size: int, num_codebooks: int = 1) -> Tensor:
    """Count the occurrences of each code of each codebook.

    Args:
        indices: ``[...]``, or ``[..., num_codebooks]`` where there are several codebooks; -1, of a codebook that a
            residual quantizer leaves out, counts nowhere.
        codebook_size: K.
        num_codebooks: C.

    Returns:
        ``[C, K]`` int64.

    Example:
        >>> import torch
        >>> from vqkit.ops import codebook_histograms
        >>> codebook_histograms(torch.tensor([[0, 1], [0, 0]]), 2, 2).tolist()  # [..., codebooks]
        [[2, 0], [1, 1]]
    """
    total = codebook_size * num_codebooks
    if num_codebooks > 1:
        numbered = indices + torch.arange(num_codebooks, device=indices.device) * codebook_size
        indices = torch.where(indices < 0, total, numbered)
        return index_histogram(indices, total + 1)[:total].view(num_codebooks, codebook_size)
    return index_histogram(indices, total).view(1, total)


def code_sums(vectors: Tensor, indices: Tensor, codebook_size: int) -> Tensor:
    """Sum of the vectors assigned to each code, without a one-hot matrix.

    Args:
        vectors: ``[N, D]``.
        indices: ``[N]`` int64 in ``[0, K)``.
        codebook_size: K.

    Returns:
        ``[K, D]`` in the dtype of ``vectors``.

    Example:
        >>> import torch
        >>> from vqkit.ops import code_sums
        >>> code_sums(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 1, 1]), 3).flatten()
        tensor([1., 6., 0.])
    """
    if vectors.dtype == torch.float32 and available(vectors):
        return code_sums_sorted(vectors, indices, codebook_size)
    sums = torch.zeros(codebook_size, vectors.shape[1], dtype=vectors.dtype, device=vectors.device)
    return sums.index_add_(0, indices, vectors)


def laplace_smoothed(counts: Tensor, epsilon: float) -> Tensor:
    """Counts with ``epsilon`` added to each and rescaled to their old total (no division by zero later).

    ``n * (N_i + eps) / (n + K eps)`` with ``n = sum_i N_i``: the smoothing of sonnet's EMA quantizer for
    equations 6 to 8 of arXiv 1711.00937's appendix.

    Example:
        >>> import torch
        >>> from vqkit.ops import laplace_smoothed
        >>> laplace_smoothed(torch.tensor([0.0, 4.0]), 1.0)
        tensor([0.6667, 3.3333])
    """
    total = counts.sum()
    return (counts + epsilon) * (total / (total + counts.numel() * epsilon))


def entropy_bits(histogram: Tensor) -> float:
    """Entropy, in bits per index, of the distribution that a histogram ``[K]`` describes (0 if empty).

    For several codebooks, ``[C, K]``: the mean over codebooks.

    Example:
        >>> import torch
        >>> from vqkit.ops import entropy_bits, index_histogram
        >>> round(entropy_bits(index_histogram(torch.tensor([0, 1, 1, 3]), 4)), 2)
        1.5
    """
    counts = float64(histogram)
    if counts.ndim == 2:
        return sum(entropy_bits(row) for row in counts) / len(counts)
    total = float(counts.sum())
    if total == 0:
        return 0.0
    positive = counts[counts > 0] / total
    return float(-(positive * positive.log2()).sum()) if len(positive) > 1 else 0.0


def perplexity(histogram: Tensor) -> float:
    """exp(entropy in nats) of a histogram ``[K]`` or ``[C, K]``: how many equally frequent codes say as much.

    Example:
        >>> import torch
        >>> from vqkit.ops import perplexity, index_histogram
        >>> round(perplexity(index_histogram(torch.tensor([0, 1, 1, 3]), 4)), 2)
        2.83
    """
    return math.pow(2.0, entropy_bits(histogram))


def usage(histogram: Tensor) -> float:
    """Fraction of the codebook that occurs at least once in the set that the histogram ``[K]`` or ``[C, K]`` counts.

    Example:
        >>> import torch
        >>> from vqkit.ops import usage, index_histogram
        >>> round(usage(index_histogram(torch.tensor([0, 1, 1, 3]), 4)), 2)
        0.75
    """
    return float((histogram > 0).sum()) / histogram.numel()
