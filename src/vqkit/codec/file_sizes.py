"""Bytes of the ``.vqk`` files that one set of signals would make at each of a model's rates; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, cast

from vqkit.codec.compressor import Compressor
from vqkit.codec.entropy.models import EntropyModel, UniformModel
from vqkit.codec.signals import Signal
from vqkit.models import IndexModel


class _Nowhere:
    """A binary file that keeps nothing."""

    def write(self, data: bytes) -> int:
        """Say that all of it was written."""
        return len(data)


def file_sizes(
    model: IndexModel,
    signals: Callable[[], Iterable[Signal]],
    counts: Sequence[int],
    entropies: Sequence[EntropyModel] = (),
) -> dict[int, int]:
    """Return the bytes of one file of all signals, for the first so many codebooks, by their number.

    Headers, names and checksums are included. A file is counted under each entropy model and under none, and the
    smallest is taken, as ``vqkit compress`` keeps it.

    Args:
        model: the tokenizer.
        signals: gives them, of any sizes; asked once for each number of codebooks.
        counts: numbers of codebooks.
        entropies: models of the indices.

    Raises:
        ConfigError: numbers of codebooks that the model does not have.
        DataError: signals that it does not read.

    Example:
        >>> import torch, vqkit
        >>> from vqkit.codec import Signal, file_sizes
        >>> _ = torch.manual_seed(1)
        >>> model = vqkit.VQVAE(256, axes=1, channels=1, downsampling=4, hidden_channels=8, num_codebooks=2,
        ...                     stacking="residual", code_dim=4).eval()
        >>> sound = Signal(torch.rand(1, 400).numpy())  # 100 frames of a byte for each codebook
        >>> sizes = file_sizes(model, lambda: [sound], [1, 2])
        >>> 100 < sizes[1] <= sizes[2]
        True
    """
    models = [*(each for each in entropies if each.kind != "uniform"), UniformModel(model.codebook_size)]
    files = [cast(BinaryIO, _Nowhere()) for _ in models]
    found = {}
    for count in counts:
        compressor = Compressor(model, models[0], codebooks=count, beside=models[1:])
        found[count] = min(report.file_bytes for report in compressor.write_each(files, signals()))
    return found
