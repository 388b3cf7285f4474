"""The gradient of a batch, in the precision of the run, at once or in parts, for less memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vqkit.quantizers.codebook.learning import whole_batch
from vqkit.training.config import TrainConfig
from vqkit.training.trainable import Output, Trainable


def backward(
    forward: Callable[..., Output], model: Trainable, x: Tensor, condition: tuple[Tensor, ...], parts: int
) -> Output:
    """Add the gradient of the mean loss over a batch to the parameters; returns what ``forward`` gave.

    In parts the loss and the metrics are means over them, the indices those of all; a codebook learns once, from the
    latents of the whole batch.

    Args:
        forward: of a batch and its conditions.
        model: whose gradient it is.
        x: the batch.
        condition: of each item; none, or one tensor.
        parts: equal ones, one after another.
    """
    if parts == 1:
        output = forward(x, *condition)
        output.loss.backward()
        return output
    conditions = [each.chunk(parts) for each in condition]
    outputs = []
    with whole_batch(model):
        for number, part in enumerate(x.chunk(parts)):
            if number:
                model.another_part()
            output = forward(part, *(each[number] for each in conditions))
            (output.loss / parts).backward()
            outputs.append(output)
    metrics = {name: torch.stack([each.metrics[name] for each in outputs]).mean() for name in outputs[0].metrics}
    loss = torch.stack([each.loss.detach() for each in outputs]).mean()
    indices = [each.indices for each in outputs if each.indices is not None]
    together: Output = outputs[-1]
    decoded = tuple(part for each in outputs for part in each.decoded)
    joined = torch.cat(indices) if indices else None
    return replace(together, loss=loss, metrics=metrics, indices=joined, decoded=decoded)


def autocast(config: TrainConfig, x: Tensor) -> AbstractContextManager[Any]:
    """Return the context of a forward pass on a batch: of the run's precision, on the batch's device."""
    if config.precision == "bfloat16":
        return torch.autocast(x.device.type, dtype=torch.bfloat16)
    return nullcontext()
