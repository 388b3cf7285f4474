"""The search for the nearest code: the one operation that every vector quantizer is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from vqkit.ops.assignment import nearest_triton
from vqkit.ops.assignment.nearest_blocks import nearest_in_blocks

METRICS = ("euclidean", "dot")


@torch.no_grad()
def nearest_code(latents: Tensor, codebook: Tensor, *, metric: str = "euclidean") -> Tensor:
    """Index of the codeword nearest to each latent vector, exactly, in constant memory.

    The answer is the code for which ``sum((x - c)^2)`` (or the dot product), computed in float64 from the numbers in
    float32, is best; of several for which it is the same number the lowest index. On the CPU the order of that sum is
    fixed (``ops.reproducible``), so that the answer does not depend on the batch, the layout or the number of threads;
    a GPU adds up otherwise, which matters where two different codes are equally near to 1 part in 10^15. Numbers
    should lie between 1e-15 and 1e15 in magnitude (or be 0): squares beyond float32 are not told apart. The search
    runs in float32 whatever the autocast state, because bfloat16 scores confuse neighbouring codes; float64 vectors
    are searched in float64, without the second look. The ``N x K`` table of distances never exists: beside the indices
    it takes 10 to 30 MiB for each of torch's threads on a CPU at any size. A code with NaN, Inf or a square beyond
    float32 is never chosen.

    Args:
        latents: ``[N, D]``, floating. A row with NaN gets some valid index.
        codebook: ``[K, D]``, floating, K >= 1.
        metric: ``"euclidean"``, or ``"dot"`` for the greatest dot product: with codewords of length 1 the nearest by
            cosine.

    Returns:
        ``[N]`` int64.

    Raises:
        ValueError: when the shapes do not fit, the codebook is empty or has no finite code, or the metric is unknown.

    Example:
        >>> import torch
        >>> from vqkit import nearest_code
        >>> codebook = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        >>> nearest_code(torch.tensor([[0.2, 0.1], [0.9, 2.0]]), codebook)
        tensor([0, 1])
    """
    if latents.ndim != 2 or codebook.ndim != 2 or latents.shape[1] != codebook.shape[1]:
        raise ValueError(
            f"latents {tuple(latents.shape)} and codebook {tuple(codebook.shape)} do not fit: "
            "expected [N, D] and [K, D] with the same D"
        )
    if codebook.shape[0] == 0:
        raise ValueError("the codebook has no codes; a search needs at least 1")
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r} is unknown; choose one of: {', '.join(METRICS)}")
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting():
            return _plain(latents.double(), codebook.double(), metric)  # which settles near ties as the search does
        found: Tensor = torch.ops.vqkit.nearest_code(latents, codebook, metric)
        return found
    return _search(latents, codebook, metric)


def _search(latents: Tensor, codebook: Tensor, metric: str) -> Tensor:
    if torch.float64 in (latents.dtype, codebook.dtype):
        return _in_float64(latents.double(), codebook.double(), metric)
    with torch.autocast(latents.device.type, enabled=False):
        if nearest_triton.available(latents):
            return nearest_triton.nearest_fused(latents.float(), codebook.float(), euclidean=metric == "euclidean")
        return nearest_in_blocks(latents.float(), codebook.float(), euclidean=metric == "euclidean")


def _in_float64(latents: Tensor, codebook: Tensor, metric: str) -> Tensor:
    rows = max(1, (1 << 20) // codebook.shape[0])
    parts = [_plain(block, codebook, metric) for block in latents.split(rows)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def _plain(latents: Tensor, codebook: Tensor, metric: str) -> Tensor:
    """One product and ``argmin``: what an exported graph holds."""
    with torch.autocast(latents.device.type, enabled=False):
        dtype = torch.float64 if torch.float64 in (latents.dtype, codebook.dtype) else torch.float32
        latents, codebook = latents.to(dtype), codebook.to(dtype)
        squares = codebook.square().sum(dim=1)
        sound = torch.isfinite(squares)
        if not torch.compiler.is_compiling() and codebook.device.type == "cpu" and not bool(sound.any()):
            raise ValueError("no code of the codebook is finite, so none is nearest: was it trained to NaN?")
        half = torch.where(sound, squares * (0.5 if metric == "euclidean" else 0.0), torch.finfo(dtype).max)
        codebook = torch.where(sound.unsqueeze(1), codebook, codebook.new_zeros(()))
        return torch.addmm(half, latents, codebook.t(), alpha=-1.0).argmin(dim=1)


@torch.library.custom_op("vqkit::nearest_code", mutates_args=())
def _opaque(latents: Tensor, codebook: Tensor, metric: str) -> Tensor:
    """The search as one node of a compiled graph."""
    return _search(latents, codebook, metric)


@_opaque.register_fake
def _(latents: Tensor, codebook: Tensor, metric: str) -> Tensor:
    del codebook, metric
    return latents.new_empty(latents.shape[0], dtype=torch.int64)
