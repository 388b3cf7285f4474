"""Codewords of one codebook of a model, whatever its quantizer: nearest codes, and a map in two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.errors import ConfigError
from vqkit.models import IndexModel

Floats = npt.NDArray[np.float64]
_AT_ONCE = 4096
MOST_CODES = 1 << 16
"""Codes of a codebook whose codewords are looked at one by one."""


@torch.no_grad()
def codewords(model: IndexModel, stage: int = 0) -> npt.NDArray[np.float32]:
    """What each code of a codebook adds to the latents, ``[K, D]``, up to a constant vector.

    It is asked of ``lookup``, with the other codebooks held still: so it holds for every quantizer, those without a
    table of codewords too.

    Args:
        model: with a codebook.
        stage: the number of the codebook, from 0.

    Raises:
        ConfigError: no such codebook, or more than 65,536 codes.

    Example:
        >>> import vqkit
        >>> from vqkit.lab.acts.codewords import codewords
        >>> codewords(vqkit.VQVAE(16, code_dim=4, hidden_channels=8)).shape
        (16, 4)
    """
    count, books = model.codebook_size, model.num_codebooks
    if not 0 <= stage < books:
        raise ConfigError(f"codebook {stage + 1}: the model has {books}")
    if count > MOST_CODES:
        raise ConfigError(f"a codebook of {count:,} codes; the lab looks at {MOST_CODES:,} at most, one by one")
    parts = []
    for start in range(0, count, _AT_ONCE):
        codes = torch.arange(start, min(count, start + _AT_ONCE), device=model.device)
        indices = codes
        if books > 1:
            indices = torch.zeros(len(codes), books, dtype=torch.int64, device=model.device)
            indices[:, stage] = codes
        parts.append(_looked_up(model, indices))
    found = torch.cat(parts)
    return (found - found.mean(dim=0)).cpu().numpy().astype(np.float32)


def _looked_up(model: IndexModel, indices: Tensor) -> Tensor:
    """The codewords ``[n, D]`` of indices ``[n]`` or ``[n, C]``, each of them a signal of one position."""
    grid = (1,) * model.axes
    shape = (len(indices), *grid, *indices.shape[1:])
    return model.quantizer.lookup(indices.reshape(shape)).reshape(len(indices), -1).float()


def nearest_codes(words: npt.NDArray[Any], code: int, count: int) -> list[tuple[int, float]]:
    """The codes whose codewords are nearest to that of a code, with their Euclidean distances; itself left out.

    Args:
        words: of ``codewords``.
        code: to start from.
        count: how many.

    Example:
        >>> import numpy as np
        >>> from vqkit.lab.acts.codewords import nearest_codes
        >>> nearest_codes(np.array([[0.0], [2.0], [3.0]]), 1, 2)
        [(2, 1.0), (0, 2.0)]
    """
    distances = np.sqrt(np.square(words.astype(np.float64) - words[code]).sum(axis=1))
    distances[code] = np.inf
    order = np.argsort(distances, kind="stable")[: min(count, len(words) - 1)]
    return [(int(each), float(distances[each])) for each in order]


def flat_map(words: npt.NDArray[Any]) -> tuple[Floats, float]:
    """The codewords on their first two principal axes, ``[K, 2]``, and the share of the variance that lies there.

    Example:
        >>> import numpy as np
        >>> from vqkit.lab.acts.codewords import flat_map
        >>> places, share = flat_map(np.array([[0.0, 0.0, 1.0], [4.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))
        >>> places.shape, round(share, 6)
        ((3, 2), 1.0)
    """
    centred = words.astype(np.float64) - words.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(words), 2))
    kept = min(2, len(axes))
    places[:, :kept] = centred @ axes[:kept].T
    total = float(np.square(spread).sum())
    return places, float(np.square(spread[:2]).sum()) / total if total else 1.0
