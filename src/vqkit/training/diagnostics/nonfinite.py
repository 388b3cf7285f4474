"""NaN and Inf: which tensor has them, so that the message can say so."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vqkit.training.trainable import Output


def first_nonfinite(x: Tensor, output: Output, model: nn.Module) -> str:
    """The first tensor with NaN or Inf along the way of a training step, by name, and how much of it is bad."""
    candidates: list[tuple[str, Tensor]] = [("the training batch", x)]
    candidates += [(f"parameter {name}", parameter) for name, parameter in model.named_parameters()]
    candidates += [(f"buffer {name}", buffer) for name, buffer in model.named_buffers()]
    candidates += [(f"metric {name}", value) for name, value in output.metrics.items()]
    if output.reconstruction is not None:
        candidates.append(("the reconstruction", output.reconstruction))
    candidates.append(("the loss", output.loss))
    candidates += [
        (f"gradient of {name}", parameter.grad)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    ]
    for name, tensor in candidates:
        bad = ~torch.isfinite(tensor.detach())
        if bool(bad.any()):
            return f"{name} ({int(bad.sum()):,} of {tensor.numel():,} values)"
    return "the gradient norm (every single tensor is finite: it overflowed)"
