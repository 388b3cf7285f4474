"""Evaluations of a prior: the bits that it would code held-out grids of indices with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from vqkit.data import Source, evaluation_batches
from vqkit.training.judge_set import SetJudge
from vqkit.training.labels import labels_for, picked


class PriorJudge(SetJudge):
    """Judges a prior on held-out indices, given their classes where it has classes.

    Args:
        source: the validation items, indices.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
        pictures: not used: indices make no picture.
    """

    def __init__(self, source: Source, batch_size: int, items: int, pictures: Path | None) -> None:
        del pictures
        super().__init__(source, batch_size, items)

    @torch.no_grad()
    def _judge(self, prior: Any, source: Source) -> dict[str, Any]:
        was_training = prior.training
        prior.eval()
        nats, count = 0.0, prior.indices_per_item
        labels = labels_for(prior, source)
        for indices, batch in evaluation_batches(source, self.batch_size):
            grids = prior.read_batch(batch.to(prior.device))
            condition = picked(labels, indices, prior.device)
            # forward, since FSDP gathers the parameters for it
            nats += float(prior(grids, *condition).loss) * len(grids) * count
        prior.train(was_training)
        return {
            "items": len(source),
            "nats_per_index": nats / len(source) / count,
            "bits_per_item": nats / len(source) / math.log(2),
            "uniform_bits_per_item": count * math.log2(prior.codebook_size),
        }
