"""What probes read of each item: indices, codewords, latents and simple features of the signal, averaged over parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vqkit.data import Source, evaluation_batches
from vqkit.data.batches import fitting_batch
from vqkit.evaluation.probing import frequent_codes, index_shares, pooled, signal_features
from vqkit.models import IndexModel, Model
from vqkit.ops import evaluating

INDICES, QUANTIZED, LATENTS, SIGNAL = "indices", "quantized", "latents", "signal"
_MOST_SHARES = 2048
"""Numbers that the shares of codes have at most; rarer codes share one."""


@dataclass
class Encoded:
    """What a model makes of the items of a set.

    Attributes:
        indices: of each item, int64 ``[*grid, codebooks]``; empty for a continuous model.
        features: ``[N, D]`` by representation and parts along every axis (0: an item's only vector).
    """

    indices: list[Tensor] = field(default_factory=list)
    features: dict[tuple[str, int], Tensor] = field(default_factory=dict)


@torch.no_grad()
def encode_items(
    model: Model, source: Source, parts: int, batch_size: int, progress: Callable[[int], None] = lambda _: None
) -> Encoded:
    """Encode every item.

    Args:
        model: any; a VQ-VAE gives indices, codewords, and latents before quantization; others their latents.
        source: items that it reads.
        parts: along every axis, beside the whole item.
        batch_size: items of one size at a time.
        progress: told how many items are done.
    """
    found = Encoded()
    rows: dict[tuple[str, int], list[Tensor]] = {}
    with evaluating(model):
        for numbers, signals in evaluation_batches(source, fitting_batch(source, batch_size)):
            for name, latents in _latents(model, signals, found.indices):
                for each in _parts_of(latents.ndim - 2, parts):
                    rows.setdefault((name, each), []).append(pooled(latents.float().cpu(), each))
            progress(int(numbers[-1]) + 1)
    found.features = {key: torch.cat(each) for key, each in rows.items()}
    return found


def _latents(model: Model, signals: Tensor, indices: list[Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The representations of a batch by name; its indices are added to those before."""
    if not isinstance(model, IndexModel):
        yield LATENTS, model.encode(signals)
        return
    latents = model.latents(signals)
    codes = model.quantizer.encode(latents)
    indices.extend((codes if model.num_codebooks > 1 else codes.unsqueeze(-1)).cpu())
    yield LATENTS, latents
    yield QUANTIZED, model.quantizer.lookup(codes)


def signal_rows(model: Model, source: Source, parts: int, batch_size: int) -> dict[tuple[str, int], Tensor]:
    """Features of the signals themselves, as the model reads them."""
    largest = int(source.item_sizes().max()) if source.axes else 1
    rows: dict[tuple[str, int], list[Tensor]] = {}
    for _, signals in evaluation_batches(source, fitting_batch(source, batch_size)):
        x = model.read_signals(signals).cpu()
        x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
        for each in _parts_of(source.axes if source.axes == 1 else 0, parts):
            rows.setdefault((SIGNAL, each), []).append(signal_features(x, source.kind, max(each, 1), largest))
    return {key: torch.cat(each) for key, each in rows.items()}


def index_rows(training: Encoded, test: Encoded, parts: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Shares of codes of the training and the test items, at each number of parts."""
    axes = training.indices[0].ndim - 1
    codebooks = training.indices[0].shape[-1]
    for each in _parts_of(axes, parts):
        most = max(1, _MOST_SHARES // (max(each, 1) ** axes * codebooks))
        codes = frequent_codes(training.indices, most)
        fitted, judged = (index_shares(one.indices, max(each, 1), codes) for one in (training, test))
        yield each, fitted, judged


def _parts_of(axes: int, parts: int) -> Sequence[int]:
    return (0,) if axes < 1 else (1,) if parts == 1 else (1, parts)
