"""Gradient estimators for the step from latents to codewords, which has no gradient of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latents: Tensor, codes: Tensor) -> Tensor:
        return codes.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0], None


def straight_through(latents: Tensor, codes: Tensor) -> Tensor:
    """The codes in the forward pass, the identity with respect to the latents in the backward pass.

    Section 3.2 of van den Oord, Vinyals and Kavukcuoglu 2017 (arXiv 1711.00937): the gradient at the
    decoder's input is copied to the encoder's output. The usual spelling ``latents + (codes -
    latents).detach()`` returns the codes only up to rounding, so that decoding stored indices differs from
    the forward pass; this one returns them exactly.

    Args:
        latents: any shape, floating.
        codes: the same shape; receives no gradient.

    Returns:
        A tensor equal to ``codes``, bit for bit.
    """
    result: Tensor = _StraightThrough.apply(latents, codes.detach())
    return result
