"""Dead codes come back to life: the choice of which codes are dead and which latents replace them."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.deprecation import moved
from vqkit.ops.assignment.kmeans import kmeans
from vqkit.ops.collectives import gather_rows, global_rows
from vqkit.quantizers.base import Quantizer, flatten_grid

__getattr__ = moved(__name__, {"begin": f"{__name__}:initialize_from"})

_WORK = 1 << 40
"""Multiplications that k-means may take: large codebooks get fewer rounds (half a minute on two CPU cores)."""


def dead_codes(average_counts: Tensor, restart_below: float) -> Tensor:
    """Numbers ``[m]`` int64 of the codes that are used less than ``restart_below`` times the average code.

    Args:
        average_counts: ``[K]`` running counts of assignments.
        restart_below: a fraction of the mean count; 0 finds none.
    """
    return torch.nonzero(average_counts < restart_below * average_counts.mean()).squeeze(1)


def replacements(vectors: Tensor, how_many: int, seed: int) -> Tensor:
    """Latent vectors drawn from the whole batch of all processes, the same on every process.

    Args:
        vectors: ``[N, D]`` this process's latents of the current batch.
        how_many: m.
        seed: what the draw depends on, together with the vectors; nothing else, so that a resumed run draws the
            same ones.

    Returns:
        ``[m, D]``; distinct positions as long as there are enough of them.
    """
    _, total = global_rows(vectors)
    return gather_rows(vectors, draw(total, how_many, seed).to(vectors.device))


def draw(total: int, how_many: int, seed: int) -> Tensor:
    """``[how_many]`` random numbers below ``total``, distinct as long as there are enough."""
    generator = torch.Generator("cpu").manual_seed(seed)
    if how_many <= total:
        return torch.randperm(total, generator=generator, device="cpu")[:how_many]
    return torch.randint(total, (how_many,), generator=generator, device="cpu")


def sample_size(available: int, codebook_size: int) -> int:
    """Return the sample size of k-means: 64 vectors a code, at most 262,144 (if that is four a code), at most all.

    More change the centres little and the time a lot.
    """
    return min(available, max(min(64 * codebook_size, 262_144), 4 * codebook_size))


def sample_rows(vectors: Tensor, codebook_size: int, seed: int) -> Tensor:
    """Draw the sample for ``first_codebook`` from the latents ``[N, D]`` of all processes; the same on each."""
    _, total = global_rows(vectors)
    return replacements(vectors, sample_size(total, codebook_size), seed)


def first_codebook(vectors: Tensor, codebook_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """K-means of (a sample of) vectors ``[N, D]``: centres ``[K, D]`` and counts ``[K]`` int64."""
    generator = torch.Generator("cpu").manual_seed(seed)
    wanted = sample_size(vectors.shape[0], codebook_size)
    if wanted < vectors.shape[0]:
        vectors = vectors[
            torch.randperm(vectors.shape[0], generator=generator, device="cpu")[:wanted].to(vectors.device)
        ]
    rounds = _WORK // max(1, vectors.numel() * codebook_size)
    return kmeans(vectors, codebook_size, generator=generator, iterations=min(10, max(1, rounds)))


@torch.no_grad()
def initialize_from(quantizer: Quantizer, latents: Tensor, mask: Tensor | None, seed: int = 0) -> None:
    """Initialize a quantizer from the latents ``[batch, D, *grid]`` of all processes, unless there are none.

    Those that are masked out or not finite do not count. A frozen one stays as it is. ``seed`` is of the sample taken.
    """
    if quantizer.frozen:
        return
    vectors = flatten_grid(latents)
    vectors = vectors if mask is None else vectors[mask.reshape(-1)]
    rows = sample_rows(vectors[torch.isfinite(vectors).all(dim=1)], quantizer.codebook_size, seed)
    if len(rows):
        quantizer.initialize(rows)


initialize_from._torchdynamo_disable = True  # type: ignore[attr-defined]
initialize_from._torchdynamo_disable_msg = (  # type: ignore[attr-defined]
    "the first codebook comes from latents: run one eager step, or initialize(), before compiling"
)
# what torch.compiler.disable sets, without its import of the compiler
