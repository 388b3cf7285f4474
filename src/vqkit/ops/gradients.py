"""Gradient estimators for the step from latents to codewords, which has no gradient of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GRADIENTS = ("straight_through", "rotation")
_TINY = 1e-6
_MOST = 100.0
"""Times by which the rotation trick may lengthen a gradient."""


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latents: Tensor, codes: Tensor) -> Tensor:
        return codes.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, Any]:
        return gradients[0], gradients[0] if ctx.needs_input_grad[1] else None


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, latents: Tensor, codes: Tensor) -> Tensor:
        ctx.save_for_backward(latents, codes)
        return codes.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
        latents, codes = ctx.saved_tensors
        gradient = gradients[0]
        length, target = (each.norm(dim=1, keepdim=True) for each in (latents, codes))
        start = latents / length.clamp_min(_TINY)
        end = codes / target.clamp_min(_TINY)
        middle = start + end
        size = middle.norm(dim=1, keepdim=True)
        middle = middle / size.clamp_min(_TINY)
        turned = (
            gradient
            - 2 * middle * (middle * gradient).sum(dim=1, keepdim=True)
            + 2 * start * (end * gradient).sum(dim=1, keepdim=True)
        ) * (target / length.clamp_min(_TINY))
        sound = (target > _TINY) & (target < _MOST * length) & (size > 1e-3)
        return torch.where(sound, turned, gradient), None


def straight_through(latents: Tensor, codes: Tensor, *, into_codes: bool = False) -> Tensor:
    """The codes in the forward pass, the identity with respect to the latents in the backward pass.

    Section 3.2 of van den Oord, Vinyals and Kavukcuoglu 2017 (arXiv 1711.00937): the gradient at the
    decoder's input is copied to the encoder's output. The usual spelling ``latents + (codes -
    latents).detach()`` returns the codes only up to rounding, so that decoding stored indices differs from
    the forward pass; this one returns them exactly.

    Args:
        latents: any shape, floating.
        codes: the same shape.
        into_codes: whether the codes receive the gradient too.

    Returns:
        A tensor equal to ``codes``, bit for bit.

    Example:
        >>> import torch
        >>> from vqkit.ops import straight_through
        >>> latents = torch.tensor([[0.2]], requires_grad=True)
        >>> straight_through(latents, torch.tensor([[1.0]])).sum().backward()
        >>> latents.grad
        tensor([[1.]])
    """
    result: Tensor = _StraightThrough.apply(latents, codes if into_codes else codes.detach())
    return result


def rotation(latents: Tensor, codes: Tensor) -> Tensor:
    """The codes in the forward pass; backwards, the rotation and scaling that take each latent to its code.

    The rotation trick (Fifty et al. 2024, arXiv 2410.06424, eq. 4): with unit vectors ``a`` of the latent and ``b`` of
    the code and ``r = (a + b) / |a + b|``, the code is ``|c| / |z| (I - 2 r r' + 2 b a') z``; the matrix is held
    constant, so the gradient is multiplied by its transpose. Where it is not defined, near zero length or for
    opposite vectors, the gradient is copied as in ``straight_through``.

    Args:
        latents: ``[batch, D, *grid]``, floating; vectors lie along axis 1.
        codes: the same shape; receives no gradient.

    Returns:
        A tensor equal to ``codes``, bit for bit.

    Example:
        >>> import torch
        >>> from vqkit.ops import rotation
        >>> latents, codes = torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 2.0]])
        >>> torch.allclose(rotation(latents, codes), codes)
        True
    """
    result: Tensor = _Rotation.apply(latents, codes.detach())
    return result
