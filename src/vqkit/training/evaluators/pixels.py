"""Evaluations of a pixel prior: the bits of a lossless file, tokens and residual apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vqkit.data import Source
from vqkit.models import IndexModel
from vqkit.training.evaluators.base import Evaluator
from vqkit.training.evaluators.watch import Watch


class PixelPriorEvaluator(Evaluator):
    """Judges a pixel prior on held-out images with the tokenizer's indices.

    Args:
        tokenizer: gives the indices.
        source: the validation images.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
    """

    headline = "lossless_bits_per_dim"

    def __init__(self, tokenizer: IndexModel, source: Source, batch_size: int, items: int) -> None:
        self.tokenizer = tokenizer
        super().__init__(source, batch_size, items)

    def _judge(self, model: Any, items: int, watch: Watch, *, last: bool) -> dict[str, Any] | None:
        """Bits per dimension over all subpixels of the set; tokens at log2 K bits an index."""
        del last

        def one(_: npt.NDArray[Any], batch: Tensor) -> tuple[int, float, float, int]:
            pixels = model.read_batch(batch.to(model.device))
            indices = self.tokenizer.to(model.device).encode(pixels)
            # forward, since FSDP gathers the parameters for it
            nats = float(model(pixels, indices).loss) * pixels.numel()
            return len(pixels), nats, indices.numel() * math.log2(model.codebook_size), int(np.prod(pixels.shape))

        found = watch.each(self.source, self.batch_size, one, most=items)
        if not found:
            return None
        judged, nats, tokens, values = (sum(each) for each in zip(*found, strict=True))
        residual, tokens = nats / values / math.log(2), tokens / values
        return {
            "items": judged,
            "residual_bits_per_dim": residual,
            "token_bits_per_dim": tokens,
            "lossless_bits_per_dim": residual + tokens,
        }
