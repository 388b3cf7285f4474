"""Evaluations of a pixel prior: the bits of a lossless file, tokens and residual apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from vqkit.data import Source, evaluation_batches
from vqkit.models import VQVAE
from vqkit.priors import PixelPrior
from vqkit.training.judge_set import SetJudge


class PixelJudge(SetJudge):
    """Judges a pixel prior on held-out images with the tokenizer's indices.

    Args:
        tokenizer: gives the indices.
        source: the validation images.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
    """

    def __init__(self, tokenizer: VQVAE, source: Source, batch_size: int, items: int) -> None:
        self.tokenizer = tokenizer
        super().__init__(source, batch_size, items)

    @torch.no_grad()
    def _judge(self, prior: PixelPrior, source: Source) -> dict[str, Any]:
        """Bits per dimension over all subpixels of the set; tokens at log2 K bits an index."""
        was_training = prior.training
        prior.eval()
        nats, tokens, values = 0.0, 0.0, 0
        for _, batch in evaluation_batches(source, self.batch_size):
            pixels = prior.read_batch(batch.to(prior.device))
            indices = self.tokenizer.to(prior.device).encode(pixels)
            # forward, since FSDP gathers the parameters for it
            nats += float(prior(pixels, indices).loss) * pixels.numel()
            tokens += indices.numel() * math.log2(prior.codebook_size)
            values += int(np.prod(pixels.shape))
        prior.train(was_training)
        residual, tokens = nats / values / math.log(2), tokens / values
        return {
            "items": len(source),
            "residual_bits_per_dim": residual,
            "token_bits_per_dim": tokens,
            "lossless_bits_per_dim": residual + tokens,
        }
